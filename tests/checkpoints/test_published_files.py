"""Published checkpoints: what is read from the tensors, and every kind of file that is refused."""

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import genvis
from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.published_files import load_published
from genvis.checkpoints.published_names import rename_published
from genvis.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"
BACKBONES = ["r50", "swin"]


@cache
def published_state(backbone: str) -> dict[str, torch.Tensor]:
    return torch.load(GOLDEN / f"genvis_{backbone}_tiny.pth", weights_only=True)["model"]


def write(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    file = folder / "checkpoint.pth"
    torch.save({"model": state, "iteration": 7, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, file)
    return file


def without(backbone: str, *prefixes: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in published_state(backbone).items() if not name.startswith(prefixes)}


def vita_state(backbone: str) -> dict[str, torch.Tensor]:
    return without(backbone, "vita_module.pre_")


def mask2former_state(backbone: str) -> dict[str, torch.Tensor]:
    return without(backbone, "vita_module.", "vita_criterion.", "genvis_criterion.")


def frames() -> torch.Tensor:
    return torch.from_numpy(np.load(GOLDEN / "video.npz")["frames"]).permute(0, 3, 1, 2)[None]


def test_the_sizes_of_a_resnet_model_are_read_from_its_tensors():
    config = load_published(GOLDEN / "genvis_r50_tiny.pth").config
    detector, trunk = config.detector_config, config.detector_config.backbone_config
    assert (trunk.model_type, trunk.layer_type, trunk.depths) == ("resnet", "bottleneck", [3, 4, 6, 3])
    assert (trunk.embedding_size, trunk.hidden_sizes) == (8, [16, 32, 64, 128])
    assert (config.method, config.memory_read, config.propagate_queries) == ("genvis", "index", True)
    assert (config.hidden_dim, config.mask_feature_size, config.num_attention_heads) == (64, 32, 4)
    assert (config.encoder_layers, config.object_decoder_layers, config.dim_feedforward) == (2, 3, 128)
    assert (config.num_instance_queries, config.num_classes, config.clip_length) == (12, 5, 1)
    assert (detector.num_queries, detector.decoder_layers, detector.encoder_layers) == (10, 4, 2)
    assert (detector.encoder_feedforward_dim, detector.dim_feedforward) == (1024, 128)
    assert config.categories.names == tuple(f"class {number}" for number in range(1, 6))


def test_the_sizes_of_a_swin_model_are_read_from_its_tensors():
    trunk = load_published(GOLDEN / "genvis_swin_tiny.pth").config.detector_config.backbone_config
    assert (trunk.model_type, trunk.embed_dim, trunk.window_size, trunk.mlp_ratio) == ("swin", 16, 4, 4.0)
    assert (trunk.depths, trunk.num_heads) == ([2, 2, 2, 2], [1, 2, 4, 8])


def test_what_the_tensors_cannot_tell_is_taken_from_the_caller(tmp_path):
    settings = PublishedSettings(num_attention_heads=8, clip_length=3, encoder_window_size=2)
    config = load_published(write(tmp_path, vita_state("r50")), settings=settings).config
    assert (config.num_attention_heads, config.clip_length, config.encoder_window_size) == (8, 3, 2)
    assert config.detector_config.num_attention_heads == 4  # its tensors tell


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_tensor_has_its_place_once(backbone):
    state = published_state(backbone)
    renamed = rename_published(state)
    model = load_published(GOLDEN / f"genvis_{backbone}_tiny.pth")
    assert renamed.unknown == []
    assert set(renamed.origin.values()) | set(renamed.derived) == set(state)
    counters = {name for name in model.state_dict() if name.endswith("num_batches_tracked")}
    assert set(renamed.tensors) == set(model.state_dict()) - counters
    values = sum(tensor.numel() for name, tensor in state.items() if name not in renamed.derived)
    assert values == sum(tensor.numel() for tensor in renamed.tensors.values())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_checkpoint_without_memory_is_vita_with_the_published_numbers(backbone, tmp_path):
    model = load_published(write(tmp_path, vita_state(backbone)), settings=PublishedSettings(encoder_window_size=3))
    assert (model.config.method, model.config.memory_read, model.config.propagate_queries) == ("vita", "none", False)
    with torch.inference_mode():
        prediction, _ = model(frames())
    expected = np.load(GOLDEN / f"inference_vita_{backbone}_window3.npz")["clip_logits"]
    torch.testing.assert_close(prediction.class_logits, torch.from_numpy(expected), rtol=0, atol=1e-4)


def test_vita_has_the_published_window_unless_told(tmp_path):
    assert load_published(write(tmp_path, vita_state("r50"))).config.encoder_window_size == 6


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_checkpoint_without_tracker_is_minvis(backbone, tmp_path):
    model = load_published(write(tmp_path, mask2former_state(backbone)))
    assert (model.config.method, model.tracker) == ("minvis", None)
    whole = load_published(GOLDEN / f"genvis_{backbone}_tiny.pth")
    with torch.inference_mode():
        prediction = model.predict_frames(frames()[:, :2])
        for ours, expected in zip(prediction[:3], whole.predict_frames(frames()[:, :2])[:3], strict=True):
            assert torch.equal(ours, expected)


def test_a_bare_state_dict_and_half_precision_load_too(tmp_path):
    file = tmp_path / "bare.pth"
    torch.save({name: t.half() if t.is_floating_point() else t for name, t in published_state("r50").items()}, file)
    model = load_published(file)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training


@pytest.mark.parametrize(("classes", "labels"), [(25, "ovis"), (40, "youtube_vis_2021"), (80, "coco")])
def test_the_number_of_classes_tells_the_categories(tmp_path, caplog, classes, labels):
    assert load_published(write(tmp_path, with_classes(classes))).config.categories_name == labels
    assert ("name the categories youtube_vis_2019" in caplog.text) == (classes == 40)


def test_categories_of_the_same_size_can_be_named(tmp_path, caplog):
    file = write(tmp_path, with_classes(40))
    config = load_published(file, settings=PublishedSettings(categories="youtube_vis_2019")).config
    assert config.categories_name == "youtube_vis_2019"
    assert config.id2label[1] == "giant_panda"
    assert caplog.text == ""


def test_other_categories_are_refused_with_those_that_fit(tmp_path):
    file = write(tmp_path, with_classes(40))
    with pytest.raises(InputError, match="has 40 classes but 'ovis' has 25: choose youtube_vis_2019 or"):
        load_published(file, settings=PublishedSettings(categories="ovis"))
    with pytest.raises(InputError, match=r"has 5 classes but .* leave the categories out"):
        load_published(GOLDEN / "genvis_r50_tiny.pth", settings=PublishedSettings(categories="ovis"))
    with pytest.raises(InputError, match="no categories 'imagenet'"):
        load_published(file, settings=PublishedSettings(categories="imagenet"))


def with_classes(classes: int) -> dict[str, torch.Tensor]:
    state = dict(published_state("r50"))
    for head in ("sem_seg_head.predictor", "vita_module"):
        state[f"{head}.class_embed.weight"] = torch.zeros(classes + 1, 64)
        state[f"{head}.class_embed.bias"] = torch.zeros(classes + 1)
    return state


# Tensors that do not fit: each is named.


NORM = "vita_module.decoder_norm.bias"
QKV = "sem_seg_head.predictor.transformer_self_attention_layers.0.self_attn.in_proj_weight"


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vita_module.extra.weight", (3,), "unknown: vita_module.extra.weight"),
        ("backbone.res2.9.conv1.weight", (8, 8, 1, 1), "backbone.res2.9.conv1.weight|res2|layers.3"),
        ("other", (1,), "unknown: other"),
        (NORM, (7,), f"misshapen: {NORM} is (7,) instead of (64,)"),
        (NORM, (), f"misshapen: {NORM} is () instead of (64,)"),
        (QKV, (65, 64), f"misshapen: {QKV} is (65, 64) instead of (192, 64)"),
        (QKV, (66, 64), f"misshapen: {QKV} is (66, 64) instead of (192, 64)"),
        (QKV, (), f"unknown: {QKV}"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, name, shape, message):
    with pytest.raises(InputError) as raised:
        load_published(write(tmp_path, published_state("r50") | {name: torch.zeros(shape)}))
    assert any(part in str(raised.value) for part in message.split("|"))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (NORM, "tracker.heads.norm.bias"),
        (QKV, "decoder.layers.0.self_attn.q_proj.weight"),
        ("backbone.res3.0.shortcut.norm.running_var", "stages.1.layers.0.shortcut.normalization.running_var"),
    ],
)
def test_a_missing_tensor_is_named(tmp_path, name, ours):
    with pytest.raises(InputError) as raised:
        load_published(write(tmp_path, without("r50", name)))
    assert "missing: the tensor for" in str(raised.value)
    assert ours in str(raised.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    state = without("r50", NORM) | {"one": torch.zeros(1), "two": torch.zeros(1), QKV: torch.zeros(3, 3)}
    with pytest.raises(InputError) as raised:
        load_published(write(tmp_path, state))
    for part in ("unknown: one", "unknown: two", "missing", "heads.norm.bias", f"misshapen: {QKV}"):
        assert part in str(raised.value)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_no_tensor_can_be_lost_or_renamed_unnoticed(tmp_path_factory, data):
    state = dict(published_state("r50"))
    name = data.draw(st.sampled_from(sorted(set(state) - set(rename_published(state).derived))))
    tensor = state.pop(name)
    if data.draw(st.booleans()):
        state[f"{name}_2"] = tensor
    with pytest.raises(InputError):
        load_published(write(tmp_path_factory.mktemp("renamed"), state))


# Files that are something else.


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2, 2)}, torch.nn.Linear(2, 2).state_dict()])
def test_a_checkpoint_of_another_model_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="is no GenVIS, VITA or Mask2Former checkpoint: it has no tensor"):
        load_published(write(tmp_path, content))


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": {"a": 3}}, torch.zeros(3), "text", None])
def test_a_file_without_state_dict_is_refused(tmp_path, content):
    file = tmp_path / "file.pth"
    torch.save(content, file)
    with pytest.raises(InputError, match="holds no state dict"):
        load_published(file)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.00001, 0.001, 0.5, 0.99999])
