"""The network of a recipe: from weights of the same or of other categories, of a backbone, of a Mask2Former."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoBackbone, AutoConfig, Mask2FormerForUniversalSegmentation

from genvis.categories import known_categories
from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.model.mask_product import projected_mask_logits
from genvis.training.recipe.recipe import ModelOptions
from genvis.training.stages.model_building import build_model, parameter_table, take_over, take_over_backbone
from tests.training.tiny import CONFIG


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("weights")
    build_model(ModelOptions(config=CONFIG, categories="ovis")).save_pretrained(folder)
    return folder


def test_the_same_labels_take_over_everything(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build_model(ModelOptions(init=str(saved)))
    given = load_genvis(saved)
    assert all(torch.equal(value, given.state_dict()[name]) for name, value in model.state_dict().items())
    assert not caplog.records


def test_other_labels_make_the_heads_anew_and_say_so(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build_model(ModelOptions(init=str(saved), categories="youtube_vis_2021"))
    assert model.config.categories == known_categories("youtube_vis_2021")
    assert model.detector.class_predictor.out_features == 41
    given = load_genvis(saved)
    changed = {
        name
        for name, value in model.state_dict().items()
        if value.shape != given.state_dict()[name].shape or not torch.equal(value, given.state_dict()[name])
    }
    assert changed == {
        f"{part}.class_predictor.{kind}" for part in ("detector", "tracker.heads") for kind in ("weight", "bias")
    }
    assert "25 classes of 'ovis' became 40 of 'youtube_vis_2021'" in caplog.text


def test_a_memory_that_the_weights_lack_is_made_anew_and_named(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    without = build_model(ModelOptions(init=str(saved), config={"memory_read": "none"}))
    assert without.tracker.memory_reader is None
    report = take_over(build_model(ModelOptions(config=CONFIG, categories="ovis")), without)
    assert report == ["parts of tracker.memory_reader"]


def test_weights_of_another_network_are_refused(saved: Path) -> None:
    with pytest.raises(InputError, match="weights fit the model"):
        build_model(ModelOptions(init=str(saved), name="ovis-r50-online"))


def test_a_backbone_gives_its_weights(tmp_path: Path) -> None:
    backbone = AutoBackbone.from_config(AutoConfig.for_model(**CONFIG["detector"]["backbone_config"]))
    backbone.save_pretrained(tmp_path)
    model = build_model(ModelOptions(config=CONFIG, categories="ovis", backbone=str(tmp_path)))
    encoder = model.detector.mask2former.pixel_level_module.encoder.state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(encoder[name], value), name
    with pytest.raises(InputError, match="There is no model"):
        take_over_backbone(model, str(tmp_path / "nothing"))
    other = AutoConfig.for_model(**{**CONFIG["detector"]["backbone_config"], "embedding_size": 16})
    AutoBackbone.from_config(other).save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="have no counterpart"):
        take_over_backbone(model, str(tmp_path / "other"))


def test_a_mask2former_becomes_the_detector(saved: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = Mask2FormerForUniversalSegmentation(load_genvis(saved).config.detector)
    given.save_pretrained(tmp_path)
    tracker = {name: value for name, value in CONFIG.items() if name != "detector"}
    model = build_model(ModelOptions(init=str(tmp_path), categories="ovis", config=tracker))
    queries = given.model.transformer_module.queries_features.weight
    assert torch.equal(model.detector.mask2former.transformer_module.queries_features.weight, queries)


def test_nothing_said_of_the_model_is_an_error() -> None:
    with pytest.raises(InputError, match=r"model\.name"):
        build_model(ModelOptions())
    with pytest.raises(InputError, match=r"model\.categories"):
        build_model(ModelOptions(config=CONFIG))
    with pytest.raises(InputError, match="no multiple of 2 heads"):
        build_model(ModelOptions(config=CONFIG | {"hidden_dim": 49}, categories="ovis"))


def test_the_table_counts_every_weight_once(saved: Path) -> None:
    model = load_genvis(saved)
    model.detector.requires_grad_(False)
    rows = parameter_table(model)
    assert sum(row[1] for row in rows) == sum(parameter.numel() for parameter in model.parameters())
    assert [name for name, _, trained in rows if trained] == ["tracker"]


def test_a_frozen_detector_keeps_its_class_heads_and_a_trained_one_gets_new_ones(saved: Path) -> None:
    given = load_genvis(saved)
    options = ModelOptions(init=str(saved), categories="youtube_vis_2021")
    frozen, trained = build_model(options, freeze_detector=True), build_model(options)
    assert (frozen.detector.sizes.classes, trained.detector.sizes.classes) == (25, 40)
    for name, value in given.detector.state_dict().items():
        assert torch.equal(frozen.detector.state_dict()[name], value), name
    assert not frozen.config.detector_shares_categories
    assert trained.config.detector_shares_categories
    assert frozen.tracker.heads.class_predictor.out_features == 41


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"hidden_dim": 10**9}, "hidden_dim"),
        ({"encoder_layers": 10**5}, "encoder_layers"),
        ({"pixel_std": [0.0, 1.0, 1.0]}, "pixel_std"),
        ({"num_instance_queries": float("nan")}, "num_instance_queries"),
        ({"detector": {"decoder_layers": 10**6}}, "decoder_layers"),
    ],
)
def test_sizes_of_a_recipe_are_bounded(config: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        build_model(ModelOptions(config=CONFIG | config, categories="ovis"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder_layers": "../x"}, "encoder_layers"),
        ({"hidden_dim": 31}, "hidden_dim 31"),
        ({"num_instance_queries": 10**12}, "num_instance_queries is"),
        ({"detector": {**CONFIG["detector"], "backbone_config": {"model_type": "resnet", "depths": [[1]]}}}, "depths"),
        ({"detector": "x"}, "detector"),
    ],
)
def test_an_impossible_configuration_is_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        build_model(ModelOptions(config=CONFIG | changes, categories="ovis"))
    assert "\n" not in str(raised.value)


def test_a_network_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=100_000))
    with pytest.raises(InputError, match=r"describes a network of .* GB, but this machine has"):
        build_model(ModelOptions(config=CONFIG, categories="ovis"))


def test_a_tracker_starts_with_the_heads_of_its_detector(saved: Path) -> None:
    model = build_model(ModelOptions(init=str(saved), heads="detector")).eval()
    detector, tracker = model.detector, model.tracker
    with torch.inference_mode():
        detected = detector(torch.randn(2, 3, 64, 96))
        queries = detected.frame_queries[-1]  # (F, Q_f, C), of a norm with weights 1 and biases 0
        logits, embeddings = tracker.heads(queries)
        torch.testing.assert_close(logits, detector.class_predictor(queries), rtol=1e-4, atol=1e-4)
        predicted = detector.predict(detected)
        for frame in range(2):
            masks = projected_mask_logits(embeddings[frame], tracker.mask_features, detected.features[frame][None])[0]
            torch.testing.assert_close(masks, predicted.mask_logits(frame), rtol=1e-3, atol=1e-3)


def test_the_norm_of_the_heads_takes_the_mean_weights_of_the_detectors(saved: Path) -> None:
    source = load_genvis(saved)
    norm = source.detector.mask2former.transformer_module.decoder.layernorm
    with torch.no_grad():
        norm.weight.fill_(3.0)
        norm.bias.fill_(-0.5)
    heads = source.detector.tracker_heads()
    normalised = torch.nn.functional.layer_norm(torch.randn(5, norm.weight.numel()), norm.weight.shape)
    ours = normalised * heads["heads.norm.weight"] + heads["heads.norm.bias"]
    torch.testing.assert_close(ours, 3.0 * normalised - 0.5)


def test_the_class_head_of_other_classes_stays_new(saved: Path) -> None:
    torch.manual_seed(1)
    other = build_model(
        ModelOptions(init=str(saved), categories="youtube_vis_2021", heads="detector"), freeze_detector=True
    )
    assert other.tracker.heads.class_predictor.out_features == 41
    embedder = other.detector.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
    assert torch.equal(other.tracker.heads.mask_embedder[0].weight, next(embedder.parameters()))


def test_heads_of_a_detector_that_is_new_too_are_refused() -> None:
    with pytest.raises(InputError, match="as new as the tracker"):
        build_model(ModelOptions(config=CONFIG, categories="ovis", heads="detector"))


def test_heads_of_another_form_are_refused(saved: Path) -> None:
    with pytest.raises(InputError, match="do not fit the tracker"):
        build_model(ModelOptions(init=str(saved), config={"hidden_dim": 64, "mask_feature_size": 24}, heads="detector"))


def test_a_silent_memory_changes_nothing_at_first_and_learns(saved: Path) -> None:
    silent = build_model(ModelOptions(init=str(saved), memory="silent"))
    without = build_model(ModelOptions(init=str(saved), config={"memory_read": "none"}))
    torch.manual_seed(2)
    clips = torch.randn(3, 1, 2, silent.detector.sizes.queries, silent.detector.sizes.query_dim)
    states: list[Any] = [None, None]
    for clip in clips:
        outputs = []
        for place, model in enumerate((silent, without)):
            output, states[place] = model.tracker(clip, states[place])
            outputs.append(output.class_logits)
        torch.testing.assert_close(*outputs)
    outputs[0].square().sum().backward()
    reader = silent.tracker.memory_reader
    assert reader.query_value.weight.grad.abs().max() > 0
    assert reader.memory_value.weight.grad.abs().max() > 0


def test_a_memory_that_is_not_there_cannot_be_silent(saved: Path) -> None:
    with pytest.raises(InputError, match="no prototype memory"):
        build_model(ModelOptions(init=str(saved), config={"memory_read": "none"}, memory="silent"))


def test_a_tracker_that_compares_looks_finds_what_its_queries_held(saved: Path) -> None:
    width = CONFIG["detector"]["hidden_dim"]
    model = build_model(ModelOptions(init=str(saved), config={"hidden_dim": width}, attention="looks"))
    torch.manual_seed(3)
    queries = model.detector.sizes.queries
    frame = torch.linalg.qr(torch.randn(width, queries))[0].T * width**0.5  # (Q_f, C), none like another
    state = model.tracker.first_state(1)
    held = torch.randperm(queries)[: state.instance_queries.shape[1]]
    state = state._replace(instance_queries=frame[held][None].clone())
    with torch.inference_mode():
        _, state = model.tracker(frame[None, None], state)
    similarity = torch.nn.functional.normalize(state.instance_queries[0], dim=-1) @ frame.T
    assert similarity.argmax(dim=1).tolist() == held.tolist()


def test_a_tracker_that_compares_looks_learns_everywhere(saved: Path) -> None:
    width = CONFIG["detector"]["hidden_dim"]
    model = build_model(ModelOptions(init=str(saved), config={"hidden_dim": width}, attention="looks"))
    optimizer = torch.optim.SGD(model.tracker.parameters(), lr=0.1)
    torch.manual_seed(2)
    clips = torch.randn(2, 1, 2, model.detector.sizes.queries, width)
    for _ in range(2):  # What is multiplied by zero at first learns from the second step on.
        optimizer.zero_grad()
        output, state = model.tracker(clips[0])
        output, _ = model.tracker(clips[1], state)
        (output.class_logits.square().sum() + output.mask_embeddings.square().sum()).backward()
        optimizer.step()
    attention = [name for name, _ in model.tracker.named_parameters() if "attention" in name or "self_attn" in name]
    gradients = dict(model.tracker.named_parameters())
    assert all(gradients[name].grad.abs().max() > 0 for name in attention if name.endswith("weight"))


def test_looks_are_compared_only_where_they_can_be(saved: Path) -> None:
    with pytest.raises(InputError, match="frame queries have"):
        build_model(ModelOptions(init=str(saved), config={"hidden_dim": 64}, attention="looks"))
    with pytest.raises(InputError, match=r"without model\.init"):
        build_model(ModelOptions(config=CONFIG, categories="ovis", attention="looks"))


def test_a_new_tracker_takes_the_detector_alone(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = build_model(ModelOptions(init=str(saved))).state_dict()
    with caplog.at_level(logging.WARNING):
        model = build_model(ModelOptions(init=str(saved), tracker="new"))
    assert "the tracker" in caplog.text
    given = model.state_dict()
    assert all(torch.equal(given[name], source[name]) for name in source if name.startswith("detector."))
    weights = [name for name in source if name.startswith("tracker.") and source[name].ndim > 1]
    assert weights
    assert not any(torch.equal(given[name], source[name]) for name in weights)
    with pytest.raises(InputError, match=r"without model\.init"):
        build_model(ModelOptions(config=CONFIG, categories="ovis", tracker="new"))
