"""Looks of tracks: the frame queries of the detections under their masks."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.model.mask_overlap import looks_under_masks
from genvis.model.outputs import DetectorOutput, FramePrediction

QUERIES = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def rectangle(left: int, right: int) -> Tensor:
    """Logits of a mask that is as high as the frame."""
    mask = torch.full((4, 12), -1.0)
    mask[:, left:right] = 1.0
    return mask


def detections(masks: list[list[Tensor]], scores: list[list[float]]) -> tuple[DetectorOutput, FramePrediction]:
    """T frames of four queries each, with one class."""
    features = torch.stack([torch.stack(frame) for frame in masks])  # (T, 4, h, w): a channel is the mask of a query.
    queries = torch.stack([(1 + frame) * QUERIES for frame in range(len(masks))])  # Their length says nothing.
    prediction = FramePrediction(torch.tensor(scores)[..., None], torch.eye(4).expand(len(masks), 4, 4), features)
    return DetectorOutput(queries[None], features), prediction


def test_a_track_looks_like_the_detection_under_its_mask():
    frame = [rectangle(0, 4), rectangle(4, 8), rectangle(8, 12), rectangle(0, 4)]
    detected, predicted = detections([frame], [[0.9, 0.8, 0.7, 0.05]])
    tracks = torch.stack(
        [rectangle(8, 12), rectangle(0, 5), rectangle(4, 12), rectangle(0, 12), torch.full((4, 12), -1.0)]
    )
    looks = looks_under_masks(tracks[None], detected, predicted)
    # The fourth query, as good a mask as the first, is no object; half of a mask is its object, a third is not.
    assert torch.equal(looks, torch.stack([*normalize(QUERIES, dim=1)[[2, 0, 1]], torch.zeros(3), torch.zeros(3)]))


def test_over_frames_it_is_the_mean_of_those_in_which_one_is_there():
    frame = [rectangle(0, 4), rectangle(4, 8), rectangle(8, 12), rectangle(0, 4)]
    moved = [rectangle(4, 8), rectangle(0, 4), rectangle(8, 12), rectangle(0, 4)]
    scores = [[0.9, 0.9, 0.9, 0.0], [0.9, 0.9, 0.0, 0.0], [0.0] * 4]
    detected, predicted = detections([frame, moved, frame], scores)
    tracks = torch.stack([rectangle(0, 4), rectangle(8, 12)])
    looks = looks_under_masks(tracks.expand(3, -1, -1, -1), detected, predicted)
    assert torch.allclose(looks, torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
