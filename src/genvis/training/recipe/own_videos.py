"""Recipes for a user's own videos: a short file for each stage, to be read and changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from genvis.checkpoints.load import load_genvis
from genvis.checkpoints.registry import DEMO_MODEL
from genvis.data.annotations.youtube_vis import file_categories
from genvis.errors import InputError
from genvis.files import write_text
from genvis.model.config import PUBLISHED_NO_OBJECT_WEIGHT, GenVISConfig
from genvis.model.detector.mask2former import Mask2FormerDetector
from genvis.training.recipe.hardware_presets import TrainingPreset, preset_for, this_machine
from genvis.training.recipe.recipe_paths import is_path, path_from

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
        preset: How to train on the machine.
        config: Of the model that is started from.
        detector_layers: How many of the detector's layers the tracker learns from.
        has_tracker: Whether the model that is started from has a tracker.
        can_compare_looks: Whether a new tracker's queries are as wide as the detector's.
        detector: File of the stage that trains the detector; None if it stays frozen (EoMT, RF-DETR).
        genvis: File of the stage that trains the tracker.
    """

    name: str
    images: Path
    init: str
    preset: TrainingPreset
    config: GenVISConfig
    detector_layers: int
    has_tracker: bool
    can_compare_looks: bool
    detector: Path | None
    genvis: Path

    @property
    def model(self) -> Path:
        """Folder of the finished model."""
        return self.genvis.parent / "runs" / f"{self.name}-genvis" / "model"

    @property
    def files(self) -> list[Path]:
        """The recipes in the order in which they are run."""
        return [self.genvis] if self.detector is None else [self.detector, self.genvis]


def plan_own_recipes(
    *, name: str, images: Path, init: str, folder: Path, preset: TrainingPreset | None = None
) -> OwnRecipes:
    """Find out whether the recipes can be written, before anything else is.

    Args:
        name: Of the files, ``NAME_detector.yaml`` and ``NAME_genvis.yaml``, and of the run's folders.
        images: The folder that the file names of the annotations start from.
        init: Weights to start from: a GenVIS model, or a detector of any family.
        folder: Where the files are to go.
        preset: How to train; None for what fits this machine.

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
        preset or preset_for(this_machine()),
        config=cast(GenVISConfig, model.config),
        detector_layers=min(_DETECTOR_LAYERS, model.detector.sizes.layers),
        has_tracker=model.tracker is not None,
        can_compare_looks=model.config.hidden_dim == model.detector.sizes.query_dim,
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
    name, config, preset, folder = recipes.name, recipes.config, recipes.preset, recipes.genvis.parent
    # Others than Mask2Former need frames of their own size.
    keeps_aspect = (config.resizing or {}).get("rule", "shortest_edge") == "shortest_edge"
    short_side = min(config.min_size_test, preset.short_side) if keeps_aspect else config.min_size_test
    # In the preset for a CPU, too, a model that only knows emoji must learn to see.
    knows_emoji_only = recipes.init == DEMO_MODEL
    init = path_from(folder, recipes.init) if is_path(recipes.init, Path()) else recipes.init
    model: dict[str, Any] = {"init": init, "categories": path_from(folder, train)}
    if short_side < config.min_size_test:
        longest = round(config.max_size_test * short_side / config.min_size_test)
        model["config"] = {"min_size_test": short_side, "max_size_test": longest}
    data = _data(recipes, train, validation=validation, short_side=short_side)
    classes = ", ".join(labels.names[:6]) + (", ..." if len(labels) > 6 else "")
    title = f"The only stage for {name}: the tracker learns {len(labels)} classes ({classes}) on the frozen detector."
    if recipes.detector is not None:
        unfrozen = {"freeze_backbone": False} if knows_emoji_only and preset.hardware == "cpu" else {}
        _write(
            recipes.detector,
            f"Stage 1 of 2 for {name}: the detector learns {len(labels)} classes ({classes}).",
            {
                "base": f"base-own-detector{preset.suffix}.yaml",
                "model": model | unfrozen,
                "data": data,
                "run": {**preset.run, "output": f"runs/{name}-detector"},
            },
        )
        model = {"init": f"runs/{name}-detector/model"}
        if not recipes.has_tracker:  # The heads of one that was trained fit its own queries.
            model |= {"heads": "detector"}
            if recipes.can_compare_looks:  # By looks and places, which need no memory.
                claims = {"frame_reading": "claims", "memory_read": "none", "propagation": "occupancy"}
                model |= {"attention": "looks", "config": claims}
            else:
                model |= {"memory": "silent"}
        title = f"Stage 2 of 2 for {name}: the tracker, on the frozen detector of stage 1."
    clips: dict[str, Any] = {"frames_per_clip": config.clip_length} if config.clip_length > 1 else {}
    if config.propagation == "motion":  # A velocity means the same only between clips at even distances.
        clips["frame_spacing"] = "even"
    layers, weight = recipes.detector_layers, config.no_object_weight
    loss: dict[str, Any] = {"detector_layers": layers} if layers != _DETECTOR_LAYERS else {}
    if weight != PUBLISHED_NO_OBJECT_WEIGHT:  # A tracker goes on as it learned to say that an object is there.
        loss["weights"] = {"no_object": weight}
    _write(
        recipes.genvis,
        title,
        {
            "base": f"base-own-genvis{preset.suffix}.yaml",
            "model": model,
            "data": {**data, **clips},
            **({"loss": loss} if loss else {}),
            **({"cache": {"folder": f"runs/{name}-cache"}} if preset.uses_cache else {}),
            "run": {**preset.run, "output": f"runs/{name}-genvis"},
        },
    )


def _data(recipes: OwnRecipes, train: Path, *, validation: Path | None, short_side: int) -> dict[str, Any]:
    folder, config = recipes.genvis.parent, recipes.config
    scale = short_side / _PUBLISHED_SIDE
    images = path_from(folder, recipes.images)

    def source(annotations: Path) -> dict[str, str]:
        return {"kind": "youtube_vis", "annotations": path_from(folder, annotations), "images": images}

    return {
        **recipes.preset.data,
        "sources": [source(train)],
        "validation": None if validation is None else source(validation),
        "augmentation": {
            "short_sides": [round(side * scale) for side in _PUBLISHED_SHORT_SIDES],
            "max_size": round(1.2 * config.max_size_test * short_side / config.min_size_test),
            "crop_size": [round(384 * scale), round(600 * scale)],
        },
    }


def _write(path: Path, title: str, content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    write_text(path, f"# {title}\n{text}")
