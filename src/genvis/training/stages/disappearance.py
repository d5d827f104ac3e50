"""Simulated disappearance: objects that are taken out of some clips of a sample, so that a tracker learns to wait.

The frames of a sample are too few and too near to one another for long absences. What the detector says of an object
is all that a tracker sees of it; so an object is gone if the frame query that holds it is replaced by one that holds
none, and no detector has to run again. It comes back where the simulated absence ends.
"""

from dataclasses import replace

import numpy as np
import torch

from genvis.training.cache.detected_videos import DetectedVideos
from genvis.training.criterion.hungarian_matching import UNASSIGNED


def simulate_disappearance(
    videos: DetectedVideos, *, probability: float, frames_per_clip: int, random: np.random.Generator
) -> DetectedVideos:
    """Return videos in which some objects are gone for some consecutive clips.

    An absence begins after the first clip in which the object could be seen at the earliest, and lasts to the last clip
    at the longest. Frames in which every frame query holds an object are left as they are.

    Args:
        videos: B videos of T frames.
        probability: Of each object to disappear once, 0..1.
        frames_per_clip: N_f.
        random: Draws the objects and the clips.
    """
    T = videos.frame_queries.shape[2]
    clips = -(-T // frames_per_clip)
    if clips < 2 or not probability:
        return videos
    queries, held = videos.frame_queries.clone(), videos.frame_assignment.copy()
    gone = np.zeros(videos.targets.in_frame.shape, np.bool_)  # (N, T)
    for thing in np.flatnonzero(random.random(len(gone)) < probability):
        first = int(random.integers(1, clips))
        last = int(random.integers(first, clips))
        gone[thing, first * frames_per_clip : (last + 1) * frames_per_clip] = True
    for thing, frame in np.argwhere(gone & videos.targets.in_frame):
        video = videos.targets.videos[thing]
        of_video = videos.targets.videos == video
        for layer in range(len(held)):
            place = held[layer, thing, frame]
            if place == UNASSIGNED:
                continue
            free = np.setdiff1d(np.arange(queries.shape[3]), held[layer, of_video, frame])
            if not free.size:
                gone[thing, frame] = False
                continue
            queries[layer, video, frame, place] = queries[layer, video, frame, random.choice(free)]
            held[layer, thing, frame] = UNASSIGNED
    masks = videos.targets.masks & ~torch.from_numpy(gone).to(videos.targets.masks.device)[:, :, None, None]
    targets = replace(videos.targets, masks=masks, in_frame=videos.targets.in_frame & ~gone)
    return replace(videos, frame_queries=queries, frame_assignment=held, targets=targets)
