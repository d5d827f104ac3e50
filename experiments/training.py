"""A run's recipe: the library's own training with the frozen-detector cache that all runs share."""

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from experiments.configurations import Configuration
from experiments.validation_sets import ASSOCIATION_SETS, training_mixture
from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.files import write_json
from genvis.model.config import GenVISConfig
from genvis.training.recipe.data_options import CacheOptions, DataOptions, SourceOptions
from genvis.training.recipe.loading import load_recipe, save_recipe
from genvis.training.recipe.loss_options import LossOptions, LossWeights, PointOptions
from genvis.training.recipe.recipe import (
    FirstAttention,
    FirstHeads,
    FirstMemory,
    ModelOptions,
    OptimizerOptions,
    Recipe,
    RunOptions,
)
from genvis.training.run.run import build_data, build_module, train

DONE = "trained.json"
START = "start.json"
LOCK = "lock"


@dataclass(frozen=True)
class Settings:
    """Settings that all runs of a series share.

    Attributes:
        pretraining_steps: Optimizer steps on single clips, from which all runs start, as the paper's start from a
            trained VITA; 0 lets every run start from new weights.
        pretraining_rate: The highest learning rate of the pretraining's cycle.
        pretraining_views: Generated clips of the pretraining, each of another video: with few videos the tracker
            learns their objects by heart.
        steps: Optimizer steps of a run.
        learning_rate: The highest one of a run's cycle.
        views: Generated videos whose detections are cached.
        mixture: Validation sets joined by ``+``, of whose kinds the training videos are in equal parts.
        stretch: Frames of a cached video; the clips of a step lie anywhere in it.
        gap: Mean distance of the frames of a sample, as far as the stretch allows it; 0 draws them from all of the
            stretch, so that samples of fewer frames have wider gaps.
        points: Where masks are compared in the losses.
        detector_layers: Layers of the detector that feed the tracker.
        heads: First weights of the trackers' heads where there is no pretraining: new, or the detector's.
        memory: First weights of the prototype memory: new, or silent.
        disappearance: Probability of each object to be taken out of some clips of a sample.
        attention: First weights of the trackers' attention: new, or a comparison of looks.
    """

    pretraining_steps: int = 4000
    pretraining_rate: float = 5e-4
    pretraining_views: int = 8000
    steps: int = 1000
    learning_rate: float = 3e-4
    views: int = 1000
    mixture: str = "normal+occluded"
    stretch: int = 35
    gap: float = 2.2
    points: int = 256
    detector_layers: int = 1
    heads: FirstHeads = "init"
    memory: FirstMemory = "init"
    disappearance: float = 0.0
    attention: FirstAttention = "init"

    def frame_range(self, frames: int) -> int:
        """Return how far the frames of a sample may lie from its middle one.

        Args:
            frames: Of a sample.
        """
        widest = self.stretch // 2
        if not self.gap:
            return widest
        # Of 2r + 1 places, n that are drawn at random are about (2r + 1) / (n + 1) apart.
        return min(widest, max(1, round((self.gap * (frames + 1) - 1) / 2)))


ATTEMPTS = {
    "online": Settings(
        pretraining_steps=0,
        steps=2000,
        learning_rate=5e-4,
        views=1500,
        mixture="normal+occluded+returning",
        stretch=36,
        gap=4.8,
        heads="detector",
        memory="silent",
        disappearance=0.3,
    )
}
"""Settings of attempts by their name, where they are not told one by one."""
ATTEMPTS["association"] = replace(ATTEMPTS["online"], views=1000, mixture="+".join(ASSOCIATION_SETS))
ATTEMPTS["association-looks"] = replace(ATTEMPTS["association"], attention="looks")
ATTEMPTS["association-claims"] = ATTEMPTS["association-looks"]
ATTEMPTS["association-long"] = replace(ATTEMPTS["association"], steps=12000)
ATTEMPTS["association-looks-long"] = replace(ATTEMPTS["association-looks"], steps=10000)


