"""Choice of the frames of a training sample."""

from dataclasses import dataclass

import numpy as np

from genvis.errors import InputError


@dataclass(frozen=True)
class ClipSampling:
    """N_v clips of N_f frames out of a video (paper, section 4.2).

    Attributes:
        clips: N_v, the number of clips of a sample.
        frames_per_clip: N_f; 1 trains online, 3 semi-online inference.
        frame_range: The frames lie at most this far before or after a reference frame. The paper's recipes take 6
            for 5 clips of one frame and 12 for 5 clips of three.
        is_even: Whether all frames of a sample are equally far apart, at a distance that is drawn for each, so that
            what moves does so evenly from clip to clip, as at inference. Not from the paper, which draws every frame.
    """

    clips: int = 5
    frames_per_clip: int = 1
    frame_range: int = 6
    is_even: bool = False

    def __post_init__(self) -> None:
        for name in ("clips", "frames_per_clip"):
            if getattr(self, name) < 1:
                raise InputError(f"Clip sampling needs {name} of at least 1, not {getattr(self, name)}.")
        if self.frame_range < 0:
            raise InputError(f"Clip sampling needs a frame_range of at least 0, not {self.frame_range}.")

    @property
    def frames(self) -> int:
        """The number of frames of a sample, T = N_v · N_f."""
        return self.clips * self.frames_per_clip

    def sample(self, video_length: int, random: np.random.Generator) -> tuple[int, ...]:
        """Draw a reference frame, and the other frames with replacement from those near it; or evenly spaced ones.

        Args:
            video_length: The number of frames of the video, at least 1.
            random: Where the random numbers come from.

        Returns:
            T frame indices in ascending order; clip c is ``[c * N_f : (c + 1) * N_f]``. A video of a single frame,
            or a range of 0, repeats the reference frame; a video too short for evenly spaced frames repeats some.

        Raises:
            InputError: If the video has no frame.
        """
        if video_length < 1:
            raise InputError("Clips cannot be sampled from a video without frames.")
        if self.is_even:
            span = max(self.frames, 2 * self.frame_range + 1)
            return evenly_spaced(self.frames, video_length, span=span, random=random)
        reference = int(random.integers(video_length))
        near = np.arange(max(0, reference - self.frame_range), min(video_length, reference + self.frame_range + 1))
        others = near[near != reference]
        if not others.size:
            others = near
        drawn = random.choice(others, size=self.frames - 1)
        return tuple(sorted([reference, *(int(frame) for frame in drawn)]))


def evenly_spaced(frames: int, video_length: int, *, span: int, random: np.random.Generator) -> tuple[int, ...]:
    """Draw frames of one distance, in order: first the distance, then the place.

    Args:
        frames: T, at least 1.
        video_length: At least 1; a video of fewer than T frames repeats some.
        span: From the first frame to the last are at most so many.
        random: Where the random numbers come from.
    """
    span, steps = min(video_length, span), max(1, frames - 1)
    if span <= steps:
        return tuple(round(place * (span - 1) / steps) for place in range(frames))
    distance = int(random.integers(1, (span - 1) // steps + 1))
    first = int(random.integers(video_length - distance * (frames - 1)))
    return tuple(first + distance * place for place in range(frames))
