"""Recipes for a user's own videos: a short file for each stage, to be read and changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from genvis.checkpoints.load import load_genvis
from genvis.data.annotations.youtube_vis import file_categories
from genvis.errors import InputError
from genvis.files import write_text
from genvis.model.config import GenVISConfig
from genvis.model.detector.mask2former import Mask2FormerDetector

_DETECTOR_LAYERS = 3  # As base-own-genvis.yaml says.
_PUBLISHED_SIDE = 360
_PUBLISHED_SHORT_SIDES = (288, 320, 352, 384, 416, 448, 480, 512)


@dataclass(frozen=True)
class OwnRecipes:
    """The recipes of the stages: run `detector` first, if there is one, then `genvis`.

    Attributes:
        name: Of the run's folders below ``runs``.
        images: The folder that the file names of the annotations start from.
        init: Weights to start from, see `genvis.training.recipe.recipe.ModelOptions`.
        config: Of the model that is started from.
        detector_layers: How many of the detector's layers the tracker learns from.
        detector: File of the stage that trains the detector; None if it stays frozen (EoMT, RF-DETR).
        genvis: File of the stage that trains the tracker.
    """

    name: str
    images: Path
    init: str
    config: GenVISConfig
    detector_layers: int
    detector: Path | None
    genvis: Path

    @property
    def files(self) -> list[Path]:
        """The recipes in the order in which they are run."""
        return [self.genvis] if self.detector is None else [self.detector, self.genvis]


def plan_own_recipes(*, name: str, images: Path, init: str, folder: Path) -> OwnRecipes:
    """Find out whether the recipes can be written, before anything else is.

    Args:
        name: Of the files, ``NAME_detector.yaml`` and ``NAME_genvis.yaml``, and of the run's folders.
        images: The folder that the file names of the annotations start from.
        init: Weights to start from: a GenVIS model, or a detector of any family.
        folder: Where the files are to go.

    Raises:
        InputError: If the images or the weights are not there, or a recipe exists already.
    """
    if not images.is_dir():
        raise InputError(
            f"There is no folder '{images}': name the folder that the file names of the annotations start from."
        )
    model = load_genvis(init)
    is_trained = isinstance(model.detector, Mask2FormerDetector)
    recipes = OwnRecipes(
        name,
        images,
        init,
        config=cast(GenVISConfig, model.config),
        detector_layers=min(_DETECTOR_LAYERS, model.detector.sizes.layers),
        detector=folder / f"{name}_detector.yaml" if is_trained else None,
        genvis=folder / f"{name}_genvis.yaml",
    )
    for path in recipes.files:
        if path.exists():
            raise InputError(f"'{path}' exists already: rename it, or give another --name.")
    return recipes


def write_own_recipes(recipes: OwnRecipes, *, train: Path, validation: Path | None) -> None:
    """Write the recipes of all stages; sizes of the training views follow from the model that is started from.

    Args:
        recipes: The plan.
        train: Annotation file to learn from; its categories become the model's classes.
        validation: Annotation file to measure AP on; None measures none.

    Raises:
        InputError: If the annotations are not there or damaged.
    """
    labels = file_categories(train)
    name, config = recipes.name, recipes.config
    outputs = {stage: f"runs/{name}-{stage}" for stage in ("detector", "genvis")}
    data = _data(train, validation=validation, images=recipes.images, config=config)
    classes = ", ".join(labels.names[:6]) + (", ..." if len(labels) > 6 else "")
    model: dict[str, Any] = {"init": recipes.init, "categories": str(train)}
    title = f"The only stage for {name}: the tracker learns {len(labels)} classes ({classes}) on the frozen detector."
    if recipes.detector is not None:
        _write(
            recipes.detector,
            f"Stage 1 of 2 for {name}: the detector learns {len(labels)} classes ({classes}).",
            {
                "base": "base-own-detector.yaml",
                "model": model,
                "data": data,
                "run": {"output": outputs["detector"]},
            },
        )
        model = {"init": f"{outputs['detector']}/model"}
        title = f"Stage 2 of 2 for {name}: the tracker, on the frozen detector of stage 1."
    clips = {"frames_per_clip": config.clip_length} if config.clip_length > 1 else {}
    layers = recipes.detector_layers
    _write(
        recipes.genvis,
        title,
        {
            "base": "base-own-genvis.yaml",
            "model": model,
            "data": {**data, **clips},
            **({"loss": {"detector_layers": layers}} if layers != _DETECTOR_LAYERS else {}),
            "run": {"output": outputs["genvis"]},
        },
    )


def _data(train: Path, *, validation: Path | None, images: Path, config: GenVISConfig) -> dict[str, Any]:
    scale = config.min_size_test / _PUBLISHED_SIDE
    return {
        "sources": [{"kind": "youtube_vis", "annotations": str(train), "images": str(images)}],
        "validation": None
        if validation is None
        else {"kind": "youtube_vis", "annotations": str(validation), "images": str(images)},
        "augmentation": {
            "short_sides": [round(side * scale) for side in _PUBLISHED_SHORT_SIDES],
            "max_size": round(1.2 * config.max_size_test),
            "crop_size": [round(384 * scale), round(600 * scale)],
        },
    }


def _write(path: Path, title: str, content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(path, f"# {title}\n{text}")
