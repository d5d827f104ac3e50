from pathlib import Path

import numpy as np
import pytest

from genvis.cli.main import main
from genvis.errors import InputError
from genvis.results.types import VideoResult
from genvis.video import VideoWriter
from tests.integrations.test_cvat_push import FRAMES, HEIGHT, WIDTH, swimmers


@pytest.fixture
def result() -> VideoResult:
    return swimmers()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "reef.mp4"
    with VideoWriter(path, frame_rate=10) as writer:
        for frame in range(FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 10 * frame, np.uint8), time=frame / 10)
    return path


def test_rerun_gets_frames_masks_and_boxes(result: VideoResult, video: Path, tmp_path: Path):
    pytest.importorskip("rerun")
    from genvis.integrations.rerun_recording import record_in_rerun

    whole, masks_only = tmp_path / "whole.rrd", tmp_path / "masks.rrd"
    assert record_in_rerun(result, video=video, save=whole) == FRAMES
    assert record_in_rerun(result, save=masks_only) == FRAMES
    for path, has_image in ((whole, True), (masks_only, False)):
        content = path.read_bytes()
        assert content.startswith(b"RRF")
        for name in (b"/video/masks", b"/video/boxes"):
            assert name in content
        assert (b"/video/image" in content) == has_image


def test_rerun_refuses_another_video(result: VideoResult, tmp_path: Path):
    pytest.importorskip("rerun")
    from genvis.integrations.rerun_recording import record_in_rerun

    frames = np.zeros((FRAMES, HEIGHT, WIDTH + 2, 3), np.uint8)
    with pytest.raises(InputError, match="this is another video"):
        record_in_rerun(result, video=frames, save=tmp_path / "x.rrd")


def test_fiftyone_gets_masks_with_track_ids(result: VideoResult, video: Path):
    pytest.importorskip("fiftyone")
    from genvis.integrations.fiftyone_dataset import fiftyone_sample

    sample = fiftyone_sample(result, video)
    assert len(sample.frames) == FRAMES
    for position, frame in enumerate(result):
        found = {one.index: one for one in sample.frames[position + 1].objects.detections}
        assert set(found) == {instance.id for instance in frame}
        for instance in frame:
            one = found[instance.id]
            left, top, width, height = one.bounding_box
            box = [left * WIDTH, top * HEIGHT, (left + width) * WIDTH, (top + height) * HEIGHT]
            assert np.allclose(box, instance.box)
            assert one.mask.sum() == instance.area
            assert (one.label, one.confidence) == (instance.label, instance.score)


def test_the_command(result: VideoResult, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("rerun")
    result.save(tmp_path / "out", outputs=["result"])
    words = ["view", str(tmp_path / "out")]
    assert main([*words, "--rerun", "--video", str(video), "--save", str(tmp_path / "reef.rrd")]) == 0
    assert f"reef: {FRAMES} frames in" in capsys.readouterr().out
    for wrong, sentence in (
        ([], "--rerun or --fiftyone"),
        (["--fiftyone"], "with --video"),
        (["--fiftyone", "--video", str(video), "--save", "x.rrd"], "add --rerun"),
    ):
        assert main([*words, *wrong]) == 2
        assert sentence in capsys.readouterr().err
