"""From what a recipe says of its data to data sets."""

from torch.utils.data import Dataset

from genvis.data.sample import VideoSample
from genvis.data.sprites import Difficulty, SpriteVideos
from genvis.data.sprites.dataset import IMAGES
from genvis.errors import InputError
from genvis.training.data_options import DataOptions, SourceOptions

# As many generated videos as a stream may ever ask for.
_ENDLESS = 1 << 40


def training_stream(options: DataOptions, *, seed: int) -> Dataset[VideoSample]:
    """Return the stream of training samples: item ``i`` depends on the options, the seed and ``i`` alone.

    Raises:
        InputError: If a source is impossible.
    """
    if not options.sources:
        raise InputError("data.sources is empty: name at least one data set to train on.")
    (source,) = options.sources
    length = options.clips * options.frames_per_clip
    span = max(length, 2 * options.frame_range + 1)
    return _sprites(source, count=_ENDLESS, length=length, span=span, seed=source.seed + seed)


def held_out_set(options: DataOptions) -> Dataset[VideoSample] | None:
    """Return the validation samples, or None if the recipe names none.

    Raises:
        InputError: If the source is impossible.
    """
    source = options.validation
    if source is None:
        return None
    count = options.validation_videos or 100
    return _sprites(
        source, count=count, length=options.validation_frames, span=options.validation_frames, seed=source.seed
    )


def _sprites(source: SourceOptions, *, count: int, length: int, span: int, seed: int) -> SpriteVideos:
    return SpriteVideos(
        count,
        height=source.height,
        width=source.width,
        length=length,
        span=span,
        difficulty=_difficulty(source.difficulty),
        split=source.split,
        seed=seed,
    )


def _difficulty(name: str) -> str | Difficulty:
    return IMAGES if name == "images" else name
