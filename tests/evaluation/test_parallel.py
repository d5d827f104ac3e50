"""Work in several processes."""

import os
import signal
import sys

import pytest

from genvis.errors import GenVISError, InputError
from genvis.evaluation import evaluate
from genvis.evaluation.parallel import map_videos


def test_results_come_in_order():
    assert list(map_videos(lambda video: video**2, range(9), workers=2)) == [video**2 for video in range(9)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="works with forks on Linux alone")
def test_a_killed_process_is_one_sentence():
    with pytest.raises(GenVISError, match=r"One of 2 processes of the evaluation was killed.*--workers"):
        list(map_videos(lambda video: os.kill(os.getpid(), signal.SIGKILL), range(4), workers=2))


@pytest.mark.parametrize("workers", [0, -3])
def test_less_than_one_worker_is_wrong(workers):
    with pytest.raises(InputError, match=f"cannot have {workers} workers"):
        evaluate([], "annotations.json", workers=workers)
