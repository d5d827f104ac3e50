import subprocess
import sys

import numpy as np
import pytest

from genvis.cli.main import main
from genvis.data.annotations.youtube_vis import load_youtube_vis
from tests.data.convert.sample_sets import good_content, write_images, write_json


@pytest.mark.parametrize("form", ["coco", "indexed-png", "mots"])
def test_there_and_back_on_the_command_line(tmp_path, form, capsys):
    images = tmp_path / "images"
    write_images(images, good_content())
    before = write_json(tmp_path / "before.json", good_content())
    between, after = tmp_path / ("between.json" if form == "coco" else "between"), tmp_path / "after.json"
    options = [] if form == "coco" else ["--images", str(images)]
    assert main(["data", "convert", f"to-{form}", str(before), str(between)]) == 0
    assert main(["data", "convert", f"from-{form}", str(between), str(after), *options]) == 0
    assert capsys.readouterr().out.count("2 videos, 7 frames, 3 objects, 9 masks") == 2
    assert main(["data", "check", str(after), "--images", str(images), "--contact-sheet", str(tmp_path / "a.png")]) == 0
    first, second = load_youtube_vis(before), load_youtube_vis(after)
    for index in range(2):
        assert second.video(index).file_names == first.video(index).file_names
        masks = [sorted(mask.tobytes() for mask in annotations.masks(index)) for annotations in (first, second)]
        assert masks[0] == masks[1]
        assert np.array_equal(np.sort(first.present(index).sum(axis=1)), np.sort(second.present(index).sum(axis=1)))


@pytest.mark.parametrize(
    "command",
    [
        ["data", "convert", "from-cvat", "none.xml", "out.json"],
        ["data", "convert", "from-coco", "none.json", "out.json"],
        ["data", "convert", "from-indexed-png", "none", "out.json"],
        ["data", "convert", "from-mots", "none", "out.json"],
        ["data", "convert", "to-coco", "none.json", "out.json"],
        ["data", "split", "none.json"],
    ],
)
def test_missing_input_is_one_sentence_and_writes_nothing(tmp_path, command, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert "none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["data", "--help"], ["data", "convert", "--help"], ["data", "check", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys; from genvis.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "sys.exit(' '.join({'torch', 'cv2', 'supervision', 'av', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: genvis data")
