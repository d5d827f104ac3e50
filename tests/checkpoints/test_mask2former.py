"""A Mask2Former saved by transformers becomes the detector, with equal outputs."""

from pathlib import Path

import pytest
import torch
from transformers import Mask2FormerForUniversalSegmentation

from genvis import GenVISConfig
from genvis.categories import Categories, known_categories
from genvis.checkpoints import detector_from_mask2former
from genvis.errors import InputError
from genvis.model.config import DetectorConfig

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


def tracker_sizes() -> GenVISConfig:
    detector = {"backbone_config": BACKBONES["resnet"], "hidden_dim": 32, "feature_size": 32}
    return GenVISConfig(detector=detector, hidden_dim=32, num_attention_heads=4, dim_feedforward=32, encoder_layers=1)


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
    model = detector_from_mask2former(folder, config=tracker_sizes())
    assert not model.training
    assert model.config.categories == LABELS
    frames = torch.randint(0, 256, (1, 2, 3, 64, 96), dtype=torch.uint8)
    pixel_values = model.prepare_frames(frames)
    with torch.no_grad():
        expected = source(pixel_values)
        decoded = source.model(pixel_values, output_hidden_states=True)
        detected = model.detector(pixel_values, layers=3)
        predicted = model.detector.predict(detected)
        masks = torch.einsum("fqc,fchw->fqhw", predicted.mask_embeddings[-1], predicted.mask_features)
    queries = torch.stack(decoded.transformer_decoder_intermediate_states).transpose(1, 2)[-3:]
    torch.testing.assert_close(detected.frame_queries, queries, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(predicted.class_logits[-1], expected.class_queries_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(masks, expected.masks_queries_logits, rtol=1e-4, atol=1e-4)


def test_the_tracker_has_the_sizes_asked_for_and_runs(saved):
    _, folder = saved
    model = detector_from_mask2former(str(folder), config=tracker_sizes())
    with torch.no_grad():
        prediction, state = model(torch.zeros(1, 2, 3, 64, 96, dtype=torch.uint8))
    assert prediction.class_logits.shape == (1, 100, 4)
    assert len(model.tracker.encoder.layers) == 1
    assert len(state.memory) == 1


def test_other_labels_make_new_class_heads_and_leave_all_else(saved):
    source, folder = saved
    model = detector_from_mask2former(folder, config=tracker_sizes(), labels=known_categories("ovis"))
    assert model.config.categories == known_categories("ovis")
    assert model.detector.class_predictor.weight.shape == (26, 32)
    assert model.tracker.heads.class_predictor.weight.shape == (26, 32)
    assert not torch.equal(model.detector.class_predictor.weight[:4], source.class_predictor.weight)
    embedding = source.model.transformer_module.queries_features.weight
    assert torch.equal(model.detector.mask2former.transformer_module.queries_features.weight, embedding)


def test_as_many_other_labels_make_new_class_heads_too(saved):
    source, folder = saved
    labels = Categories("mine", (4, 5, 6), ("fork", "knife", "spoon"))
    model = detector_from_mask2former(folder, config=tracker_sizes(), labels=labels)
    assert not torch.equal(model.detector.class_predictor.weight, source.class_predictor.weight)


def test_the_same_labels_keep_the_class_head(saved):
    source, folder = saved
    labels = Categories("mine", (4, 5, 6), LABELS.names)
    model = detector_from_mask2former(folder, config=tracker_sizes(), labels=labels)
    assert torch.equal(model.detector.class_predictor.weight, source.class_predictor.weight)
    assert model.config.categories == labels


def test_what_is_no_mask2former_is_refused(saved, tmp_path):
    _, folder = saved
    with pytest.raises(InputError, match=r"has no config\.json"):
        detector_from_mask2former(tmp_path)
    with pytest.raises(InputError, match="give a folder or a Hub id"):
        detector_from_mask2former(tmp_path / "absent")
    model = detector_from_mask2former(folder, config=tracker_sizes())
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds a model of type 'genvis'"):
        detector_from_mask2former(tmp_path)


def test_a_truncated_file_is_refused(saved, tmp_path):
    _, folder = saved
    for file in folder.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content if file.suffix == ".json" else content[: len(content) // 2])
    with pytest.raises(InputError, match="No Mask2Former could be loaded"):
        detector_from_mask2former(tmp_path)


def test_a_tracker_that_does_not_fit_the_width_is_named(saved):
    _, folder = saved
    config = GenVISConfig(num_attention_heads=64)
    with pytest.raises(InputError, match="hidden_dim 32 is no multiple of 64 heads"):
        detector_from_mask2former(Path(folder), config=config)
