"""Masks of the Hub's detectors at the frame's own size are those of transformers' own post-processing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import EomtImageProcessor, RfDetrImageProcessor

from genvis import VideoSegmenter, load
from tests.tiny_families import save_tiny_family, tiny_family

SIDE = 96


def image() -> np.ndarray:
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, size=(70, 131), mode="bilinear")[0] * 255).byte().permute(1, 2, 0).numpy()


def rf_detr_instances(frame: np.ndarray) -> list[tuple[int, float, np.ndarray]]:
    processor = RfDetrImageProcessor(size={"height": SIDE, "width": SIDE})
    with torch.no_grad():
        output = tiny_family("rf_detr")(processor(images=frame, return_tensors="pt")["pixel_values"])
    (found,) = processor.post_process_instance_segmentation(
        output, threshold=0.0, target_sizes=[frame.shape[:2]], return_binary_maps=True
    )
    masks = found["segmentation"].numpy()
    return [
        (segment["label_id"], segment["score"], mask)
        for segment, mask in zip(found["segments_info"], masks, strict=True)
    ]


def eomt_instances(frame: np.ndarray) -> list[tuple[int, float, np.ndarray]]:
    """By transformers' steps: its `post_process_instance_segmentation` itself paints masks over one another."""
    processor = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE}, do_pad=True)
    with torch.no_grad():
        output = tiny_family("eomt")(torch.stack(list(processor(images=frame, return_tensors="pt")["pixel_values"])))
    upsampled = F.interpolate(output.masks_queries_logits, size=(SIDE, SIDE), mode="bilinear")
    (logits,) = processor.unpad_image(upsampled, [frame.shape[:2]], processor.size)
    scores, labels = output.class_queries_logits[0].softmax(dim=-1)[:, :-1].max(dim=-1)
    return [
        (int(label), float(score), mask)
        for label, score, mask in zip(labels, scores, (logits > 0).numpy(), strict=True)
        if mask.any()
    ]


@pytest.mark.parametrize(("family", "reference"), [("rf_detr", rf_detr_instances), ("eomt", eomt_instances)])
def test_masks_at_the_size_of_the_frame(family: str, reference: Any, tmp_path: Path) -> None:
    model: Any = load(save_tiny_family(tmp_path, family))
    expected = reference(image())
    found = VideoSegmenter(model, tracker="queries").segment([image()], detections=1000, overlaps="keep").tracks
    assert expected
    for label, _, mask in expected:
        same = [track for track in found if track.label_id == label and track.masks[0] is not None]
        agreement = max((track.masks[0].decode() == mask).mean() for track in same)
        assert agreement >= 0.9999
