"""Options of the data of a recipe."""

from dataclasses import dataclass, field
from typing import Any, Literal

from genvis.data.sampling.clip_sampling import ClipSampling

SourceKind = Literal["youtube_vis", "coco", "coco_pseudo", "sprites"]


@dataclass
class SourceOptions:
    """One data set.

    Args:
        kind: `youtube_vis` for annotation files of YouTube-VIS and OVIS and all in their format (videos of one frame
            become pseudo videos), `coco` for single images, `coco_pseudo` for pseudo videos made of single images,
            `sprites` for generated videos.
        annotations: The annotation file (JSON); not for `sprites`.
        images: The folder that the file names are relative to; not for `sprites`.
        weight: How often samples come from this data set, relative to the other ones.
        difficulty: Of `sprites`: `easy`, `normal`, `hard`, `occluded`, `returning`, or `images` for the scenes of
            single images.
        difficulty_changes: Of `sprites`: what replaces single values of the difficulty, for example
            `{objects: [3, 8], look_alikes: 0.9}`.
        category_names: Of `sprites`: the categories that objects are of, as OVIS writes them; none takes all 25.
        height: Of `sprites`, pixels.
        width: Of `sprites`, pixels.
        split: Of `sprites`: `train`, `validation` (other styles) or `novel` (other glyphs, too).
        seed: Of `sprites`.
    """

    kind: SourceKind = "sprites"
    annotations: str = ""
    images: str = ""
    weight: float = 1.0
    difficulty: str = "normal"
    difficulty_changes: dict[str, Any] = field(default_factory=dict)
    category_names: list[str] = field(default_factory=list)
    height: int = 96
    width: int = 160
    split: Literal["train", "validation", "novel"] = "train"
    seed: int = 0


@dataclass
class AugmentationOptions:
    """How samples from files are changed; generated videos are different each time anyway.

    Args:
        kind: `video` resizes, sometimes crops with a sliding window, and flips; `image` is the large scale jitter of
            single images; `none` leaves samples as they are.
        short_sides: Of `video`: one is drawn as the length of the shorter side, in pixels.
        max_size: Of `video`: the longer side is at most this, in pixels.
        crop: Of `video`: whether to crop, with probability 0.5.
        crop_size: Of `video`: smallest and greatest height and width of the window, in pixels.
        rotation: Of the frames of pseudo videos: at most so many degrees.
        image_size: Of `image`: height and width of the result, in pixels.
        scale: Of `image`: smallest and greatest factor of the jitter.
    """

    kind: Literal["video", "image", "none"] = "video"
    short_sides: list[int] = field(default_factory=lambda: [288, 320, 352, 384, 416, 448, 480, 512])
    max_size: int = 768
    crop: bool = True
    crop_size: tuple[int, int] = (384, 600)
    rotation: float = 15.0
    image_size: int = 1024
    scale: tuple[float, float] = (0.1, 2.0)


@dataclass
class DataOptions:
    """Data sets and how samples are drawn from them.

    Args:
        sources: The data sets; each sample comes from one, drawn by their weights.
        validation: The data set on which AP is measured; without it there is no validation.
        validation_videos: How many of its videos are used; 0 takes all.
        validation_frames: Frames of each generated validation video.
        clips: N_v, clips of a sample.
        frames_per_clip: N_f, frames of a clip.
        frame_range: The frames lie at most this far from a reference frame.
        frame_spacing: `random` as published; `even` for frames of equal distances, drawn for each sample, for trackers
            that expect objects where they move to (`propagation: motion`).
        augmentation: How samples from files are changed.
        batch_size: Videos of a step, over all processes.
        workers: Processes that prepare samples, for each training process; 0 prepares them in between the steps.
    """

    sources: list[SourceOptions] = field(default_factory=lambda: [SourceOptions()])
    validation: SourceOptions | None = None
    validation_videos: int = 0
    validation_frames: int = 1
    clips: int = 5
    frames_per_clip: int = 1
    frame_range: int = 6
    frame_spacing: Literal["random", "even"] = "random"
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    batch_size: int = 8
    workers: int = 1

    def sampling(self) -> ClipSampling:
        """Return how the frames of a sample are drawn."""
        return ClipSampling(self.clips, self.frames_per_clip, self.frame_range, is_even=self.frame_spacing == "even")


@dataclass
class CacheOptions:
    """The frozen detector's outputs on disk (stage `genvis` only), so that a step costs only the tracker.

    Args:
        folder: Where the cache is made or found; without it, the detector runs in every step.
        views: How many augmented samples are cached; training goes through them again and again.
        frames: Frames of a cached sample, from which every step draws its own clips; so runs with
            other clips share the cache too. 0 caches the frames of one step, which then are always the same.
        seed: Of the cached samples. By default that of the run; give one to share a cache between runs with
            different seeds.
        stored_as: `float16` needs half the space; `float32` gives the very losses of training without a cache.
    """

    folder: str = ""
    views: int = 1000
    frames: int = 0
    seed: int | None = None
    stored_as: Literal["float16", "float32"] = "float16"
