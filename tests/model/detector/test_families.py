"""Every detector gives what transformers' own class of its family gives, and feeds a GenVIS tracker."""

from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import EomtImageProcessor, PreTrainedModel, RfDetrImageProcessor

from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.detector.base import FrameDetector
from genvis.model.detector.factory import build_detector
from genvis.model.genvis import GenVIS
from genvis.model.outputs import FramePrediction
from genvis.model.preprocessing import Preprocessing
from tests.tiny_families import tiny_family

FAMILIES = ["eomt", "rf_detr", "mask2former"]
SIDE = 96


def pixels(frames: int, height: int, width: int, *, seed: int = 1) -> Tensor:
    return torch.randn(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


class Pair(NamedTuple):
    reference: PreTrainedModel
    detector: FrameDetector


def pair(family: str, **fields: Any) -> Pair:
    """A random model of transformers and our detector with its weights."""
    reference = tiny_family(family, **fields)
    preprocessing = Preprocessing.from_image_processor(family, {}, side=SIDE)
    detector = build_detector(reference.config, preprocessing).eval()
    detector.load_state_dict(type(detector).renamed(reference.state_dict()))
    return Pair(reference, detector)


def predicted_masks(prediction: FramePrediction) -> Tensor:
    return torch.stack([prediction.mask_logits(frame) for frame in range(len(prediction.class_scores))])


def reference_scores_and_masks(family: str, output: Any) -> tuple[Tensor, Tensor]:
    if family == "rf_detr":
        return output.logits.sigmoid(), output.pred_masks
    return output.class_queries_logits.softmax(dim=-1)[..., :-1], output.masks_queries_logits


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_and_masks_are_those_of_transformers(family: str) -> None:
    reference, detector = pair(family)
    frames = pixels(3, SIDE, SIDE)
    with torch.no_grad():
        scores, masks = reference_scores_and_masks(family, reference(frames))
        detected = detector(frames)
        prediction = detector.predict(detected)
    torch.testing.assert_close(prediction.class_scores, scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(predicted_masks(prediction), masks, rtol=0, atol=1e-4)
    sizes = detector.sizes
    assert detected.frame_queries.shape == (1, 3, sizes.queries, sizes.query_dim)
    assert detected.features.shape == (3, sizes.feature_dim, SIDE // 4, SIDE // 4)
    assert prediction.class_scores.shape == (3, sizes.queries, sizes.classes)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers_are_there_and_the_last_is_the_answer(family: str) -> None:
    _, detector = pair(family)
    frames = pixels(2, SIDE, SIDE)
    with torch.no_grad():
        layers, last = detector(frames, layers=detector.sizes.layers), detector(frames)
    assert len(layers.frame_queries) == detector.sizes.layers
    assert torch.equal(layers.frame_queries[-1], last.frame_queries[0])
    assert not torch.allclose(layers.frame_queries[0], layers.frame_queries[-1])
    with torch.no_grad():
        first = detector.predict(layers, layer=0)
    assert first.class_scores.shape == detector.predict(last).class_scores.shape


@pytest.mark.parametrize("probabilities", [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_attention_of_eomt_is_masked_where_training_still_masked_it(probabilities: tuple[float, float]) -> None:
    reference, detector = pair("eomt")
    for model in (reference, detector.eomt):
        model.attn_mask_probs.copy_(torch.tensor(probabilities))
    frames = pixels(2, SIDE, SIDE)
    with torch.no_grad():
        expected = reference(frames)
        prediction = detector.predict(detector(frames))
    torch.testing.assert_close(predicted_masks(prediction), expected.masks_queries_logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["eomt", "rf_detr"])
def test_pixels_and_masks_go_the_way_of_the_image_processors(family: str) -> None:
    reference, detector = pair(family)
    image = (F.interpolate(torch.rand(1, 3, 7, 9), size=(70, 130), mode="bilinear") * 255).to(torch.uint8)
    if family == "eomt":
        processor = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE}, do_pad=True)
    else:
        processor = RfDetrImageProcessor(size={"height": SIDE, "width": SIDE})
    with torch.no_grad():
        expected = reference(pixel_values=processor(images=image[0], return_tensors="pt")["pixel_values"])
        prepared = detector.preprocessing.normalize(detector.preprocessing.resize(image))
        prediction = detector.predict(detector(prepared))
    scores, masks = reference_scores_and_masks(family, expected)
    torch.testing.assert_close(prediction.class_scores, scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(predicted_masks(prediction), masks, rtol=0, atol=1e-4)


def test_eomt_takes_inputs_that_are_not_its_square() -> None:
    _, detector = pair("eomt")
    with torch.no_grad():
        detected = detector(pixels(2, 64, 128))
    assert detected.features.shape == (2, 48, 16, 32)
    assert bool(detected.frame_queries.isfinite().all())


@pytest.mark.parametrize(("family", "multiple"), [("eomt", 16), ("rf_detr", 24)])
def test_inputs_that_do_not_fit_the_patches_are_named(family: str, multiple: int) -> None:
    _, detector = pair(family)
    with pytest.raises(InputError, match=f"no multiple of {multiple}"):
        detector(pixels(1, 100, 96))


def genvis(family: str, **fields: Any) -> GenVIS:
    torch.manual_seed(0)
    detector = tiny_family(family).config
    sizes: dict[str, Any] = {
        "hidden_dim": 32,
        "mask_feature_size": 16,
        "num_attention_heads": 4,
        "dim_feedforward": 32,
        "encoder_layers": 1,
        "object_decoder_layers": 2,
        "num_instance_queries": 5,
        "min_size_test": SIDE,
        "id2label": detector.id2label,
        "label2id": detector.label2id,
    }
    return GenVIS(GenVISConfig(detector=detector, **(sizes | fields))).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_genvis_tracker_reads_queries_and_features_of_any_width(family: str) -> None:
    model = genvis(family)
    frames = torch.randint(0, 256, (1, 2, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        first, state = model(frames)
        second, _ = model(frames, state)
    assert first.class_logits.shape == (1, 5, 4)
    assert first.mask_features.shape == (1, 2, 16, SIDE // 4, SIDE // 4)
    assert not torch.equal(first.class_logits, second.class_logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_on_any_detector_is_saved_and_loaded(family: str, tmp_path: Any) -> None:
    model = genvis(family, resizing={"rule": "square", "antialias": False}, size_divisibility=24)
    model.save_pretrained(tmp_path)
    loaded: GenVIS = GenVIS.from_pretrained(tmp_path)
    assert type(loaded.detector) is type(model.detector)
    assert loaded.detector.preprocessing == model.detector.preprocessing
    frames = torch.randint(0, 256, (1, 2, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        for ours, theirs in zip(model(frames)[0], loaded(frames)[0], strict=True):
            assert torch.equal(ours, theirs)


def test_queries_without_a_meaning_of_their_index_get_no_positions() -> None:
    """Any order of RF-DETR's frame queries gives the same instances."""
    model = genvis("rf_detr")
    tracker = model.tracker
    assert tracker is not None
    assert tracker.decoder.frame_query_position is None
    queries = torch.randn(1, 1, 9, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, _ = tracker(queries)
        shuffled, _ = tracker(queries[:, :, torch.randperm(9)])
    torch.testing.assert_close(ours.class_logits, shuffled.class_logits)
    other = genvis("eomt").tracker
    assert other is not None
    assert other.decoder.frame_query_position is not None


@pytest.mark.parametrize("family", ["eomt", "rf_detr"])
def test_a_graph_of_the_detector_can_be_exported(family: str) -> None:
    _, detector = pair(family)
    frames = pixels(2, SIDE, SIDE)
    with torch.no_grad():
        expected = detector(frames)
        exported = torch.export.export(detector, (frames,), strict=False).module()
        for ours, wanted in zip(exported(frames), expected, strict=True):
            torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_gives_nearly_the_same_scores(family: str) -> None:
    _, detector = pair(family)
    frames = pixels(1, SIDE, SIDE)
    with torch.no_grad():
        expected = detector.predict(detector(frames)).class_scores.sort(dim=1).values  # Proposals may change places.
        detector.to(torch.bfloat16)
        prediction = detector.predict(detector(frames.bfloat16()))
    assert prediction.class_scores.dtype == torch.float32
    assert prediction.mask_logits(0).dtype == torch.float32
    assert (prediction.class_scores.sort(dim=1).values - expected).abs().mean() < 0.05
