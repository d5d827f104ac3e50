"""Scene tracking: any tracker, scene after scene, with track ids that are never given twice."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genvis.errors import InputError
from genvis.inference.trackers.video_tracker import TrackedClip, VideoTracker


class SceneState(NamedTuple):
    """State of a video of several scenes.

    Attributes:
        inner: State of the tracker in the present scene; None before its first clip.
        first: Track id of the present scene that the tracker calls 0.
        following: Beyond all track ids so far.
    """

    inner: Any
    first: int
    following: int


class SceneTracking(VideoTracker):
    """A tracker that can begin anew at a scene change; without one it is the tracker that it is given.

    Args:
        tracker: Follows the objects of one scene.
    """

    def __init__(self, tracker: VideoTracker) -> None:
        self.tracker = tracker
        self.score_rule = tracker.score_rule
        self.is_causal = tracker.is_causal

    def track(self, pixel_values: Tensor, state: SceneState | None) -> tuple[TrackedClip | None, SceneState]:
        """Follow the objects through the next clip of the scene: see `VideoTracker.track`."""
        state = state or SceneState(None, 0, 0)
        clip, inner = self.tracker.track(pixel_values, state.inner)
        if clip is None:
            return None, state._replace(inner=inner)
        clip = clip._replace(track_ids=clip.track_ids + state.first)
        greatest = max(clip.track_ids.tolist(), default=-1)
        return clip, SceneState(inner, state.first, max(state.following, greatest + 1))

    def cut(self, state: SceneState | None) -> SceneState | None:
        """Begin the next scene: see `VideoTracker.cut`."""
        if state is None:
            return None
        inner = self.tracker.cut(state.inner)
        if inner is not None:  # The tracker counts on.
            return state._replace(inner=inner)
        return SceneState(None, state.following, state.following)

    def finish(self, state: SceneState | None) -> Iterator[TrackedClip]:
        """Deliver what the tracker could not tell yet: see `VideoTracker.finish`."""
        if state is not None:
            for clip in self.tracker.finish(state.inner):
                yield clip._replace(track_ids=clip.track_ids + state.first)

    def remembered(self, state: SceneState | None) -> set[int] | None:
        """Return the track ids of the present scene that later clips can have: see `VideoTracker.remembered`."""
        if state is None:
            return self.tracker.remembered(None)
        inner = self.tracker.remembered(state.inner)
        if inner is not None:
            return {number + state.first for number in inner}
        return set(range(state.first, state.following)) if state.first else None

    def state_tensors(self, state: SceneState | None) -> dict[str, Tensor]:
        """Return the tracker's state and the numbers of the scene: see `VideoTracker.state_tensors`."""
        if state is None:
            return {}
        numbers = torch.tensor([state.first, state.following])
        return {"scene_numbers": numbers, **self.tracker.state_tensors(state.inner)}

    def state_from_tensors(self, tensors: Mapping[str, Tensor]) -> SceneState | None:
        """Return the state again: see `VideoTracker.state_from_tensors`."""
        if not tensors:
            return None
        inner = {name: tensor for name, tensor in tensors.items() if name != "scene_numbers"}
        numbers = tensors.get("scene_numbers")
        if numbers is None or numbers.shape != (2,) or numbers.dtype != torch.int64:
            raise InputError("The saved state does not say which track ids its scene has.")
        first, following = numbers.tolist()
        if not 0 <= first <= following:
            raise InputError(f"The saved state has a scene of the track ids {first} to {following}.")
        return SceneState(self.tracker.state_from_tensors(inner), first, following)
