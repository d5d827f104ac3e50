"""Query matching: the queries of consecutive frames (MinVIS), or clips, are matched by the Hungarian algorithm."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from genvis.inference.scoring import GREATEST_PROBABILITY
from genvis.inference.trackers.propagation import state_parts, tracks_of_queries
from genvis.inference.trackers.video_tracker import TrackedClip, VideoTracker
from genvis.model.config import PUBLISHED_NO_OBJECT_WEIGHT
from genvis.model.device_copies import on_cpu, selected, to_device

if TYPE_CHECKING:
    from genvis.model.detector.base import FrameDetector
    from genvis.model.tracker.query_tracker import QueryTracker


class QueryMatching(VideoTracker):
    """MinVIS: frame queries are matched with those of the frame before by cosine similarity; nothing is learned.

    Row q of every frame is the query that follows row q of the first. Fails at occlusions: only the last frame is
    remembered, so that the query of an occluded object moves on to something else.

    Args:
        detector: Frame-level detector, in evaluation mode.
    """

    score_rule = GREATEST_PROBABILITY
    is_causal = True

    def __init__(self, detector: "FrameDetector") -> None:
        self.detector = detector

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: Tensor | None) -> tuple[TrackedClip, Tensor]:
        """Follow the objects frame by frame: see `VideoTracker.track`."""
        detected = self.detector(pixel_values)
        predicted = self.detector.predict(detected)
        orders = []
        for queries in on_cpu(detected.frame_queries[-1])[0]:  # (Q, C)
            order = torch.arange(len(queries)) if state is None else match_queries(state, queries)
            state = queries[order]
            orders.append(order)
        assert state is not None
        order_of_frame = to_device(torch.stack(orders), predicted.class_scores.device)  # (T, Q)
        masks = [predicted.mask_logits(frame, order) for frame, order in enumerate(order_of_frame)]  # (Q, h, w)
        scores = predicted.class_scores.take_along_dim(order_of_frame[..., None], dim=1)  # (T, Q, K)
        greatest = scores.float().amax(dim=0)  # (Q, K)
        presence = greatest.amax(dim=1)  # (Q,)
        clip = TrackedClip(
            track_ids=torch.arange(len(state)),
            class_evidence=greatest,
            observations=torch.ones_like(presence),
            presence=presence,
            mask_logits=torch.stack(masks),
            embeddings=state,
        )
        return clip, state

    def state_tensors(self, state: Tensor | None) -> dict[str, Tensor]:
        """Return the queries of the previous frame, in the order of the tracks: see `VideoTracker.state_tensors`."""
        return {} if state is None else {"previous_queries": state.detach().contiguous()}

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        shape = (self.detector.sizes.queries, self.detector.sizes.query_dim)
        (queries,) = state_parts(tensors, {"previous_queries": shape}, like=torch.empty(0))
        return queries


class ClipMatching(QueryMatching):
    """The tracker's instance queries of consecutive clips, matched instead of propagated: the baseline of Table 4.

    Args:
        detector: Frame-level detector, in evaluation mode.
        tracker: Network trained to track the detector's queries.
        no_object_weight: As in `QueryPropagation`.
    """

    def __init__(
        self,
        detector: "FrameDetector",
        tracker: "QueryTracker",
        *,
        no_object_weight: float = PUBLISHED_NO_OBJECT_WEIGHT,
    ) -> None:
        super().__init__(detector)
        self.tracker = tracker
        self.no_object_weight = no_object_weight

    @torch.inference_mode()
    def track(self, pixel_values: Tensor, state: Tensor | None) -> tuple[TrackedClip, Tensor]:
        """Follow the objects through a clip, which starts from the learned queries: see `VideoTracker.track`."""
        detected = self.detector(pixel_values)
        output, after = self.tracker(self.tracker.tokens(self.detector, detected)[None])
        masks = self.tracker.mask_logits(output, detected.features)  # (T, Q, h, w)
        (queries,) = on_cpu(self.tracker.without_places(after.instance_queries[0]))  # (Q, C)
        order = torch.arange(len(queries)) if state is None else match_queries(state, queries)
        queries, class_logits = queries[order], selected(output.class_logits[-1, 0], order, dim=0)
        masks = selected(masks, order, dim=1)
        return tracks_of_queries(class_logits, masks, queries, no_object_weight=self.no_object_weight), queries

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        shape = tuple(self.tracker.without_places(self.tracker.first_queries).shape)
        (queries,) = state_parts(tensors, {"previous_queries": shape}, like=torch.empty(0))
        return queries


def match_queries(previous: Tensor, current: Tensor) -> Tensor:
    """Find for each previous query the current one that most likely is the same object.

    Args:
        previous: (Q, C), in the order of the tracks, on the CPU.
        current: (Q, C), in any order, on the CPU.

    Returns:
        (Q,) int64: ``current[order]`` is in the order of the tracks; the total cosine similarity is greatest.
    """
    similarity = torch.nn.functional.normalize(previous, dim=-1) @ torch.nn.functional.normalize(current, dim=-1).mT
    # In half precision a network can overflow; what is not a number is similar to nothing.
    _, order = linear_sum_assignment(similarity.float().nan_to_num().numpy(), maximize=True)
    return torch.from_numpy(order)
