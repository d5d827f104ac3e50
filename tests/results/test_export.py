import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from pycocotools import mask as coco_mask
from rich.console import Console

from genvis.errors import InputError, OutputError
from genvis.results.formats.mask_pngs import write_label_pngs
from genvis.results.output_folder import save_result
from genvis.results.output_names import OUTPUT_NAMES
from genvis.results.types import VideoResult
from genvis.video import Frame, open_source
from genvis.video.writing.label_png import read_label_png
from tests.results.inference_results_helpers import RESULTS, random_result


def frames_of(result: VideoResult) -> list[Frame]:
    shape = (result.height, result.width, 3)
    return [
        Frame(image=np.full(shape, 40 * number, np.uint8), index=stamp.index, time=stamp.time, name=stamp.name)
        for number, stamp in enumerate(result.frames)
    ]


@settings(max_examples=30, deadline=None)
@given(RESULTS)
def test_youtube_vis_entries_hold_every_mask(result: VideoResult) -> None:
    entries = json.loads(json.dumps(result.to_youtube_vis(42)))
    assert len(entries) == len(result.tracks)
    for entry, track in zip(entries, result.tracks, strict=True):
        assert sorted(entry) == ["category_id", "score", "segmentations", "video_id"]
        assert (entry["video_id"], entry["category_id"], entry["score"]) == (42, track.category_id, track.score)
        assert len(entry["segmentations"]) == len(result)
        for segmentation, mask, seen in zip(entry["segmentations"], track.masks, track.visible, strict=True):
            assert (segmentation is not None) == seen
            if seen:
                assert (coco_mask.decode(segmentation) == mask.decode()).all()


@settings(max_examples=30, deadline=None)
@given(RESULTS)
def test_mots_lines_give_back_the_label_maps(result: VideoResult) -> None:
    maps = {stamp.index: np.zeros((result.height, result.width), int) for stamp in result.frames}
    for line in result.to_mots().splitlines():
        frame, track_id, category, height, width, counts = line.split(" ")
        mask = coco_mask.decode({"size": [int(height), int(width)], "counts": counts}).astype(bool)
        assert not maps[int(frame)][mask].any(), "MOTS allows no overlap"
        maps[int(frame)][mask] = int(track_id)
        assert int(category) == result.track(int(track_id)).category_id
    for position, stamp in enumerate(result.frames):
        assert (maps[stamp.index] == result.label_map(position)).all()


@settings(max_examples=15, deadline=None)
@given(RESULTS)
def test_pngs_give_back_the_label_maps(tmp_path_factory: pytest.TempPathFactory, result: VideoResult) -> None:
    files = write_label_pngs(result, tmp_path_factory.mktemp("masks"))
    assert [file.stem for file in files] == [stamp.name for stamp in result.frames]
    for position, file in enumerate(files):
        assert (read_label_png(file) == result.label_map(position)).all()


def test_identities_beyond_255_make_16_bit_pngs(tmp_path: Path) -> None:
    result = random_result(3, first_id=254)
    for file in write_label_pngs(result, tmp_path):
        with Image.open(file) as image:
            assert image.mode == "I;16"
    assert (read_label_png(tmp_path / f"{result.frames[1].name}.png") == result.label_map(1)).all()


@settings(max_examples=15, deadline=None)
@given(RESULTS)
def test_supervision_detections_hold_the_same(result: VideoResult) -> None:
    for position, frame in enumerate(result):
        detections = result.to_supervision(position)
        assert len(detections) == len(frame)
        assert detections.mask is not None
        assert detections.mask.shape == (len(frame), result.height, result.width)
        for number, one in enumerate(frame):
            assert detections.tracker_id[number] == one.id
            assert detections.class_id[number] == one.label_id
            assert detections.confidence[number] == pytest.approx(one.score)
            assert tuple(detections.xyxy[number]) == one.box
            assert detections["class_name"][number] == one.label
            assert (detections.mask[number] == one.mask).all()


