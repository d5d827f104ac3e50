"""Association of the detections of a frame with the remembered tracks: the algorithm of memory matching.

The assignment is the Hungarian one, as in MinVIS, but between detections and tracks instead of the queries of two
frames: a track keeps its last queries, its last mask and its classes, and survives frames without a detection.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.track_archive import match
from genvis.inference.trackers.track_memory import TrackMemory
from genvis.model.mask_overlap import suppress_overlaps


class FrameDetections(NamedTuple):
    """All that a detector found in one frame, in any order.

    Attributes:
        queries: (Q, C), one embedding per detection.
        class_probabilities: (Q, K), without "no object".
        mask_logits: (Q, h, w).
    """

    queries: Tensor
    class_probabilities: Tensor
    mask_logits: Tensor


class FrameTracks(NamedTuple):
    """Tracks that were found in one frame, best detection first.

    Attributes:
        track_ids: (N,) int64, from 1; no id twice.
        detections: (N,) int64, the row of the detection that is this track's.
    """

    track_ids: Tensor
    detections: Tensor


@torch.inference_mode()
def associate(
    found: FrameDetections,
    memory: TrackMemory | None,
    options: MemoryMatchingOptions,
    *,
    archive: ArchiveOptions | None = None,
) -> tuple[FrameTracks, TrackMemory]:
    """Match the detections of the next frame of a video with its tracks.

    Args:
        found: All detections of the frame; any number, also none.
        memory: What the previous frame of the same video left; None for its first frame.
        options: Thresholds and weights, the same for all frames of a video.
        archive: Of tracks that the memory lets go of, the same for all frames; None keeps none.

    Returns:
        The tracks of this frame, and the memory for the next one.
    """
    if memory is None:
        memory = TrackMemory.empty(
            classes=found.class_probabilities.shape[1],
            channels=found.queries.shape[1],
            bank_size=options.bank_size,
            device=found.queries.device,
            archive=archive,
        )
    chosen, scores = select_detections(found, options)  # (D,), (D,), best first
    queries = normalize(found.queries[chosen].float(), dim=-1)  # (D, C)
    probabilities = found.class_probabilities[chosen].float()  # (D, K)
    masks = found.mask_logits[chosen] > 0  # (D, h, w)

    similarity = memory.similarity(queries, nearest=options.nearest)  # (D, M)
    similarity += options.position_weight * memory.mask_overlap(masks)
    similarity += options.class_weight * memory.class_probability(probabilities.argmax(dim=1))
    rows = match(similarity, threshold=options.match_threshold)  # (D,), -1: none

    lives = (rows >= 0) | (scores >= options.birth_score)  # (D,)
    new = torch.nonzero(lives & (rows < 0)).flatten()
    memory, rows[new] = memory.revived(queries[new], probabilities[new])
    memory = memory.observe(
        rows=rows[lives],
        queries=queries[lives],
        class_probabilities=probabilities[lives],
        masks=masks[lives],
        velocity_gain=options.velocity_gain,
    )
    # The tracks of this frame are now the first rows of the memory.
    tracks = FrameTracks(track_ids=memory.ids[: int(lives.sum())], detections=chosen[lives])
    return tracks, _without_old(memory, options)


def select_detections(found: FrameDetections, options: MemoryMatchingOptions) -> tuple[Tensor, Tensor]:
    """Return the rows of the detections that count, best first, and their scores: (D,) each."""
    class_scores = found.class_probabilities.float().amax(dim=1)  # (Q,)
    # The mask can only lower the score: most queries of a frame end here, before a pixel is read.
    rows = torch.nonzero(class_scores >= options.detection_threshold).flatten()
    scores = class_scores[rows] * mask_certainty(found.mask_logits[rows])
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= options.detection_threshold]
    rows, scores = rows[order], scores[order]
    kept = suppress_overlaps(found.mask_logits[rows] > 0, iou=options.nms_iou)
    return rows[kept], scores[kept]


def _without_old(memory: TrackMemory, options: MemoryMatchingOptions) -> TrackMemory:
    """Return the memory without the tracks that were not seen for too long."""
    age = memory.age  # (M,), ascending
    is_confirmed = memory.observations >= options.confirmed_after
    keep_frames = options.keep_frames
    if memory.archive is not None:
        keep_frames = min(keep_frames, memory.archive.options.absent_frames)
    kept = age <= torch.where(is_confirmed, keep_frames, options.keep_unconfirmed)
    kept &= kept.cumsum(dim=0) <= options.max_tracks
    return memory.archived(~kept).keep(kept, masks=int((age < options.position_frames).sum()))


def mask_certainty(mask_logits: Tensor) -> Tensor:
    """Return (Q,): the mean probability inside masks (Q, h, w), 0 for empty ones."""
    inside = mask_logits > 0
    pixels = inside.flatten(1).sum(dim=1)
    return (mask_logits.float().sigmoid() * inside).flatten(1).sum(dim=1) / pixels.clamp(min=1)
