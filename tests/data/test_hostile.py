"""Small files that crashed the interpreter, never ended or gave a traceback: each ends with one sentence, or right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genvis.cli.main import main

CASES = Path(__file__).parent / "cases" / "hostile"

COMMANDS = {
    "rle_wrap_small.xml": (["data", "convert", "from-cvat", "rle_wrap_small.xml", "OUT"], 2, "too long"),
    "dims_3e4.xml": (["data", "convert", "from-cvat", "dims_3e4.xml", "OUT"], 2, "no possible size"),
    "size_1e6.xml": (["data", "convert", "from-cvat", "size_1e6.xml", "OUT"], 0, "1 video, 1,000,000 frames, 1 object"),
    "coco_2^32x4": (["data", "convert", "from-coco", "coco_4294967296x4.json", "OUT"], 2, "no possible size"),
    "yv_2^32x4": (["data", "convert", "to-coco", "yv_4294967296x4.json", "OUT"], 2, "no possible size"),
    "hang": (["eval", "hang_results.json", "--annotations", "hang_annotations.json"], 2, "instead of 4x4 = 16"),
    "no_frames.json": (["data", "check", "no_frames.json"], 1, "The list of image files is missing, empty"),
    "surrogate.json": (["data", "check", "surrogate.json"], 1, "A category has no name, or one that is no text"),
    "inf_box.json": (["data", "check", "inf_box.json"], 1, "A box is not [x, y, width, height]"),
    "big_box.json": (["data", "check", "big_box.json"], 0, "A box is not [x, y, width, height]"),
}

RUN = """
import contextlib, io, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (6_000_000 * 1024, resource.RLIM_INFINITY))
from genvis.cli.main import main
outcomes = {}
for name, words in json.loads(sys.argv[1]).items():
    printed, start = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(words)
    outcomes[name] = status, printed.getvalue(), time.monotonic() - start
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Status, text and seconds of every command, in a process of its own with 6 GB of address space."""
    folder = tmp_path_factory.mktemp("hostile")
    commands = {}
    for number, (name, (words, _, _)) in enumerate(COMMANDS.items()):
        replaced = [str(folder / f"{number}.json") if word == "OUT" else word for word in words]
        commands[name] = [str(CASES / word) if (CASES / word).is_file() else word for word in replaced]
    ran = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_hostile_files_end_with_a_sentence_or_a_right_result(outcomes, name):
    _, status, message = COMMANDS[name]
    found, text, _ = outcomes[name]
    assert found == status
    assert message in " ".join(text.split())
    assert "Traceback" not in text


def test_scoring_against_crowds_only_is_refused(tmp_path, capsys):
    annotations = json.loads((CASES / "hang_annotations.json").read_text())
    annotations["annotations"][0]["iscrowd"] = 1
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    (tmp_path / "results.json").write_text("[]")
    words = ["eval", str(tmp_path / "results.json"), "--annotations", str(tmp_path / "annotations.json")]
    assert main(words) == 2
    assert "All 1 annotations" in capsys.readouterr().err
