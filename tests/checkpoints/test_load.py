"""Saving and loading by name: exact, or refused with the reason."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

import genvis
from genvis import GenVIS, GenVISConfig
from genvis.checkpoints.hub import bundled_models, check_name
from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.load import load
from genvis.checkpoints.published_files import load_published
from genvis.checkpoints.save import save_model
from genvis.errors import InputError, OutputError

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
KINDS = ["r50", "swin", "vita", "minvis"]


@cache
def model(kind: str) -> GenVIS:
    loaded = load_published(GOLDEN / f"genvis_{'swin' if kind == 'swin' else 'r50'}_tiny.pth")
    return {"vita": loaded.as_vita, "minvis": loaded.as_minvis}.get(kind, lambda: loaded)()


@pytest.fixture(scope="session")
def saved_folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("saved")
    model("r50").save_pretrained(place)
    return place


@pytest.fixture
def folder(saved_folder, tmp_path):
    return Path(shutil.copytree(saved_folder, tmp_path, dirs_exist_ok=True))


@pytest.mark.parametrize(
    ("kind", "loader"),
    [
        *((kind, load) for kind in KINDS),
        # They build what the configuration says, as `load` lets the first of them do.
        ("vita", GenVIS.from_pretrained),
        ("r50", AutoModel.from_pretrained),
        ("minvis", AutoModel.from_pretrained),
    ],
)
def test_a_saved_model_comes_back_exactly(tmp_path, kind, loader):
    saved = model(kind)
    saved.save_pretrained(tmp_path)
    loaded = loader(tmp_path)
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
            expected, actual = saved.predict_frames(frames)[:3], loaded.predict_frames(frames)[:3]
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
        assert genvis.load(name).config.num_instance_queries == 12
    assert load(file, dtype=torch.float16).dtype == torch.float16
    assert load(file, settings=PublishedSettings(clip_length=3)).config.clip_length == 3


def test_settings_belong_to_published_files(folder):
    with pytest.raises(InputError, match=r"is no \.pth file"):
        load(folder, settings=PublishedSettings())


def test_from_pretrained_takes_the_options_of_transformers(folder):
    loaded, information = GenVIS.from_pretrained(folder, output_loading_info=True, dtype=torch.float16)
    assert loaded.dtype == torch.float16
    assert not information["missing_keys"]
    assert GenVIS.from_pretrained(folder, clip_length=5).config.clip_length == 5


def test_every_bundled_model_loads_by_its_name():
    assert "sprites-tiny" in bundled_models()
    for name in bundled_models():
        assert isinstance(load(name), GenVIS)


@pytest.mark.parametrize("name", ["no-such-model", "./absent", "/absent/folder", "a/b/c", ""])
def test_an_unknown_name_is_answered_with_what_a_name_may_be(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"There is no model|is no model folder"):
        load(name)


def test_names_that_no_model_has_are_refused_without_loading(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is not in the cache"):
        check_name("someone/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("sprites-tiny", "videomt-s-ytvis2019", "someone/model", str(folder), str(GOLDEN / "videomt_tiny.pth")):
        check_name(name)
    for name in ("sprite", "./absent", "absent.pth", "ovis-r50-online", "a/b/c", "", str(tmp_path.parent)):
        with pytest.raises(InputError):
            check_name(name)


def test_a_misspelled_name_gets_a_suggestion():
    with pytest.raises(InputError, match=r"did you mean sprites-tiny\?"):
        load("sprite-tiny")


def test_a_registered_model_that_is_not_on_the_hub_says_where_it_is():
    with pytest.raises(
        InputError, match=r"not on the Hub: download the file in a browser from https://.*--weights FILE\.pth"
    ):
        load("ovis-r50-online")


def test_a_folder_comes_before_the_registry_only_if_it_holds_a_model(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sprites-tiny").mkdir()
    assert load("sprites-tiny").config.categories_name == "ovis"
    model("r50").save_pretrained(tmp_path / "sprites-tiny")
    assert load("sprites-tiny").config.num_instance_queries == 12


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        load(tmp_path)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"could not be loaded.*model\.safetensors"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_in_a_folder_is_refused(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"is not JSON|model\.safetensors is damaged"):
        load(folder)


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
        load(folder)
    assert all(part in str(raised.value) for part in message.split("|"))


def test_a_folder_of_another_model_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 64}))
    with pytest.raises(InputError, match="'bert'"):
        load(folder)


def test_a_contradiction_in_the_configuration_is_named(folder):
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(fields | {"method": "magic"}))
    with pytest.raises(InputError, match="method is 'magic'"):
        load(folder)


def test_saving_never_leaves_half_a_model(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fail(self: GenVIS, partial: str) -> None:
        Path(partial, "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GenVIS, "save_pretrained", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        save_model(model("r50"), out)
    assert not out.exists()


def test_saving_over_a_model_is_asked_for(folder):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds a model already"):
        save_model(model("swin"), folder)
    assert load(folder).config.detector_config.backbone_config.model_type == "resnet"
    save_model(model("swin"), folder, overwrite=True)
    assert load(folder).config.detector_config.backbone_config.model_type == "swin"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


def test_weights_stored_in_half_precision_are_computed_in_single(tmp_path):
    saved = load_published(GOLDEN / "genvis_r50_tiny.pth")
    torch.nn.Module.to(saved, dtype=torch.float16)
    saved.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.dtype == torch.float32
    assert load(tmp_path, dtype=torch.float16).dtype == torch.float16
