"""The page "Start", from its first line to its last, in one folder: what somebody who follows it does."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from genvis.cli.main import main
from tests.documents.conftest import write_video
from tests.documents.markdown_commands import ROOT, blocks_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NOT_RUN = ("python -m venv", "pip install")
BRIEF = (
    " --run.max_steps 1 --run.accelerator cpu --run.devices 1 --run.tensorboard false --data.workers 0 "
    "--data.batch_size 1 --loss.points.count 64"
)
# What is run instead: a camera is a stream here, and training takes a step.
INSTEAD = {
    "genvis predict 0 -o out/camera": "genvis predict {stream} --stop 3 -o out/camera",
    "genvis predict rtsp://camera/stream --live --session street.session -o out/street": (
        "genvis predict {stream} --live --stop 3 --session street.session -o out/street"
    ),
    "genvis data prepare reef.json --images images": (
        "genvis data prepare reef.json --images images --init sprites-tiny --no-estimate"
    ),
    "genvis train reef_detector.yaml": "genvis train reef_detector.yaml" + BRIEF,
    "genvis train reef_genvis.yaml": f"genvis train reef_genvis.yaml{BRIEF} --cache.views 2",
}


def test_start_leads_to_a_result_a_correction_and_a_model(
    reader_s_folder: Path, stream: str, clip: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("videos").mkdir()
    write_video(Path("videos") / "one.mp4", clip)
    done = 0
    for block in blocks_of("docs/start.md"):
        if block.language == "python":
            # A random model stands for the default one: whatever it finds is a track.
            text = block.text.replace("score_threshold=0.3", "score_threshold=0.0")
            exec(compile(text, block.place, "exec"), {})
        for command in block.commands:
            if command.startswith(NOT_RUN) or command.startswith(". "):
                continue
            words = shlex.split(INSTEAD.get(command, command).format(stream=stream))
            assert words[0] == "genvis", command
            if words[1] == "predict" and "--score-threshold" not in words:
                words += ["--score-threshold", "0"]
            assert main(words[1:]) == 0, f"{block.place}: {command}"
            done += 1
    assert done >= 14
    listed = re.findall(r"^- `([\w.]+)`", (ROOT / "docs" / "start.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) >= 3
    for name in listed:
        assert (Path("out/ride") / name).is_file(), name
    assert Path("out/corrected/result.json").is_file()
    assert Path("runs/reef-genvis/model/model.safetensors").is_file()
    assert any(Path("out/new").rglob("*.mp4"))
