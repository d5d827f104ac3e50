"""`genvis convert`: a folder that loads, or exit status 2, one sentence and nothing written."""

from pathlib import Path

import numpy as np
import pytest
import torch

import genvis
from genvis.cli.main import main
from genvis.model.tracker.videomt import VidEoMT

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
CHECKPOINT = GOLDEN / "genvis_r50_tiny.pth"


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run `genvis convert`, which must fail with one sentence, and return that."""
    capsys.readouterr()
    assert main(["convert", *map(str, words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("genvis convert: error: ")
    assert "Traceback" not in printed.err
    assert len(printed.err.splitlines()) == 1
    return printed.err


@pytest.mark.parametrize("backbone", ["r50", "swin"])
def test_a_published_checkpoint_becomes_a_folder_with_its_numbers(backbone, tmp_path, capsys):
    out = tmp_path / "models" / "mine"
    assert main(["convert", str(GOLDEN / f"genvis_{backbone}_tiny.pth"), str(out), "--clip_length", "3"]) == 0
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert "genvis, " in printed.out
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    model = genvis.load(out)
    assert model.config.clip_length == 3
    frames = torch.from_numpy(np.load(GOLDEN / "video.npz")["frames"]).permute(0, 3, 1, 2)[None, :3]
    with torch.inference_mode():
        prediction, _ = model(frames)
    expected = np.load(GOLDEN / f"inference_{backbone}_clip3.npz")["clip_logits"][:1]
    torch.testing.assert_close(prediction.class_logits, torch.from_numpy(expected), rtol=0, atol=1e-4)


def test_an_existing_model_is_replaced_only_when_asked(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["convert", str(CHECKPOINT), str(out)]) == 0
    before = (out / "model.safetensors").read_bytes()
    assert "holds a model already" in refusal(capsys, GOLDEN / "genvis_swin_tiny.pth", out)
    assert (out / "model.safetensors").read_bytes() == before
    assert main(["convert", str(GOLDEN / "genvis_swin_tiny.pth"), str(out), "--overwrite"]) == 0
    assert (out / "model.safetensors").read_bytes() != before


def test_a_misfit_is_named_and_nothing_is_written(tmp_path, capsys):
    content = torch.load(CHECKPOINT, weights_only=True)
    file, out = tmp_path / "file.pth", tmp_path / "out"
    content["model"]["vita_module.extra"] = torch.zeros(1)
    del content["model"]["vita_module.decoder_norm.bias"]
    torch.save(content, file)
    sentence = refusal(capsys, file, out)
    assert "unknown: vita_module.extra" in sentence
    assert "tracker.heads.norm.bias" in sentence
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(CHECKPOINT.read_bytes()[:5000], "truncated"), (b"hello", "no checkpoint of torch.save"), (b"", "truncated")],
)
def test_a_damaged_file_is_refused_and_nothing_is_written(tmp_path, capsys, content, message):
    file, out = tmp_path / "file.pth", tmp_path / "out"
    file.write_bytes(content)
    assert message in refusal(capsys, file, out)
    assert not out.exists()


class CreatesFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    file, out, sign = tmp_path / "file.pth", tmp_path / "out", tmp_path / "sign"
    torch.save({"model": CreatesFile(sign)}, file)
    assert "is refused" in refusal(capsys, file, out)
    assert not sign.exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--categories", "ovis"], "has 5 classes but 'ovis' has 25"),
        (["--categories", "imagenet"], "no categories 'imagenet'"),
        (["--heads", "5"], "no multiple of 5 heads"),
        (["--clip_length", "0"], "clip_length is 0"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path, capsys, options, message):
    assert message in refusal(capsys, CHECKPOINT, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file: choose a folder" in refusal(capsys, CHECKPOINT, file)
    assert "Cannot write" in refusal(capsys, CHECKPOINT, file / "out")
    assert file.read_text() == "mine"


def test_an_absent_checkpoint_is_named(tmp_path, capsys):
    assert "There is no file" in refusal(capsys, tmp_path / "absent.pth", tmp_path / "out")


def test_a_model_folder_is_stored_in_half_the_space(tmp_path, capsys):
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert main(["convert", str(GOLDEN / "genvis_r50_tiny.pth"), str(whole), "--clip-length", "3"]) == 0
    assert main(["convert", str(whole), str(half), "--dtype", "float16"]) == 0
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    model = genvis.load(half)
    assert model.dtype == torch.float32
    assert model.config.clip_length == 3
    expected = genvis.load(whole).state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-6)
    assert "give none of them" in refusal(capsys, whole, tmp_path / "other", "--categories", "ovis")
    assert "give none of them" in refusal(capsys, whole, tmp_path / "other", "--window", "6")


def test_a_published_videomt_becomes_a_folder(tmp_path, capsys):
    out = tmp_path / "videomt"
    assert main(["convert", str(GOLDEN / "videomt_tiny.pth"), str(out)]) == 0
    assert "videomt, " in capsys.readouterr().out
    model = genvis.load(out)
    assert isinstance(model, VidEoMT)
    expected = genvis.load(GOLDEN / "videomt_tiny.pth").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    assert "5 classes but 'ovis' has 25" in refusal(
        capsys, GOLDEN / "videomt_tiny.pth", tmp_path / "other", "--categories", "ovis"
    )


def test_a_model_by_name_is_stored_as_a_folder(tmp_path, capsys):
    assert main(["convert", "sprites-tiny", str(tmp_path / "out"), "--dtype", "bfloat16"]) == 0
    assert genvis.load(tmp_path / "out").config.categories == genvis.load("sprites-tiny").config.categories
    assert "did you mean sprites-tiny" in refusal(capsys, "sprite-tiny", tmp_path / "other")