def test_the_table_says_who_was_seen_when() -> None:
    result = random_result(1)
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(result.table())
    text = console.export_text()
    for track in result.tracks:
        line = next(line for line in text.splitlines() if f" {track.id} " in line and track.label in line)
        assert f"{track.score:.2f}" in line
        assert f"{track.frames_seen} of {len(result)}" in line


def test_save_writes_everything_and_load_reads_it(tmp_path: Path) -> None:
    result = random_result(1, frames=4, height=48, width=64)
    frames = frames_of(result)
    extra = Frame(image=frames[0].image, index=999, time=99.0, name="unknown")
    drawn: list[int] = []
    files = save_result(result, tmp_path / "out", source=[*frames, extra], outputs=OUTPUT_NAMES, progress=drawn.append)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "annotated.mp4",
        "contact_sheet.png",
        "masks",
        "mots.txt",
        "objects.csv",
        "objects.parquet",
        "result.json",
        "youtube_vis.json",
    ]
    assert drawn == [1, 2, 3, 4]
    assert files.pngs is not None
    assert len(os.listdir(files.pngs)) == 4
    assert VideoResult.load(tmp_path / "out") == VideoResult.load(tmp_path / "out" / "result.json") == result
    assert json.loads((tmp_path / "out" / "youtube_vis.json").read_text()) == result.to_youtube_vis(1)
    assert files.video is not None
    video = list(open_source(files.video))
    first = result.frames[0].time
    assert [frame.time for frame in video] == pytest.approx([stamp.time - first for stamp in result.frames], abs=1e-3)
    for position, frame in enumerate(video):
        expected = result.frame(position).draw(frames[position].image)
        assert np.abs(frame.image.astype(int) - expected).mean() < 12


def test_defaults_depend_on_the_source(tmp_path: Path) -> None:
    result = random_result(1, height=48, width=64)
    result.save(tmp_path / "a")
    assert sorted(os.listdir(tmp_path / "a")) == ["result.json", "youtube_vis.json"]
    files = result.save(tmp_path / "b", source=frames_of(result))
    assert sorted(os.listdir(tmp_path / "b")) == [
        "annotated.mp4",
        "contact_sheet.png",
        "result.json",
        "youtube_vis.json",
    ]
    assert files.mots is None


def test_saving_again_replaces(tmp_path: Path) -> None:
    random_result(1).save(tmp_path)
    other = random_result(2)
    other.save(tmp_path)
    assert VideoResult.load(tmp_path) == other


def test_a_source_without_frames_of_the_result_writes_no_pictures(tmp_path: Path) -> None:
    result = random_result(1, height=48, width=64)
    strangers = [Frame(image=frame.image, index=1000, time=0, name="x") for frame in frames_of(result)[:1]]
    files = result.save(tmp_path, source=strangers, outputs=["video", "contact_sheet"])
    assert (files.video, files.contact_sheet) == (None, None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("outputs", "message"), [(["video"], "needs the source"), (["vidoe"], "Did you mean 'video'")])
def test_outputs_that_cannot_be_are_named(tmp_path: Path, outputs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        random_result(1).save(tmp_path / "x", outputs=outputs)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_another_video_is_named(tmp_path: Path) -> None:
    result = random_result(1)
    other = [Frame(image=np.zeros((9, 9, 3), np.uint8), index=result.frames[0].index, time=0, name="0")]
    with pytest.raises(InputError, match="this is another video"):
        result.save(tmp_path, source=other)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        random_result(1).save(tmp_path / "file")


def test_an_interruption_leaves_what_was_there(tmp_path: Path) -> None:
    result = random_result(1, frames=4, height=48, width=64)

    def interrupted() -> Iterator[Frame]:
        yield from frames_of(result)[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path, source=interrupted())
    assert VideoResult.load(tmp_path) == result
    assert not (tmp_path / "annotated.mp4").exists()
    assert len(list(open_source(tmp_path / "annotated.part.mp4"))) == 3
