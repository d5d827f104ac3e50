"""Dry run of a recipe: what it would train, with memory and time measured on a few steps."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from genvis.data.samples.batch import collate
from genvis.memory import peak_memory
from genvis.training.planned_launch import planned_launch
from genvis.training.recipe.checks import check_recipe
from genvis.training.recipe.data_options import CacheOptions, SourceOptions
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.data_module import TrainingData
from genvis.training.run.run import build_data, build_module
from genvis.training.run.stand_ins import NoiseVideos, missing_data, without_missing_weights
from genvis.training.stages.model_building import parameter_table
from genvis.training.stages.stage import StageModule

if TYPE_CHECKING:
    from rich.console import Console

_MEASURED_STEPS = 2
_MEASURED_VIEWS = 2
_LONG = 60.0  # Seconds of steps after which no further one is measured.


@dataclass(frozen=True)
class Measurement:
    """Costs of a training step on this machine.

    Attributes:
        seconds: Of one batch of one process, without waiting for data.
        data_seconds: To prepare a batch in one process.
        memory: Peak bytes: of the process on the CPU, of the device's tensors on a GPU.
        loss: Of the first batch.
        cache_seconds: To fill the cache of the detector's outputs, if the recipe has one.
        cache_bytes: Of the filled cache.
    """

    seconds: float
    data_seconds: float
    memory: int
    loss: float
    cache_seconds: float = 0.0
    cache_bytes: int = 0


@dataclass(frozen=True)
class DryRun:
    """What a recipe would train, and its costs on this machine.

    Attributes:
        recipe: The recipe as it was measured, stand-ins for what is not here yet included.
        parameters: Of each part of the network its name, its parameters, and how many of them are trained.
        notes: What is not here yet, and what stood in for it.
        measurement: Costs of a step.
        output: Folder of the run, of which nothing was written.
    """

    recipe: Recipe
    parameters: list[tuple[str, int, int]]
    notes: list[str]
    measurement: Measurement
    output: Path

    @property
    def step_seconds(self) -> float:
        """Time of an optimizer step, with the wait for its data."""
        data, measured = self.recipe.data, self.measurement
        batch = max(measured.seconds, measured.data_seconds / data.workers) if data.workers else 0.0
        return self.recipe.run.accumulate * (batch or measured.seconds + measured.data_seconds)

    @property
    def seconds(self) -> float:
        """Time of the whole run, with filling the cache, without validation."""
        return self.step_seconds * self.recipe.run.max_steps + self.measurement.cache_seconds

    def to_json(self) -> dict[str, Any]:
        """Return everything as a dictionary ready for JSON."""
        return {
            "stage": self.recipe.stage,
            "steps": self.recipe.run.max_steps,
            "batch": _batch(self.recipe),
            "data": [_described(source) for source in self.recipe.data.sources],
            "parts": [
                {"name": name, "parameters": size, "trained": trained} for name, size, trained in self.parameters
            ],
            "notes": self.notes,
            "step_seconds": self.step_seconds,
            "seconds": self.seconds,
            "measured": asdict(self.measurement),
            "output": str(self.output),
        }

    def show(self, console: "Console") -> None:
        """Print everything."""
        from rich.table import Table

        measured, recipe = self.measurement, self.recipe
        console.print(f"[bold]Stage[/bold] {recipe.stage}, {recipe.run.max_steps:,} steps of {_batch(recipe)}")
        for source in recipe.data.sources:
            console.print(f"[bold]Data[/bold]  {_described(source)}")
        table = Table("part", "parameters", "trained", box=None)
        for name, size, trained in self.parameters:
            table.add_row(name, f"{size:,}", f"{trained:,}" if trained else "frozen")
        table.add_row(
            "all",
            f"{sum(row[1] for row in self.parameters):,}",
            f"{sum(row[2] for row in self.parameters):,}",
            style="bold",
        )
        console.print(table)
        for note in self.notes:
            console.print(note, style="yellow", soft_wrap=True)
        console.print(
            f"[bold]Time[/bold]  {self.step_seconds:.2f} s a step here ({measured.seconds:.2f} s to learn from a "
            f"batch, {measured.data_seconds:.2f} s to prepare it), {duration(self.seconds)} in all"
        )
        if measured.cache_bytes:
            console.print(
                f"[bold]Cache[/bold] {recipe.cache.views:,} views, {measured.cache_bytes / 2**30:.1f} GB, "
                f"{duration(measured.cache_seconds)} to fill in one process"
            )
        console.print(f"[bold]Memory[/bold] {measured.memory / 2**30:.2f} GB at the peak of each process")
        console.print(f"[bold]Output[/bold] {self.output} (nothing was written)")


def dry_run(recipe: Recipe, *, beside: Path | None = None, is_brief: bool = False) -> DryRun:
    """Find out what a recipe would train, its parameters, memory and time, without changing anything on disk.

    Nothing is fetched. Weights and data that are not there yet are replaced by new weights and by noise of the same
    size, and the notes say so.

    Args:
        recipe: All of it.
        beside: Folder of the recipe. Where the weights of the stage before are missing, the recipe beside it that
            makes them says what they will be.
        is_brief: Take steps of one sample, and multiply their time: within about 10% on a CPU, too much on a GPU.

    Raises:
        InputError: If the recipe is impossible.
    """
    check_recipe(recipe)
    output = Path(recipe.run.output).resolve()
    model, notes = without_missing_weights(recipe.model, beside=beside)
    recipe = replace(recipe, model=model)
    missing = missing_data(recipe.data)
    if missing is not None:
        notes.append(f"The data '{missing}' is not here yet: measured on noise, without the time to prepare a batch.")
        recipe = replace(recipe, cache=CacheOptions())
    module = build_module(recipe)
    measured = measure(recipe, module, is_stand_in=missing is not None, most=1 if is_brief else None)
    return DryRun(recipe, parameter_table(module.model), notes, measured, output)


def measure(recipe: Recipe, module: StageModule, *, is_stand_in: bool = False, most: int | None = None) -> Measurement:
    """Take a few steps with the recipe's model, data and losses, and time them; of a cache only some views are made.

    Args:
        recipe: All of it.
        module: Its stage.
        is_stand_in: Take noise of the size of the recipe's samples, whose preparation is not measured.
        most: Samples of a measured step, if that is fewer than the recipe's; times are then multiplied.
    """
    if is_stand_in:
        noise = NoiseVideos.like(recipe.data, classes=module.model.config.num_classes)
        return replace(_measure(recipe, module, noise, collate, most=most), data_seconds=0.0)
    if not recipe.cache.folder:
        data = build_data(recipe, module)
        return _measure(recipe, module, data.stream, data.collate_items, most=most)
    measured_views = _MEASURED_VIEWS if most is None else 1
    with TemporaryDirectory() as folder:

        def built(views: int) -> tuple[TrainingData, float]:
            begun = time.perf_counter()
            cache = replace(recipe.cache, folder=folder, views=views)
            alone = replace(recipe.run, devices=1, nodes=1)
            return build_data(replace(recipe, cache=cache, run=alone), module), time.perf_counter() - begun

        built(1)  # The first view also warms up.
        _, filling = built(1 + measured_views)
        data, opening = built(1 + measured_views)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / (1 + measured_views)
        measured = _measure(recipe, module, data.stream, data.collate_items, most=most)
    views = recipe.cache.views
    seconds = opening + views * max(0.0, filling - opening) / measured_views
    return replace(measured, cache_seconds=seconds, cache_bytes=int(views * size))


def _measure(
    recipe: Recipe,
    module: StageModule,
    stream: Any,
    collate_items: Callable[[list[Any]], Any],
    *,
    most: int | None = None,
) -> Measurement:
    device = torch.device("cuda" if torch.cuda.is_available() and recipe.run.accelerator != "cpu" else "cpu")
    module.to(device)
    processes = planned_launch(recipe.run).processes
    full = max(1, recipe.data.batch_size // processes)
    share = min(full, most or full)
    learning: list[float] = []
    preparing: list[float] = []
    first = 0.0
    steps = _MEASURED_STEPS if most is None else 1
    while len(learning) < 1 + steps and sum(learning) < _LONG:
        step = len(learning)
        start = time.perf_counter()
        batch = collate_items([stream[step * share + place] for place in range(share)]).to(device)
        prepared = time.perf_counter()
        with torch.autocast(device.type, _dtype(recipe), enabled=recipe.run.precision != "32-true"):
            loss = torch.stack(list(module.losses(batch).values())).sum()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        preparing.append(prepared - start)
        learning.append(time.perf_counter() - prepared)
        first = first if step else float(loss.detach())
    # The first step also warms up; where steps are long, it is all there is.
    counted = slice(1 if len(learning) > 1 else 0, None)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_memory()
    # AdamW keeps two more numbers for each trained one.
    memory += sum(2 * 4 * parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    scale = full / share
    return Measurement(scale * mean(learning[counted]), scale * mean(preparing[counted]), memory, first)


def _dtype(recipe: Recipe) -> torch.dtype:
    return torch.float16 if recipe.run.precision == "16-mixed" else torch.bfloat16


def _batch(recipe: Recipe) -> str:
    data, run = recipe.data, recipe.run
    clips = f"{data.clips} clips of {data.frames_per_clip} frames"
    more = f" x {run.accumulate} accumulated" if run.accumulate > 1 else ""
    return f"{data.batch_size} samples of {clips}{more}"


def _described(source: SourceOptions) -> str:
    if source.kind == "sprites":
        return f"generated videos, {source.difficulty}, {source.height}x{source.width} (weight {source.weight:g})"
    return f"{source.kind} {source.annotations} with images in {source.images} (weight {source.weight:g})"


def duration(seconds: float) -> str:
    """Return a time in words, for example ``"12 min"``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
