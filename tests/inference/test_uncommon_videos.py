"""`genvis predict` on undamaged videos of uncommon make: status 0, all outputs, and the right duration."""

from pathlib import Path

import av
import pytest

from genvis import VideoResult
from genvis.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
CASES = Path(__file__).parents[1] / "video" / "cases"
FRAMES_AND_SECONDS = {"mediarecorder.webm": (12, 1.2), "trim_end.mp4": (7, 0.7), "gap30min.mp4": (12, 1801.2)}


def test_they_are_predicted_whole(tmp_path, capsys):
    words = ["--weights", str(GOLDEN / "genvis_r50_tiny.pth"), "--resolution", "32", "--score-threshold", "0"]
    sources = [str(CASES / name) for name in FRAMES_AND_SECONDS]
    assert main(["predict", *sources, "-o", str(tmp_path), *words]) == 0, capsys.readouterr().out
    for name, (frames, seconds) in FRAMES_AND_SECONDS.items():
        folder = tmp_path / Path(name).stem
        result = VideoResult.load(folder)
        assert (len(result), result.problem) == (frames, None)
        assert (folder / "contact_sheet.png").exists()
        with av.open(str(folder / "annotated.mp4")) as video:
            assert video.streams.video[0].frames == frames
            assert video.duration / 1e6 == pytest.approx(seconds, abs=0.01)
