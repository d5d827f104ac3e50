"""VideoTracker: the protocol of every method that follows the objects of a video."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from genvis.inference.scoring import ScoreRule


class TrackedClip(NamedTuple):
    """Tracks of one clip, a row each; all but the ids is on the device of the network, or all on the CPU.

    Attributes:
        track_ids: (N,) int64 on the CPU, all different. The same number in two clips of a video is the same track.
        class_evidence: (N, K) probabilities in [0, 1], or (N, K + 1) logits with "no object" last: as the score rule of
            the tracker reads them.
        observations: (N,), of how many frames or clips ``class_evidence`` is the mean; 0 where the track was not seen.
        presence: (N,) in [0, 1], the probability that the object is visible in this clip.
        mask_logits: (T, N, h, w) float32, at the stride of the network's masks over the padded frames.
        embeddings: (N, C), by which an object looks like itself in another clip (cosine similarity); 0 where it is not
            known what a track looks like, None where a tracker has none for a clip.
    """

    track_ids: Tensor
    class_evidence: Tensor
    observations: Tensor
    presence: Tensor
    mask_logits: Tensor
    embeddings: Tensor | None = None


class VideoTracker(Protocol):
    """A method that follows the objects of one video, clip by clip.

    A tracker holds a network and options, nothing of a video. All that it knows of a video is its state: an immutable
    value that `track` takes and gives back, and that can be saved as tensors. So one tracker serves many videos.

    Attributes:
        score_rule: How the class evidence of clips becomes the score of a track.
        is_causal: Whether `track` answers at once. If not, it returns None, and `finish` answers for the whole video.
    """

    score_rule: ScoreRule
    is_causal: bool

    def track(self, pixel_values: Tensor, state: Any) -> tuple[TrackedClip | None, Any]:
        """Follow the objects through the next clip.

        Args:
            pixel_values: (T, 3, H, W), preprocessed frames on the model's device.
            state: Of the previous clip of the same video; None before its first.

        Returns:
            The tracks of the clip, or None if they are known only at the end of the video; and the next state.
        """

    def cut(self, state: Any) -> Any:
        """Return what is kept over a scene change, after which no track simply goes on.

        Args:
            state: Of the last clip before it; None before the first.

        Returns:
            None if nothing is kept, so that the scene is tracked like a video of its own and its tracks get new ids; or
            the state for the next clip, if the tracker can find earlier tracks again. It then gives no id twice.
        """
        return None

    def finish(self, state: Any) -> Iterator[TrackedClip]:
        """Deliver, at the end of a video, the tracks that `track` could not tell yet, in the order of the frames."""
        yield from ()

    def remembered(self, state: Any) -> set[int] | None:
        """Return the track ids that later clips can still have; None if none is ever forgotten."""
        return None

    def state_tensors(self, state: Any) -> dict[str, Tensor]:
        """Return a state as CPU tensors by name, to be saved; empty before the first clip.

        Raises:
            InputError: If the state of this tracker cannot be saved.
        """

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> Any:
        """Return the state that `state_tensors` turned into tensors.

        Raises:
            InputError: If the tensors are of another model or tracker.
        """


class SlotTracker(VideoTracker, Protocol):
    """A tracker whose row q is query q of the network in every clip: a slot, which holds one object at a time."""

    def released(self, state: Any, slots: Tensor) -> Any:
        """Return a state in which some slots are as before the first clip, so that new objects can take them.

        Args:
            state: Of any clip.
            slots: (Q,) bool on the CPU, which ones.
        """
