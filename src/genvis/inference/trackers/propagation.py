"""One video, clip by clip: what its identities are and where, by propagation (GenVIS) or by matching (MinVIS)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.trackers.query_matching import match_queries
from genvis.model.genvis import GenVIS
from genvis.model.outputs import TrackerState
from genvis.model.tracker.memory_bank import PrototypeMemory

Association = Literal["propagation", "matching"]


class TrackedClip(NamedTuple):
    """The identities of one clip; row q is the same identity in every clip.

    Attributes:
        class_probabilities: (Q, K) float32, softmax without "no object".
        mask_logits: (T, Q, H/4, W/4) float32 of the padded frames.
    """

    class_probabilities: Tensor
    mask_logits: Tensor


class ClipTracking:
    """Follows the identities of one video; holds all that is known of it between clips.

    Args:
        model: The network, in evaluation mode.
        association: How identities pass from clip to clip: ``"propagation"`` as GenVIS learns it, or ``"matching"`` of
            the clips' queries by cosine similarity. A model without a tracker (MinVIS) matches its frame queries.
        memory_clips: How many past clips the prototype memory keeps; None takes the model's number.
    """

    def __init__(self, model: GenVIS, *, association: Association, memory_clips: int | None = None) -> None:
        self.model = model
        self.association = association
        self.memory_clips = memory_clips
        self._state: TrackerState | None = None
        self._previous_queries: Tensor | None = None

    @torch.inference_mode()
    def step(self, frames: Tensor) -> TrackedClip:
        """Follow the identities through one clip.

        Args:
            frames: (T, 3, H, W) uint8, on the model's device.
        """
        if self.model.tracker is None:
            return self._step_frame_by_frame(frames)
        masks, state = self.model.segment(frames, self._state, memory_clips=self.memory_clips)
        tracked = TrackedClip(_probabilities(masks.class_logits), masks.mask_logits)
        if self.association == "propagation":
            self._state = state
            return tracked
        return self._in_order(tracked, state.instance_queries[0])

    def _step_frame_by_frame(self, frames: Tensor) -> TrackedClip:
        detected = self.model.detector(self.model.prepare_frames(frames[None]))
        predicted = self.model.detector.predict(detected)
        tracked = []
        for index in range(frames.shape[0]):
            clip = TrackedClip(predicted.class_scores[index], predicted.mask_logits(index)[None])
            tracked.append(self._in_order(clip, detected.frame_queries[-1, index]))
        return TrackedClip(
            class_probabilities=torch.stack([clip.class_probabilities for clip in tracked]).amax(dim=0),
            mask_logits=torch.cat([clip.mask_logits for clip in tracked]),
        )

    def _in_order(self, tracked: TrackedClip, queries: Tensor) -> TrackedClip:
        if self._previous_queries is None:
            self._previous_queries = queries
            return tracked
        order = match_queries(self._previous_queries, queries)
        self._previous_queries = queries[order]
        return TrackedClip(tracked.class_probabilities[order], tracked.mask_logits[:, order])

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the state by name, to be saved; empty before the first clip."""
        tensors = {}
        if self._state is not None:
            memory = self._state.memory
            tensors = {"instance_queries": self._state.instance_queries}
            tensors |= {"memory_keys": memory.keys, "memory_values": memory.values}
        if self._previous_queries is not None:
            tensors["previous_queries"] = self._previous_queries
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what `state_tensors` returned.

        Raises:
            InputError: If the state is of a model of other sizes.
        """
        moved = {name: tensor.to(self.model.device) for name, tensor in tensors.items()}
        config = self.model.config
        for name, tensor in moved.items():
            queries = config.detector_config.num_queries if self.model.tracker is None else config.num_instance_queries
            if tensor.shape[-2:] != (queries, config.hidden_dim):
                raise InputError(f"The saved '{name}' is {tuple(tensor.shape)}: it is of another model.")
        self._previous_queries = moved.get("previous_queries")
        if "instance_queries" in moved:
            memory = PrototypeMemory(moved["memory_keys"], moved["memory_values"])
            self._state = TrackerState(instance_queries=moved["instance_queries"], memory=memory)


def _probabilities(class_logits: Tensor) -> Tensor:
    """Turn (Q, K + 1) logits into (Q, K) float32 probabilities."""
    return class_logits.float().softmax(dim=-1)[:, :-1]
