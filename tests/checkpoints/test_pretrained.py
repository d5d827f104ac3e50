"""Saving and loading by name: exact, or refused with the reason."""

import json
import logging
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from genvis import GenVIS, GenVISConfig
from genvis.checkpoints import load_published, save_model
from genvis.checkpoints.load import bundled_models
from genvis.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
KINDS = ["r50", "swin", "vita", "minvis"]


@cache
def model(kind: str) -> GenVIS:
    loaded = load_published(GOLDEN / f"genvis_{'swin' if kind == 'swin' else 'r50'}_tiny.pth")
    return {"vita": loaded.as_vita, "minvis": loaded.as_minvis}.get(kind, lambda: loaded)()


@pytest.fixture
def folder(tmp_path):
    model("r50").save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("load", [GenVIS.from_pretrained, AutoModel.from_pretrained])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_comes_back_exactly(tmp_path, kind, load):
    saved = model(kind)
    saved.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is GenVIS
    assert not loaded.training
    state, other = saved.state_dict(), loaded.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) and tensor.dtype == other[name].dtype for name, tensor in state.items())
    # Buffers that the file does not hold too: pixel statistics, index tables.
    assert {name: buffer.tolist() for name, buffer in loaded.named_buffers()} == {
        name: buffer.tolist() for name, buffer in saved.named_buffers()
    }
    frames = torch.randint(0, 256, (1, 2, 3, 48, 80), dtype=torch.uint8)
    with torch.inference_mode():
        if kind == "minvis":
            expected, actual = saved.predict_frames(frames), loaded.predict_frames(frames)
        else:
            expected, actual = saved(frames)[0], loaded(frames)[0]
    assert all(torch.equal(one, two) for one, two in zip(expected, actual, strict=True))


def test_a_folder_holds_safetensors_and_a_configuration_and_no_code(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text())["model_type"] == "genvis"
    assert type(AutoConfig.from_pretrained(folder)) is GenVISConfig
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(model("r50").state_dict())


def test_a_published_file_loads_by_its_name_as_text_or_path():
    file = GOLDEN / "genvis_r50_tiny.pth"
    for name in (file, str(file)):
        assert GenVIS.from_pretrained(name).config.num_instance_queries == 12
    with pytest.raises(InputError, match="load_published"):
        GenVIS.from_pretrained(file, dtype=torch.float16)


def test_options_of_transformers_are_passed_on(folder):
    loaded, information = GenVIS.from_pretrained(folder, output_loading_info=True, dtype=torch.float16)
    assert loaded.dtype == torch.float16
    assert not information["missing_keys"]
    assert GenVIS.from_pretrained(folder, clip_length=5).config.clip_length == 5


def test_every_bundled_model_loads_by_its_name():
    for name in bundled_models():
        assert isinstance(GenVIS.from_pretrained(name), GenVIS)


@pytest.mark.parametrize("name", ["no-such-model", "./absent", "/absent/folder", "a/b/c", ""])
def test_an_unknown_name_is_answered_with_what_a_name_may_be(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"There is no model|is no model folder"):
        GenVIS.from_pretrained(name)


def test_a_hub_id_is_announced_before_it_is_fetched(caplog, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="'nobody/nothing' could not be loaded"):
        GenVIS.from_pretrained("nobody/nothing")
    assert "Fetching nobody/nothing from the Hugging Face Hub" in caplog.text


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        GenVIS.from_pretrained(tmp_path)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"could not be loaded.*model\.safetensors"):
        GenVIS.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_in_a_folder_is_refused(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="could not be loaded"):
        GenVIS.from_pretrained(folder)


def change_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    tensors = load_file(folder / "model.safetensors") | changes
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("tracker.heads.norm.bias", None, "missing: tracker.heads.norm.bias"),
        ("tracker.extra", torch.zeros(2), "unknown: tracker.extra"),
        ("tracker.heads.norm.bias", torch.zeros(2), "misshapen: tracker.heads.norm.bias is (2,) instead of (64,)"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(folder, name, tensor, message):
    change_tensors(folder, **{name: tensor})
    with pytest.raises(InputError) as raised:
        GenVIS.from_pretrained(folder)
    assert all(part in str(raised.value) for part in message.split("|"))


def test_a_folder_of_another_model_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 64}))
    with pytest.raises(InputError, match="'bert'"):
        GenVIS.from_pretrained(folder)


def test_a_contradiction_in_the_configuration_is_named(folder):
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"method": "magic"}))
    with pytest.raises(InputError, match="method is 'magic'"):
        GenVIS.from_pretrained(folder)


def test_saving_never_leaves_half_a_model(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fail(self: GenVIS, partial: str) -> None:
        Path(partial, "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GenVIS, "save_pretrained", fail)
    with pytest.raises(InputError, match="No space left on device"):
        save_model(model("r50"), out)
    assert not out.exists()


def test_saving_over_a_model_is_asked_for(folder):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds a model already"):
        save_model(model("swin"), folder)
    assert GenVIS.from_pretrained(folder).config.detector_config.backbone_config.model_type == "resnet"
    save_model(model("swin"), folder, overwrite=True)
    assert GenVIS.from_pretrained(folder).config.detector_config.backbone_config.model_type == "swin"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


def test_weights_stored_in_half_precision_are_computed_in_single(tmp_path):
    saved = load_published(GOLDEN / "genvis_r50_tiny.pth")
    torch.nn.Module.to(saved, dtype=torch.float16)
    saved.save_pretrained(tmp_path)
    loaded = GenVIS.from_pretrained(tmp_path)
    assert loaded.dtype == loaded.pixel_mean.dtype == torch.float32
    assert GenVIS.from_pretrained(tmp_path, dtype=torch.float16).dtype == torch.float16
