"""The example that runs an export without PyTorch and this package, and the document on exports."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import genvis
from genvis import VideoSegmenter
from genvis.cli.main import main
from genvis.video import VideoWriter, open_source
from tests.documents.markdown_commands import ROOT, blocks_of
from tests.export.conftest import Exported

EXAMPLE = ROOT / "examples" / "onnxruntime_only.py"
ALONE = """
import runpy, sys
sys.modules["torch"] = sys.modules["genvis"] = None  # Importing them fails.
script, export, video, answer = sys.argv[1:]
sys.argv = [script, export, video]
names = runpy.run_path(script)
import numpy as np
np.savez(answer, scores=names["scores"], masks=names["masks"])
"""


def test_the_example_gives_the_scores_and_masks_of_this_package(exported: Exported, film: Path, tmp_path: Path) -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60
    answer = tmp_path / "answer.npz"
    words = [sys.executable, "-c", ALONE, EXAMPLE, exported.folder, film, answer]
    subprocess.run(list(map(str, words)), check=True)
    with np.load(answer) as found:
        scores, masks = found["scores"], found["masks"]
    segmenter = VideoSegmenter(exported.model)
    state = None
    with open_source(film) as source:
        for frame in source:
            tracked, state = segmenter.tracker.track(segmenter.prepare([frame]).pixel_values, state)
    assert tracked is not None
    # Pillow resizes frames to within one grey level of what this package does.
    np.testing.assert_allclose(scores, tracked.class_evidence.numpy(), atol=0.01)
    assert (masks != (tracked.mask_logits[0] > 0).numpy()).mean() < 0.01


@pytest.mark.slow
def test_every_block_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8)
    for name, height, width in (("ride.mp4", 72, 128), ("video.mp4", 80, 128)):
        with VideoWriter(Path(name), frame_rate=10) as writer:
            for number in range(3):
                writer.write(np.resize(np.roll(noise, number, axis=1), (height, width, 3)), time=number / 10)
    for block in blocks_of("docs/export.md"):
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"genvis": genvis})
        for command in block.commands:
            program, *words = shlex.split(command)
            if program == "genvis":
                assert main([*words, "--overwrite"] if words[0] == "predict" else words) == 0, command
            elif program == "python":
                script, *rest = words
                subprocess.run([sys.executable, str(ROOT / script), *rest], check=True)
