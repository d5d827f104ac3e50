"""Memory matching: a tracker without training, which compares detections with what it remembers of every track."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genvis.inference.scoring import ScoreRule
from genvis.inference.trackers.frame_association import FrameDetections, FrameTracks, associate
from genvis.inference.trackers.matching_options import ArchiveOptions, MemoryMatchingOptions
from genvis.inference.trackers.track_memory import TrackMemory
from genvis.inference.trackers.video_tracker import TrackedClip, VideoTracker
from genvis.model.device_copies import on_cpu, to_device

if TYPE_CHECKING:
    from genvis.model.detector.base import FrameDetector

# Of the pixels of a track in frames in which it was not found: the sigmoid is 0, and resizing stays finite.
NO_MASK = -100.0


class MemoryMatching(VideoTracker):
    """Tracker without training over the detections of any frame-level detector; causal, frame by frame.

    Cost and memory of a frame depend on its detections and on ``max_tracks``, not on the length of the video, and a
    video may have any number of tracks. The score of a track is its mean class probability, lower until it was found in
    ``sure_after`` frames, times the quality of its masks.

    It fails where looks and place say nothing: two objects that look alike and change places while hidden may swap
    ids (``velocity_gain`` is against that). An object that looks different when it comes back (another side, another
    light) gets a new id, as does one that comes back after ``keep_frames``, unless an archive remembers it. Objects
    that the detector joins in one mask share one track until it parts them. The thresholds are for queries whose cosine
    similarity is near 1 for one object and clearly lower for two; a detector with other queries may need another
    ``match_threshold``.

    Args:
        detector: Frame-level detector, in evaluation mode.
        options: None takes the defaults.
        archive: Of tracks that the memory lets go of, see `TrackArchive`; it does so after ``absent_frames``, if these
            are fewer than ``keep_frames``. None keeps none.
    """

    is_causal = True

    def __init__(
        self,
        detector: "FrameDetector",
        options: MemoryMatchingOptions | None = None,
        *,
        archive: ArchiveOptions | None = None,
    ) -> None:
        self.detector = detector
        self.archive = archive
        self.options = options or MemoryMatchingOptions()
        self.score_rule = ScoreRule(evidence="mean_probability", full_after=self.options.sure_after)

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: TrackMemory | None) -> tuple[TrackedClip, TrackMemory]:
        """Follow the objects frame by frame; clips of any lengths give the same: see `VideoTracker.track`."""
        detected = self.detector(pixel_values)
        predicted = self.detector.predict(detected)
        # A device is waited for twice in a clip; all that asks for values is done on the CPU.
        scores, queries = on_cpu(predicted.class_scores, detected.frame_queries[-1])  # (T, Q, K), (T, Q, C)
        # Only of queries that can count the masks are computed.
        likely = [
            torch.nonzero(of_frame.amax(dim=1) >= self.options.detection_threshold).flatten()  # (D,)
            for of_frame in scores
        ]
        masks = on_cpu(
            *(
                predicted.mask_logits(frame, to_device(rows, predicted.mask_embeddings.device))  # (D, h, w)
                for frame, rows in enumerate(likely)
            )
        )
        detections, tracks = [], []
        for frame, rows in enumerate(likely):
            found = FrameDetections(queries[frame, rows], scores[frame, rows], masks[frame])
            followed, state = associate(found, state, self.options, archive=self.archive)
            detections.append(found)
            tracks.append(followed)
        assert state is not None
        return clip_of_frames(detections, tracks), state

    def cut(self, state: TrackMemory | None) -> TrackMemory | None:
        """Archive all tracks, if there is an archive: see `VideoTracker.cut`."""
        if state is None or state.archive is None:
            return None
        return state.with_cut()

    def remembered(self, state: TrackMemory | None) -> set[int]:
        """Return the track ids in memory and in the archive: see `VideoTracker.remembered`."""
        if state is None:
            return set()
        archived = [] if state.archive is None else state.archive.records.numbers.tolist()
        return {*state.ids.tolist(), *archived}

    def state_tensors(self, state: TrackMemory | None) -> dict[str, Tensor]:
        """Return the memory: see `VideoTracker.state_tensors`."""
        return {} if state is None else state.tensors()

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> TrackMemory | None:
        """Return the memory again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        return TrackMemory.from_tensors(
            tensors,
            classes=self.detector.sizes.classes,
            channels=self.detector.sizes.query_dim,
            bank_size=self.options.bank_size,
            device=torch.device("cpu"),
            archive=self.archive,
        )


def clip_of_frames(detections: Sequence[FrameDetections], tracks: Sequence[FrameTracks]) -> TrackedClip:
    """Join the tracks of T frames to those of a clip, ordered by track id; all is on the CPU.

    Args:
        detections: Of each frame.
        tracks: Which of them are which tracks.
    """
    track_ids = torch.cat([one.track_ids for one in tracks]).unique()  # (N,), sorted
    first = detections[0]
    evidence = first.class_probabilities.new_zeros(len(track_ids), first.class_probabilities.shape[1])
    observations = evidence.new_zeros(len(track_ids))
    presence = evidence.new_zeros(len(track_ids))
    embeddings = evidence.new_zeros(len(track_ids), first.queries.shape[1])
    masks = evidence.new_full((len(tracks), len(track_ids), *first.mask_logits.shape[1:]), NO_MASK)
    for frame, (found, followed) in enumerate(zip(detections, tracks, strict=True)):
        rows = torch.searchsorted(track_ids, followed.track_ids)
        probabilities = found.class_probabilities[followed.detections]
        evidence[rows] += probabilities
        observations[rows] += 1
        embeddings[rows] += normalize(found.queries[followed.detections].float(), dim=-1)
        presence[rows] = torch.maximum(presence[rows], probabilities.amax(dim=1))
        masks[frame, rows] = found.mask_logits[followed.detections].float()
    return TrackedClip(
        track_ids=track_ids,
        class_evidence=evidence / observations[:, None],
        observations=observations,
        presence=presence,
        mask_logits=masks,
        embeddings=embeddings,
    )
