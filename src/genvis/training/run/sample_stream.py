"""Streams of training samples and validation sets, built from the options of a recipe."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from torch.utils.data import Dataset

from genvis.categories import Categories, known_category_sets
from genvis.data.annotations.coco import load_coco
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.samples.pseudo_video import PseudoVideos
from genvis.data.samples.sample import VideoSample
from genvis.data.samples.transforms import image_transform, pseudo_video_transform, video_transform
from genvis.data.samples.video_dataset import VideoDataset
from genvis.data.sampling.mixture import Mixture, SampleStream
from genvis.data.sampling.random_key import RandomKey
from genvis.data.sampling.training_source import TrainingSource, VideoClips, VideoTransform, augment, keep_visible
from genvis.data.sprites import Difficulty, SpriteVideos
from genvis.data.sprites.dataset import IMAGES
from genvis.data.sprites.difficulty import difficulty_named
from genvis.errors import InputError
from genvis.training.recipe.data_options import DataOptions, SourceOptions

# As many generated videos as a stream may ever ask for: none is seen twice.
_ENDLESS = 1 << 40


@dataclass(frozen=True)
class EndlessSprites:
    """Generated videos, a new one for every position of the stream."""

    videos: SpriteVideos

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return the video of this position and attempt."""
        return keep_visible(self.videos[key.index + key.attempt * (_ENDLESS // 1024)])


@dataclass(frozen=True)
class SingleImages:
    """Images of a data set, one frame each, augmented."""

    images: VideoDataset
    transform: VideoTransform | None

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return the image whose turn it is, or None if it shows no object."""
        image = keep_visible(self.images.sample(key.choose(len(self.images)), [0]))
        return None if image is None else keep_visible(augment(image, self.transform, key.generator()))


@dataclass(frozen=True)
class VideosAndImages:
    """Clips of the videos of a data set, and pseudo videos of those that have a single frame."""

    clips: VideoClips
    pseudo: PseudoVideos

    def draw(self, key: RandomKey) -> VideoSample | None:
        """Return a sample of the video or image whose turn it is, or None if it shows no object."""
        is_image = self.clips.videos.length(key.choose(len(self.clips.videos))) == 1
        return (self.pseudo if is_image else self.clips).draw(key)


class ValidationVideos(Dataset[VideoSample]):
    """The first videos of a data set, whole, in their order."""

    def __init__(self, videos: VideoDataset, count: int) -> None:
        self._videos = videos
        self._count = min(count or len(videos), len(videos))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> VideoSample:
        return self._videos.sample(index)


ValidationSet: TypeAlias = SpriteVideos | ValidationVideos


def training_stream(options: DataOptions, *, labels: Categories, seed: int) -> SampleStream:
    """Return the stream of training samples: item ``i`` depends on the options, the seed and ``i`` alone.

    Args:
        options: What the recipe says.
        labels: The classes of the model; data sets of other classes are an error.
        seed: Of the stream.

    Raises:
        InputError: If a source is impossible.
    """
    if not options.sources:
        raise InputError("data.sources is empty: name at least one data set to train on.")
    sources = [_training_source(source, options, labels, seed=seed) for source in options.sources]
    return SampleStream(Mixture(sources, [source.weight for source in options.sources]), seed=seed)


def validation_set(options: DataOptions, *, labels: Categories) -> ValidationSet | None:
    """Return the validation samples, or None if the recipe names none.

    Raises:
        InputError: If the source is impossible.
    """
    source = options.validation
    if source is None:
        return None
    if source.kind == "sprites":
        length = options.validation_frames
        return _sprites(source, count=options.validation_videos or 100, length=length, span=length, seed=source.seed)
    return ValidationVideos(_files(source, labels, skip_empty=False), options.validation_videos)


def _training_source(source: SourceOptions, options: DataOptions, labels: Categories, *, seed: int) -> TrainingSource:
    sampling = options.sampling()
    if source.kind == "sprites":
        span = max(sampling.frames, 2 * options.frame_range + 1)
        videos = _sprites(
            source,
            count=_ENDLESS,
            length=sampling.frames,
            span=span,
            is_even=sampling.is_even,
            seed=source.seed + seed,
        )
        _check_labels(videos.categories, labels, "sprites")
        return EndlessSprites(videos)
    files, how = _files(source, labels, skip_empty=True), options.augmentation
    if how.kind == "none":
        transform: VideoTransform | None = None
    elif how.kind == "image":
        transform = image_transform(image_size=how.image_size, min_scale=how.scale[0], max_scale=how.scale[1])
    else:
        transform = video_transform(
            short_sides=how.short_sides, max_size=how.max_size, crop=how.crop, crop_size=how.crop_size
        )
    if source.kind == "coco":
        return SingleImages(files, transform)
    clips = VideoClips(files, sampling, transform)
    if how.kind == "video":
        transform = pseudo_video_transform(
            short_sides=how.short_sides,
            max_size=how.max_size,
            crop=how.crop,
            crop_size=how.crop_size,
            rotation=how.rotation,
        )
    pseudo = PseudoVideos(files, sampling.frames, transform)
    if source.kind == "coco_pseudo":
        return pseudo
    return VideosAndImages(clips, pseudo) if sampling.frames > 1 else clips


def _files(source: SourceOptions, labels: Categories, *, skip_empty: bool) -> VideoDataset:
    if not source.annotations or not source.images:
        raise InputError(
            f"A source of kind '{source.kind}' needs 'annotations' (a JSON file) and 'images' (a folder) in the recipe."
        )
    if source.kind == "youtube_vis":
        annotations = load_youtube_vis(source.annotations, _known(labels))
    elif labels.name in known_category_sets() and labels.name != "coco":
        annotations = load_coco(source.annotations, classes_of=labels.name)
    else:
        annotations = load_coco(source.annotations, _known(labels))
    _check_labels(annotations.categories, labels, source.annotations)
    return VideoDataset(annotations, Path(source.images), skip_empty=skip_empty)


def _known(labels: Categories) -> Categories | None:
    """Return the model's categories if they are those of a data set; the classes of others are those of their file."""
    return labels if labels.name in known_category_sets() else None


def _check_labels(found: Categories, wanted: Categories, where: str) -> None:
    if found.names != wanted.names:
        raise InputError(
            f"The classes of {where} ({_some(found)}) are not those of the model ({_some(wanted)}): set "
            "model.categories to its name, or to the annotation file."
        )


def _some(labels: Categories) -> str:
    return f"{len(labels)}: {', '.join(labels.names[:3])}{', ...' if len(labels) > 3 else ''}"


def _sprites(
    source: SourceOptions, *, count: int, length: int, span: int, seed: int, is_even: bool = False
) -> SpriteVideos:
    return SpriteVideos(
        count,
        height=source.height,
        width=source.width,
        length=length,
        span=span,
        is_even=is_even,
        difficulty=_difficulty(source.difficulty, source.difficulty_changes),
        split=source.split,
        seed=seed,
        category_names=source.category_names,
    )


def _difficulty(name: str, changes: dict[str, Any]) -> Difficulty:
    difficulty = IMAGES if name == "images" else difficulty_named(name)
    known = [field.name for field in fields(Difficulty)]
    unknown = [field for field in changes if field not in known]
    if unknown:
        raise InputError(f"data.sources: a difficulty has no '{unknown[0]}'; choose from {', '.join(known)}.")
    pairs = {field: tuple(value) if isinstance(value, (list, tuple)) else value for field, value in changes.items()}
    try:
        return Difficulty(**{**asdict(difficulty), **pairs})
    except TypeError:
        raise InputError(f"data.sources: difficulty_changes {changes} is impossible: give numbers, or pairs.") from None
