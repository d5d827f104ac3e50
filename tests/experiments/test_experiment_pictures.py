"""The comparison picture and the timing, with networks that have learned nothing."""

import json

import numpy as np
import pytest
from experiments.picture import draw_comparison
from experiments.runner import Workspace
from PIL import Image

from experiments import picture, timing
from genvis.masks import RLEMask

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_comparison_has_a_row_for_truth_and_each_method(workspace: Workspace) -> None:
    path = draw_comparison(workspace, seed=0, folder=workspace.output / "images")
    with Image.open(path) as image:
        assert image.size == (74 + 7 * (2 * 64 + 4), 24 + 4 * (2 * 64 + 4))
        pixels = np.asarray(image)
    assert pixels.std() > 20


def test_a_track_has_the_colour_of_the_object_that_it_followed_first() -> None:
    left, right = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    left[:, :6], right[:, 10:] = True, True
    first, second = RLEMask.encode(left), RLEMask.encode(right)
    truth = [[first] * 4, [second] * 4]
    # The first track changes from object 2 to object 1, the second takes object 2 over, the third follows nothing.
    found = [[second, second, first, first], [None, None, second, second], [None] * 4, [first, first, None, None]]
    assert picture._colours(truth, found, length=4) == [2, 3, 4, 1]


def test_timing_writes_frames_per_second_of_every_clip_length(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_ROUNDS", 1)
    monkeypatch.setattr(timing, "_FRAMES", 14)
    timing.time_clip_lengths(workspace, seed=0)
    content = json.loads((workspace.results / "timing.json").read_text())
    assert set(content["frames_per_second"]) == {"genvis-1", "genvis"}
    for speeds in content["frames_per_second"].values():
        assert list(speeds) == [str(length) for length in range(1, 8)]
        assert all(speed > 0 for speed in speeds.values())
    assert content["frames"] == 14
    assert content["detector"] == workspace.detector_fingerprint
