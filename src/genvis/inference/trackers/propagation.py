"""Query propagation: GenVIS and VidEoMT carry their queries from clip to clip, so that query q stays one track."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.scoring import GREATEST_PROBABILITY, MEAN_LOGITS
from genvis.inference.trackers.matching_options import ArchivedLooks
from genvis.inference.trackers.video_tracker import SlotTracker, TrackedClip
from genvis.model.config import PUBLISHED_NO_OBJECT_WEIGHT
from genvis.model.device_copies import to_device
from genvis.model.mask_overlap import looks_under_masks
from genvis.model.outputs import TrackerState
from genvis.model.tracker.memory_bank import PrototypeMemory

if TYPE_CHECKING:
    from genvis.model.detector.base import FrameDetector
    from genvis.model.tracker.query_tracker import QueryTracker
    from genvis.model.tracker.videomt import VidEoMT
    from genvis.runtimes.exported_networks import ExportedVidEoMTStep
    from genvis.runtimes.graphed_networks import GraphedVidEoMT


class QueryPropagation(SlotTracker):
    """GenVIS: instance queries are propagated, and read a memory of their past clips (paper, sections 3.2 and 3.3).

    Fails where a video has more objects than queries, and where a query lets go of its object in a long occlusion.

    Args:
        detector: Frame-level detector, in evaluation mode.
        tracker: Network trained to track the detector's queries.
        memory_clips: How many past clips the instance prototype memory keeps; None takes the network's number.
        occupancy_weighted: Renew a query only as far as it holds an object, see `occupancy_mixture`.
        no_object_weight: Of the loss that the network was trained with, see `GenVISConfig`.
        looks: What the embeddings of clips are: instance queries, or what the detector sees under the masks, which
            tells objects apart better and costs its masks.
    """

    score_rule = GREATEST_PROBABILITY
    is_causal = True

    def __init__(
        self,
        detector: "FrameDetector",
        tracker: "QueryTracker",
        *,
        memory_clips: int | None = None,
        occupancy_weighted: bool = False,
        no_object_weight: float = PUBLISHED_NO_OBJECT_WEIGHT,
        looks: ArchivedLooks = "queries",
    ) -> None:
        self.detector = detector
        self.tracker = tracker
        self.no_object_weight = no_object_weight
        self.memory_clips = memory_clips
        self.occupancy_weighted = occupancy_weighted
        self.looks = looks

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: TrackerState | None) -> tuple[TrackedClip, TrackerState]:
        """Follow the objects through a clip of any length: see `VideoTracker.track`."""
        detected = self.detector(pixel_values)
        tokens = self.tracker.tokens(self.detector, detected)[None]  # (1, T, Q_f, C + P)
        output, state = self.tracker(
            tokens, state, memory_clips=self.memory_clips, occupancy_weighted=self.occupancy_weighted
        )
        mask_logits = self.tracker.mask_logits(output, detected.features)  # (T, Q, h, w)
        embeddings = self.tracker.without_places(state.instance_queries[0])  # (Q, C)
        if self.looks == "detections":
            embeddings = looks_under_masks(mask_logits, detected, self.detector.predict(detected))  # (Q, C_det)
        tracks = tracks_of_queries(
            output.class_logits[-1, 0], mask_logits, embeddings, no_object_weight=self.no_object_weight
        )
        return tracks, state

    @torch.inference_mode()
    def released(self, state: TrackerState, slots: Tensor) -> TrackerState:
        """Return a state in which some queries are learned ones without a memory: see `SlotTracker.released`."""
        return self.tracker.released(state, slots)

    def state_tensors(self, state: TrackerState | None) -> dict[str, Tensor]:
        """Return instance queries and memory: see `VideoTracker.state_tensors`."""
        if state is None:
            return {}
        memory = state.memory
        tensors = {
            "instance_queries": state.instance_queries,
            "memory_keys": memory.keys,
            "memory_values": memory.values,
            **({} if memory.own_clips is None else {"memory_own_clips": memory.own_clips}),
        }
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> TrackerState | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        learned = self.tracker.first_queries  # (Q, C)
        memory = (1, len(tensors.get("memory_keys", learned[None])[0]), *learned.shape)  # (1, M, Q, C)
        others = dict(tensors)
        own_clips = others.pop("memory_own_clips", None)
        queries, keys, values = state_parts(
            others,
            {"instance_queries": (1, *learned.shape), "memory_keys": memory, "memory_values": memory},
            like=learned,
        )
        if own_clips is not None:
            if own_clips.shape != (1, len(learned)) or own_clips.dtype != torch.int64:
                raise InputError("The saved 'memory_own_clips' does not fit the queries: it is of another model.")
            own_clips = to_device(own_clips, learned.device)
        return TrackerState(instance_queries=queries, memory=PrototypeMemory(keys, values, own_clips))


class VidEoMTPropagation(SlotTracker):
    """VidEoMT: the queries of a frame start from those of the frame before; nothing else is kept of the past.

    Fails where a query takes over another object while its own is occluded, and where a video has more objects than
    queries.

    Args:
        model: The network, in evaluation mode, or its exported or recorded graph.
        occupancy_weighted: As in `QueryPropagation`.
    """

    score_rule = MEAN_LOGITS
    is_causal = True

    def __init__(
        self, model: "VidEoMT | GraphedVidEoMT | ExportedVidEoMTStep", *, occupancy_weighted: bool = False
    ) -> None:
        self.model = model
        self.occupancy_weighted = occupancy_weighted

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: Tensor | None) -> tuple[TrackedClip, Tensor]:
        """Follow the objects through a clip; its frames are propagated one by one: see `VideoTracker.track`."""
        class_logits, mask_logits, state = self.model.step(
            pixel_values, state, occupancy_weighted=self.occupancy_weighted
        )
        presence = 1 - class_logits.float().softmax(dim=-1)[..., -1].mean(dim=0)  # (Q,)
        clip = TrackedClip(
            track_ids=torch.arange(class_logits.shape[1]),
            class_evidence=class_logits.float().mean(dim=0),  # (Q, K + 1)
            observations=torch.full_like(presence, len(class_logits)),
            presence=presence,
            mask_logits=mask_logits,
            embeddings=state[0],
        )
        return clip, state

    @torch.inference_mode()
    def released(self, state: Tensor, slots: Tensor) -> Tensor:
        """Return a state in which some queries have no past: see `SlotTracker.released`."""
        return state.masked_fill(to_device(slots, state.device)[:, None], 0)

    def state_tensors(self, state: Tensor | None) -> dict[str, Tensor]:
        """Return the propagated queries: see `VideoTracker.state_tensors`."""
        return {} if state is None else {"queries": state.detach().cpu().contiguous()}

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        empty = self.model.empty_state
        (queries,) = state_parts(tensors, {"queries": tuple(empty.shape)}, like=empty)
        return queries


def tracks_of_queries(
    class_logits: Tensor,
    mask_logits: Tensor,
    queries: Tensor | None = None,
    *,
    no_object_weight: float = PUBLISHED_NO_OBJECT_WEIGHT,
) -> TrackedClip:
    """Return the tracks of a clip in which row q is track q.

    Args:
        class_logits: (Q, K + 1), "no object" last.
        mask_logits: (T, Q, h, w).
        queries: (Q, C), embeddings of this clip; None where there are only those of the whole video.
        no_object_weight: Of the loss that the network was trained with: presence is as if it had been the published.
    """
    probabilities = class_logits.float().softmax(dim=-1)  # (Q, K + 1)
    presence = 1 - probabilities[:, -1]  # (Q,)
    if no_object_weight != PUBLISHED_NO_OBJECT_WEIGHT:
        # A class that weighs w times as much in the loss gets w times the odds.
        visible = probabilities[:, :-1].sum(dim=-1)  # (Q,), precise also where it is small.
        presence = visible / (visible + PUBLISHED_NO_OBJECT_WEIGHT / no_object_weight * probabilities[:, -1])
    return TrackedClip(
        track_ids=torch.arange(len(class_logits)),
        class_evidence=probabilities[:, :-1],
        observations=torch.ones_like(presence),
        presence=presence,
        mask_logits=mask_logits,
        embeddings=queries,
    )


def state_parts(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], *, like: Tensor) -> list[Tensor]:
    """Return the tensors of a saved state, on the device and of the dtype of the network.

    Args:
        tensors: As saved.
        shapes: Of the tensors that are wanted; there must be no others.
        like: A parameter of the network.

    Raises:
        InputError: If one is missing, of another shape, or not finite.
    """
    if set(tensors) != set(shapes):
        raise InputError(f"The saved state holds {', '.join(sorted(tensors))}: it is of another tracker.")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise InputError(f"The saved '{name}' is {tuple(tensors[name].shape)}: it is of another model.")
        if not tensors[name].isfinite().all():
            raise InputError(f"The saved '{name}' holds numbers that are not finite.")
    return [tensors[name].to(device=like.device, dtype=like.dtype) for name in shapes]