def recipe_of(
    configuration: Configuration,
    *,
    seed: int,
    settings: Settings,
    init: Path,
    cache: Path,
    output: Path,
    threads: int,
) -> Recipe:
    """Return the recipe of a run.

    Args:
        configuration: What is trained.
        seed: Of first weights, points, and the order and frames of the samples.
        settings: What all runs have in common.
        init: Folder of the model to start from: the detector alone, or the pretrained one.
        cache: Folder of the detector's outputs on the training videos, the same for all runs.
        output: Folder of the run.
        threads: CPU threads.
    """
    sources = [
        SourceOptions(
            difficulty_changes=asdict(one.difficulty),
            category_names=list(one.category_names),
            height=one.height,
            width=one.width,
        )
        for one in training_mixture(settings.mixture)
    ]
    return Recipe(
        stage="genvis",
        model=ModelOptions(
            init=str(init),
            config=configuration.model_fields,
            heads=settings.heads,
            memory=settings.memory if configuration.memory != "none" else "init",
            attention=settings.attention,
        ),
        data=DataOptions(
            sources=sources,
            clips=configuration.clips,
            frames_per_clip=configuration.clip_length,
            frame_range=settings.frame_range(configuration.clips * configuration.clip_length),
            batch_size=configuration.videos,
            workers=0,
        ),
        optimizer=OptimizerOptions(learning_rate=settings.learning_rate, schedule="one_cycle", clip_norm=1.0),
        loss=LossOptions(
            assignment=configuration.assignment,
            detector_layers=settings.detector_layers,
            weights=LossWeights(classification=4.0),
            points=PointOptions(count=settings.points),
            disappearance=settings.disappearance if configuration.method == "genvis" else 0.0,
            clip_lengths=list(configuration.mixed_lengths),
            identity=configuration.identity,
            query_noise=configuration.query_noise,
        ),
        run=RunOptions(
            output=str(output),
            max_steps=settings.steps,
            seed=seed,
            accelerator="cpu",
            devices=1,
            threads=threads,
            checkpoint_minutes=1.0,
            log_steps=50,
            tensorboard=False,
        ),
        cache=CacheOptions(folder=str(cache), views=settings.views, frames=settings.stretch, seed=0),
    )


def fill_cache(recipe: Recipe) -> None:
    """Make the cache of the detector's outputs, or complete it."""
    # The tracker is newly initialised on purpose: no warning.
    with _silent("genvis.training.stages.model_building"):
        build_data(recipe, build_module(recipe))


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Say no warnings of a logger."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass(frozen=True)
class TrainedTracker:
    """A finished training run.

    Attributes:
        folder: Of the model.
        seconds: Time that all its steps took.
        steps: Optimizer steps.
        parameters: Trained weights.
    """

    folder: Path
    seconds: float
    steps: int
    parameters: int


def train_tracker(recipe: Recipe) -> TrainedTracker:
    """Train as the recipe says, from the last checkpoint if there is one; a finished run is only opened.

    What the training says goes to ``training.log`` in the run's folder.

    Raises:
        InputError: If the folder holds a run of another recipe, or one that started from other weights.
    """
    output = Path(recipe.run.output)
    output.mkdir(parents=True, exist_ok=True)
    # Whoever comes second waits, and finds the run finished.
    with FileLock(output / LOCK):
        return _train_tracker(recipe, output)


def _train_tracker(recipe: Recipe, output: Path) -> TrainedTracker:
    start = {"weights": sha256((Path(recipe.model.init) / "model.safetensors").read_bytes()).hexdigest()}
    _check_same(recipe, output / "recipe.yaml", start)
    done = output / DONE
    if not done.is_file():
        write_json(output / START, start)
        clock = _Clock(output / "seconds.json")
        with (
            clock,
            (output / "training.log").open("a", encoding="utf-8") as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            try:
                train(recipe)
            except SystemExit:  # Lightning's answer to Ctrl-C
                raise KeyboardInterrupt from None
        model = load_genvis(output / "model")
        parameters = 0 if model.tracker is None else sum(weight.numel() for weight in model.tracker.parameters())
        write_json(done, {"seconds": clock.seconds, "steps": recipe.run.max_steps, "parameters": parameters})
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    facts = json.loads(done.read_text(encoding="utf-8"))
    return TrainedTracker(output / "model", facts["seconds"], facts["steps"], facts["parameters"])


def _check_same(recipe: Recipe, path: Path, start: dict[str, str]) -> None:
    """Make sure that a run goes on as it was begun; only the number of threads may change."""
    if not path.is_file():
        return
    begun = path.with_name(START)
    if not begun.is_file() or json.loads(begun.read_text(encoding="utf-8")) != start:
        raise InputError(
            f"{path.parent} holds a run that started from other weights: delete it, or choose another --output."
        )
    with TemporaryDirectory() as folder:
        save_recipe(recipe, Path(folder) / path.name)
        # Loaded, so that options which came later count with their usual values.
        recipes = [asdict(load_recipe(one)) for one in (path, Path(folder) / path.name)]
    for one in recipes:
        one["run"].pop("threads")
        one["model"]["config"] = GenVISConfig(**one["model"]["config"]).to_dict()
    if recipes[0] != recipes[1]:
        raise InputError(f"{path.parent} holds a run of another recipe: delete it, or choose another --output.")


class _Clock:
    """Adds up the time of a run that was interrupted; what a killed process did after its start is not counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began
        write_json(self._path, self.seconds)
