"""How much a frame query says of who it is: objects are found again by what the detector knows of them alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from experiments.recordings import RecordedVideo
from experiments.runner import Workspace
from experiments.validation_sets import validation_set
from genvis.files import make_folder, write_json
from genvis.masks import RLEMask
from genvis.model.detector.base import FrameDetector
from genvis.model.outputs import DetectorOutput

FILE = "identity.json"
GAPS = (1, 5, 15, 30)
POSITION_WEIGHT = 0.8
"""Of the mask IoU beside the cosine similarity, as in the prototype of memory matching."""
FOUND = 0.5
"""Mask IoU from which on an object counts as detected in a frame."""


class Detected(NamedTuple):
    """The detected objects of a video.

    Attributes:
        queries: (T, N, C), the unit-length frame query of each object; zero where it is not detected.
        masks: (T, N, h·w) float32, its detected mask.
        found: (T, N) bool, where it is detected.
    """

    queries: Tensor
    masks: Tensor
    found: NDArray[np.bool_]


class Shares(NamedTuple):
    """How many of the objects that are detected in two frames are recognised among each other, 0..1.

    Attributes:
        pairs: How many there are.
        chance: By guessing.
        query: By the cosine similarity of their frame queries.
        place: By the IoU of their masks.
        both: By the weighted sum of both.
    """

    pairs: int
    chance: float
    query: float
    place: float
    both: float


@torch.inference_mode()
def detected_objects(detector: FrameDetector, video: RecordedVideo) -> Detected:
    """Return the frame query that holds each object best in each frame, if it is detected.

    Args:
        detector: The recorded one.
        video: Of a recording.
    """
    queries = torch.from_numpy(video.frame_queries.astype(np.float32))  # (T, Q_f, C)
    features = torch.from_numpy(video.stride4_features.astype(np.float32))  # (T, C_f, h, w)
    predicted = detector.predict(DetectorOutput(queries[None], features))
    size = features.shape[-2:]
    height, width = detector.preprocessing.padded_size(*video.size)
    truth = torch.zeros(len(video), len(video.labels), *size)
    for thing, masks in enumerate(video.masks):
        for frame, mask in enumerate(masks):
            if mask is not None:
                whole = torch.from_numpy(RLEMask.from_coco(mask).decode().astype(np.float32))
                whole = F.pad(whole, (0, width - whole.shape[1], 0, height - whole.shape[0]))
                truth[frame, thing] = F.interpolate(whole[None, None], size=size, mode="area")[0, 0] >= 0.5
    held, of_objects, found = [], [], []
    for frame in range(len(video)):
        detected = (predicted.mask_logits(frame) > 0).flatten(1).float()  # (Q_f, h·w)
        wanted = truth[frame].flatten(1)  # (N, h·w)
        iou = _iou(wanted, detected)  # (N, Q_f)
        best, place = iou.max(dim=1)
        held.append(F.normalize(queries[frame, place], dim=-1))
        of_objects.append(detected[place])
        found.append((best >= FOUND).numpy())
    return Detected(torch.stack(held), torch.stack(of_objects), np.stack(found))


def recognised(videos: Sequence[Detected], *, gap: int) -> Shares:
    """Return how often objects are recognised after so many frames, among those that are detected in both.

    Args:
        videos: In which fewer than two objects are detected in both frames, nothing is asked.
        gap: Frames between the two.
    """
    asked, chance, right = 0, 0.0, np.zeros(3)
    for first, second, of_first, of_second in _frame_pairs(videos, gap=gap):
        cosine, iou = first @ second.mT, _iou(of_first, of_second)
        objects = len(first)
        asked += objects
        chance += 1.0
        for place, similarity in enumerate((cosine, iou, cosine + POSITION_WEIGHT * iou)):
            right[place] += int((similarity.argmax(dim=1) == torch.arange(objects)).sum())
    query, place, both = (right / max(1, asked)).tolist()
    return Shares(asked, chance / max(1, asked), query, place, both)


def measure_identity(workspace: Workspace, sets: Sequence[str]) -> str:
    """Measure how objects are recognised on some sets, and write it to the results.

    Returns:
        A line for each set and gap.
    """
    model = workspace.load_detector()
    found: dict[str, dict[int, dict[str, float]]] = {}
    said = []
    for name in sets:
        recording = workspace.recording(validation_set(name))
        videos = [detected_objects(model.detector, recording[index]) for index in range(len(recording))]
        for gap in GAPS:
            shares = recognised(videos, gap=gap)
            found.setdefault(name, {})[gap] = shares._asdict()
            parts = (f"{kind} {100 * share:.1f}" for kind, share in shares._asdict().items() if kind != "pairs")
            said.append(f"{name}, {gap} frames later, {shares.pairs} objects: {', '.join(parts)} %")
    make_folder(workspace.results_folder)
    write_json(workspace.results_folder / FILE, found)
    return "\n".join(said)


def _frame_pairs(videos: Sequence[Detected], *, gap: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    for video in videos:
        for frame in range(len(video.found) - gap):
            both = torch.from_numpy(np.flatnonzero(video.found[frame] & video.found[frame + gap]))
            if len(both) >= 2:
                yield (
                    video.queries[frame, both],
                    video.queries[frame + gap, both],
                    video.masks[frame, both],
                    video.masks[frame + gap, both],
                )


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """Return (A, B), the IoU of masks (A, P) and (B, P)."""
    common = first @ second.mT
    return common / (first.sum(dim=1)[:, None] + second.sum(dim=1) - common).clamp(min=1)
