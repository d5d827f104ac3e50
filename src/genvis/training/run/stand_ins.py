"""Stand-ins of a dry run for what is not on this machine yet: weights of the stage before, backbones, data sets."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low

import torch

from genvis.checkpoints.hub import is_on_hub, local_folder
from genvis.data.samples.sample import VideoSample
from genvis.errors import InputError
from genvis.training.recipe.data_options import AugmentationOptions, DataOptions, SourceOptions
from genvis.training.recipe.loading import load_recipe
from genvis.training.recipe.recipe import ModelOptions, Recipe

_OBJECTS = 5
_MOST_RECIPES = 100


def without_missing_weights(model: ModelOptions, *, beside: Path | None = None) -> tuple[ModelOptions, list[str]]:
    """Return the options of the model without weights that are not on this machine, and what to say about them.

    Weights that also tell what the network is are kept: without them there is nothing to measure. Those of the stage
    before are known by its recipe, if it lies beside this one.

    Args:
        model: Of a recipe.
        beside: Folder of the recipe.

    Raises:
        InputError: If weights that are not here are of the Hub: nothing is fetched.
    """
    notes: list[str] = []
    if model.init and not _is_here(model.init):
        before = None if beside is None or model.name or model.config else _maker(model.init, beside)
        if before is not None:
            path, recipe = before
            model, notes = without_missing_weights(
                replace(recipe.model, categories=model.categories or recipe.model.categories)
            )
            return model, [
                f"The stage before ({path}) has not run yet: measured with the weights it starts from.",
                *notes,
            ]
        if model.name or model.config:
            notes.append(f"The weights '{model.init}' are not here yet: measured with newly initialised ones.")
            model = replace(model, init="", heads="init")
        elif is_on_hub(model.init):
            raise InputError(
                f"The weights '{model.init}' are not here, and a dry run fetches nothing: run `genvis models fetch "
                f"{model.init}` first."
            )
    if model.backbone and not model.init and not _is_here(model.backbone):
        notes.append(f"The backbone '{model.backbone}' is not here yet: measured with a newly initialised one.")
        model = replace(model, backbone="")
    return model, notes


def _maker(weights: str, folder: Path) -> tuple[Path, Recipe] | None:
    """Return the recipe of a folder whose run leaves these weights, or None."""
    for path in sorted(folder.glob("*.yaml"))[:_MOST_RECIPES]:
        try:
            recipe = load_recipe(path)
        except InputError:  # No recipe, or one that is being written.
            continue
        if (Path(recipe.run.output) / "model").resolve() == Path(weights).resolve():
            return path, recipe
    return None


def missing_data(data: DataOptions) -> str | None:
    """Return the first file or folder of the training data that is not there, or None."""
    for source in data.sources:
        for path in (source.annotations, source.images):
            if source.kind != "sprites" and path and not Path(path).exists():
                return path
    return None


@dataclass(frozen=True)
class NoiseVideos:
    """Samples of the size of a recipe's, with frames of noise and boxes as masks: for measuring costs alone.

    Attributes:
        frames: T, frames of a sample.
        height: Pixels.
        width: Pixels.
        classes: K, from which labels are drawn.
    """

    frames: int
    height: int
    width: int
    classes: int

    @classmethod
    def like(cls, data: DataOptions, *, classes: int) -> "NoiseVideos":
        """Return samples of the size that a recipe trains on.

        Args:
            data: Of the recipe.
            classes: K.
        """
        height, width = _usual_size(data.augmentation, data.sources[0])
        return cls(data.clips * data.frames_per_clip, height, width, classes)

    def __getitem__(self, index: int) -> VideoSample:
        random = torch.Generator().manual_seed(index)
        shape = (self.frames, 3, self.height, self.width)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        masks = torch.zeros(_OBJECTS, self.frames, self.height, self.width, dtype=torch.bool)
        for place in range(_OBJECTS):
            left = place * self.width // _OBJECTS
            masks[place, :, self.height // 4 :, left : left + max(1, self.width // _OBJECTS)] = True
        return VideoSample(frames, masks, torch.randint(0, self.classes, (_OBJECTS,), generator=random))


def _is_here(name: str) -> bool:
    return Path(name).is_file() or local_folder(name) is not None


def _usual_size(how: AugmentationOptions, source: SourceOptions) -> tuple[int, int]:
    """Return height and width of a usual sample: the median short side, of a frame of 16:9."""
    if source.kind == "sprites":
        return source.height, source.width
    if how.kind == "image":
        return how.image_size, how.image_size
    height = median_low(how.short_sides)
    return height, min(how.max_size, round(height * 16 / 9))
