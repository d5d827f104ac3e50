"""A Mask2Former saved by transformers becomes the detector, with equal outputs."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, Mask2FormerForUniversalSegmentation

from genvis.categories import Categories, known_categories
from genvis.checkpoints.hub_families import hub_categories
from genvis.checkpoints.load import load
from genvis.checkpoints.model_folder import ModelFolder
from genvis.checkpoints.save import save_model
from genvis.errors import InputError
from genvis.model.config import DetectorConfig
from tests.tiny_families import save_tiny_family, tiny_family

STAGES = ["stage1", "stage2", "stage3", "stage4"]
BACKBONES = {
    "resnet": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "bottleneck",
        "out_features": STAGES,
    },
    "swin": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [2, 2, 2, 2],
        "num_heads": [1, 1, 2, 2],
        "window_size": 3,
        "out_features": STAGES,
    },
}
LABELS = Categories("", (1, 2, 3), ("cup", "ball", "hand"))


@pytest.fixture(scope="module", params=["swin", "resnet"])
def saved(request, tmp_path_factory):
    """A tiny Mask2Former with random weights, and the folder in which transformers saved it."""
    torch.manual_seed(0)
    config = DetectorConfig(
        backbone_config=BACKBONES[request.param],
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_layers=1,
        encoder_feedforward_dim=32,
        decoder_layers=3,
        dim_feedforward=32,
        num_queries=5,
        num_attention_heads=4,
        id2label=dict(enumerate(LABELS.names)),
        label2id={label: index for index, label in enumerate(LABELS.names)},
    )
    model = Mask2FormerForUniversalSegmentation(config).eval()
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return model, folder


def test_the_detector_has_the_outputs_of_the_mask2former(saved):
    source, folder = saved
    model = load(folder)
    assert not model.training
    assert model.config.method == "minvis"
    assert model.tracker is None
    assert model.config.categories.names == LABELS.names
    frames = torch.randint(0, 256, (1, 2, 3, 64, 96), dtype=torch.uint8)
    pixel_values = model.prepare_frames(frames)
    with torch.no_grad():
        expected = source(pixel_values)
        decoded = source.model(pixel_values, output_hidden_states=True)
        detected = model.detector(pixel_values, layers=3)
        predicted = model.detector.predict_layers(detected)
        masks = torch.einsum("fqc,fchw->fqhw", predicted.mask_embeddings[-1], predicted.mask_features)
    queries = torch.stack(decoded.transformer_decoder_intermediate_states).transpose(1, 2)[-3:]
    torch.testing.assert_close(detected.frame_queries, queries, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(predicted.class_logits[-1], expected.class_queries_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(masks, expected.masks_queries_logits, rtol=1e-4, atol=1e-4)


def test_a_truncated_file_is_refused(saved, tmp_path):
    _, folder = saved
    for file in folder.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content if file.suffix == ".json" else content[: len(content) // 2])
    with pytest.raises(InputError, match=r"could not be loaded: model\.safetensors is damaged"):
        load(tmp_path)


def test_the_preprocessor_of_the_model_decides(saved, tmp_path):
    _, folder = saved
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    processor = {"size": {"shortest_edge": 96, "longest_edge": 160}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    config = load(tmp_path).config
    assert (config.min_size_test, config.max_size_test) == (96, 160)
    assert tuple(config.pixel_mean) == (127.5,) * 3
    assert tuple(config.pixel_std) == (63.75,) * 3


def with_labels(labels: list[str], *, name: str = "folder") -> Categories:
    folder = ModelFolder(name, Path(), {"id2label": {str(index): label for index, label in enumerate(labels)}}, {})
    return hub_categories(folder)


def test_the_names_of_a_known_data_set_tell_its_category_ids():
    names = [label.replace("_", " ").title() for label in known_categories("youtube_vis_2019").names]
    categories = with_labels(names)
    assert (categories.name, categories.ids) == ("youtube_vis_2019", tuple(range(1, 41)))
    assert categories.names == tuple(names)
    assert with_labels(list(known_categories("coco").names)) == known_categories("coco")


def test_numbering_with_the_gaps_of_coco_is_kept():
    coco = known_categories("coco")
    names = ["N/A"] * 91
    for number, label in zip(coco.ids, coco.names, strict=True):
        names[number] = label
    categories = with_labels(names)
    assert categories.ids == tuple(range(91))
    assert categories.names[90] == "toothbrush"


def test_names_behind_those_of_coco_follow_its_ids():
    coco = known_categories("coco")
    categories = with_labels([*coco.names, "sky", "grass"])
    assert categories.ids == (*coco.ids, 91, 92)


def test_the_registry_tells_what_mere_numbers_are():
    names = [f"LABEL_{index}" for index in range(40)]
    assert with_labels(names, name="videomt-s-ytvis2019") == known_categories("youtube_vis_2019")
    assert with_labels(names, name="tue-mps/videomt-dinov2-large-ytvis2021") == known_categories("youtube_vis_2021")
    assert with_labels(names).ids == tuple(range(1, 41))
    assert with_labels(names[:7], name="videomt-s-ytvis2019").names == tuple(names[:7])


def test_mere_numbers_with_the_gaps_of_coco_get_its_names():
    categories = with_labels([f"LABEL_{index}" for index in range(91)], name="rf-detr-seg-nano")
    assert categories.ids == tuple(range(91))
    assert [categories.names[index] for index in (0, 1, 12, 90)] == ["N/A", "person", "N/A", "toothbrush"]


def test_own_names_are_numbered_from_one():
    assert with_labels(["kettle", "cup"]) == Categories("", (1, 2), ("kettle", "cup"))


@pytest.mark.parametrize("family", ["mask2former", "eomt", "rf_detr"])
def test_every_family_becomes_a_detector_with_the_scores_and_masks_of_transformers(family, tmp_path):
    folder = save_tiny_family(tmp_path, family)
    source, model = tiny_family(family), load(folder)
    assert (model.config.method, model.tracker) == ("minvis", None)
    assert model.config.categories.names == ("cat", "dog", "boat")
    pixel_values = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected = source(pixel_values)
        prediction = model.detector.predict(model.detector(pixel_values))
        masks = torch.stack([prediction.mask_logits(frame) for frame in range(2)])
    if family == "rf_detr":
        scores, expected_masks = expected.logits.sigmoid(), expected.pred_masks
    else:
        scores = expected.class_queries_logits.softmax(dim=-1)[..., :-1]
        expected_masks = expected.masks_queries_logits
    torch.testing.assert_close(prediction.class_scores, scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(masks, expected_masks, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["mask2former", "eomt", "rf_detr"])
def test_every_family_prepares_frames_as_its_image_processor(family, tmp_path):
    folder = save_tiny_family(tmp_path, family)
    processor = AutoImageProcessor.from_pretrained(folder)
    image = torch.randint(0, 256, (1, 3, 70, 130), dtype=torch.uint8)
    expected = processor(images=image[0], return_tensors="pt")["pixel_values"]
    preprocessing = load(folder).config.preprocessing
    torch.testing.assert_close(preprocessing.normalize(preprocessing.resize(image)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["videomt", "mask2former", "eomt", "rf_detr"])
def test_a_model_of_every_family_is_saved_and_comes_back(family, tmp_path):
    model = load(save_tiny_family(tmp_path / "given", family))
    save_model(model, tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert type(again) is type(model)
    assert again.config.categories == model.config.categories
    assert again.config.preprocessing == model.config.preprocessing
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("family", ["videomt", "mask2former", "eomt", "rf_detr"])
def test_a_missing_tensor_of_every_family_is_named(family, tmp_path):
    folder = save_tiny_family(tmp_path, family)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "criterion" not in name and "bbox" not in name)
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"do not fit its config\.json; missing: "):
        load(folder)


@pytest.mark.parametrize("family", ["videomt", "mask2former", "eomt", "rf_detr"])
def test_tensors_that_have_no_place_are_named_unless_they_are_derived(family, tmp_path, caplog):
    folder = save_tiny_family(tmp_path, family)
    tensors = load_file(folder / "model.safetensors")
    unused = {name for name in tensors if name.startswith("criterion.") or name.endswith("mask_token")}
    kept = {name: tensor for name, tensor in tensors.items() if name not in unused}
    derived = {"layers.0.attention.self.relative_position_index": torch.zeros(4, dtype=torch.long)}
    save_file(kept | derived, folder / "model.safetensors", metadata={"format": "pt"})
    load(folder)
    assert not caplog.records
    save_file(kept | {"head.weight": torch.zeros(4)}, folder / "model.safetensors", metadata={"format": "pt"})
    load(folder)
    assert re.search(r"that have no place are left out: \S*head\.weight\.", caplog.text)
    assert len(caplog.records) == 1
