"""Results files: what is wrong with them is said in one sentence; archives for the servers."""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from genvis.data.annotations.video_annotations import VideoAnnotations
from genvis.errors import InputError
from genvis.evaluation import evaluate, write_submission
from genvis.evaluation.results_file import load_results
from tests.evaluation.evaluation_helpers import HEIGHT, WIDTH, annotation, data_set, detection, load, moving, rectangle


@pytest.fixture
def annotations(tmp_path: Path) -> VideoAnnotations:
    return load(data_set([annotation(moving(0, 0))], videos=2), tmp_path)


def broken_mask(**changes: Any) -> list[Any]:
    return [*moving(0, 0)[:9], {**(rectangle((0, 0, 4, 4)) or {}), **changes}]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**detection(moving(0, 0)), "video_id": 7}, ["Entry 0", "video_id 7", "1, 2", "annotations"]),
        ({**detection(moving(0, 0)), "video_id": "1"}, ["video_id '1'"]),
        ({**detection(moving(0, 0)), "category_id": 0}, ["category_id 0", "1, 2, 3"]),
        ({**detection(moving(0, 0)), "score": math.nan}, ["score nan", "finite"]),
        ({**detection(moving(0, 0)), "score": "high"}, ["score 'high'"]),
        (detection(moving(0, 0, frames=9)), ["9 segmentations", "video 1 has 10 frames", "null"]),
        ({**detection([]), "segmentations": None}, ["no list of segmentations"]),
        (detection(broken_mask(size=[HEIGHT, WIDTH + 1])), ["frame 9", f"{HEIGHT}x{WIDTH + 1}", f"{HEIGHT}x{WIDTH}"]),
        (detection(broken_mask(counts="0é~")), ["frame 9", "a character that does not belong"]),
        (detection(broken_mask(counts="0123o")), ["frame 9", "ends in the middle of a number"]),
        (detection(broken_mask(counts=b"\xff\x80")), ["frame 9", "a character that does not belong"]),
        (detection(broken_mask(counts=[1, 2, 3])), ["frame 9", "covers 6"]),
        (detection(broken_mask(counts=[[1]])), ["frame 9", "counts"]),
        (detection([*moving(0, 0)[:9], 17]), ["frame 9", "int"]),
        (detection(broken_mask(counts="0ooo1")), ["frame 9", "video 1", "covers 65535 pixels instead of"]),
        (detection(broken_mask(counts=[2**62, 2**62, 2**62, 2**62])), ["frame 9", "a number that is too long"]),
        (detection(broken_mask(size=[2**32, 2**32])), ["frame 9", "no possible size"]),
        ({**detection(moving(0, 0)), "score": 10**400}, ["score 1000", "finite"]),
        ({**detection(moving(0, 0)), "video_id": 10**5000}, ["video_id a number of thousands of digits"]),
        ({**detection(moving(0, 0)), "video_id": "\ud800"}, ["video_id '\\ud800'"]),
        ({**detection(moving(0, 0)), "category_id": math.inf}, ["category_id inf"]),
        ({"video_id": 1, "category_id": 1, "segmentations": []}, ["'score'"]),
        ([1, 2], ["'video_id'", "dictionary"]),
    ],
)
def test_wrong_entries(annotations: VideoAnnotations, entry: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        evaluate([entry], annotations)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[{", ["not valid JSON"]),
        (b"\xff\xfe\x00", ["not valid JSON"]),
        (b"{}", ["holds no list"]),
        (b'{"annotations": []}', ["holds annotations", "--annotations"]),
        (b"[" * 100_000, ["not valid JSON"]),
    ],
)
def test_wrong_files(tmp_path: Path, annotations: VideoAnnotations, content: bytes, words: list[str]) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_results(path, annotations)
    assert all(word in str(caught.value) for word in [*words, "results.json"]), caught.value


def test_counts_that_do_not_fill_the_frame_never_reach_the_c_library(tmp_path: Path) -> None:
    """Counts whose sum is 17 of 16 pixels made the evaluation run for ever."""
    mask = {"size": [4, 4], "counts": "448"}
    document = {
        "videos": [{"id": 1, "height": 4, "width": 4, "file_names": ["0.jpg"]}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": [mask]}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    entry = {"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": [{**mask, "counts": "4<1"}]}
    with pytest.raises(InputError, match=r"wrong mask in frame 0 of video 1: the RLE covers 17 pixels instead of 4x4"):
        evaluate([entry], tmp_path / "annotations.json")


def test_ids_may_be_written_as_floats(annotations: VideoAnnotations) -> None:
    entry = {**detection(moving(0, 0)), "video_id": 1.0, "category_id": 1.0}
    assert load_results([entry], annotations).detections[0][0].label == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_results_does_not_hang(tmp_path: Path, annotations: VideoAnnotations) -> None:
    os.mkfifo(tmp_path / "results.json")
    with pytest.raises(InputError, match="it is no file"):
        load_results(tmp_path / "results.json", annotations)


def test_missing_file_folder_and_archive(tmp_path: Path, annotations: VideoAnnotations) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load_results(path, annotations)
    with zipfile.ZipFile(tmp_path / "submission.zip", "w") as packed:
        packed.writestr("results.json", "[]")
    with pytest.raises(InputError, match=r"zip archive: unpack it"):
        load_results(tmp_path / "submission.zip", annotations)


def test_order_and_forms(annotations: VideoAnnotations) -> None:
    entries = [detection(moving(0, 0), 2, 0.5, 2), detection([None] * 10, 1, 1, 1), detection([[]] * 10, 3, 0.1, 2)]
    loaded = load_results(entries, annotations)
    assert [[one.index for one in video] for video in loaded.detections] == [[1], [0, 2]]
    assert [one.label for one in loaded.detections[1]] == [1, 2]
    assert loaded.detections[1][1].counts == (None,) * 10
    assert len(loaded) == 3


def test_submission_is_the_same_every_time(tmp_path: Path) -> None:
    results = tmp_path / "mine.json"
    results.write_text(json.dumps([detection(moving(0, 0))]))
    for name in ("one.zip", "two.zip"):
        write_submission(results, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert packed.namelist() == ["results.json"]
        assert packed.read("results.json") == results.read_bytes()


def test_submission_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(InputError, match="holds no list"):
        write_submission(tmp_path / "mine.json", tmp_path / "submission.zip")
    assert not (tmp_path / "submission.zip").exists()