def test_a_truncated_file_is_refused(tmp_path, zipped, kept):
    whole, file = tmp_path / "whole.pth", tmp_path / "file.pth"
    torch.save({"model": published_state("r50")}, whole, _use_new_zipfile_serialization=zipped)
    content = whole.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match="is truncated: fetch it again"):
        load_published(file)


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 100, b"<!DOCTYPE html><html>Not Found</html>", b"{}"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    file = tmp_path / "file.pth"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"no checkpoint of torch\.save"):
        load_published(file)


class CreatesFile:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "old pickle"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, kind):
    sign, file = tmp_path / "sign", tmp_path / "file.pth"
    content = {"model": published_state("r50"), "extra": CreatesFile(sign)}
    if kind in ("zip", "legacy"):
        torch.save(content, file, _use_new_zipfile_serialization=kind == "zip")
    else:
        file.write_bytes(pickle.dumps(CreatesFile(sign), protocol=2 if kind == "old pickle" else 5))
    for load in (load_published, genvis.load):
        with pytest.raises(InputError, match="is refused: it holds Python objects besides tensors"):
            load(file)
    assert not sign.exists()
    if "pickle" in kind:
        pickle.loads(file.read_bytes())
        assert sign.exists()  # It would have run.


def test_a_whole_module_is_refused(tmp_path):
    file = tmp_path / "file.pth"
    torch.save(torch.nn.Linear(2, 2), file)
    with pytest.raises(InputError, match="is refused"):
        load_published(file)


def test_absent_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        load_published(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="is a folder"):
        load_published(tmp_path)


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(InputError, match="64 is no multiple of 5 heads"):
        load_published(GOLDEN / "genvis_r50_tiny.pth", settings=PublishedSettings(num_attention_heads=5))
