"""Runs and their results: finished ones are skipped, interrupted ones go on, each result is one JSON file."""

import json
import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from experiments.configurations import PRETRAINING, Configuration
from experiments.evaluation import EvaluationPlan, evaluate_tracker
from experiments.held_out_sets import TRAINING_MIXTURE, HeldOutSet, held_out_set
from experiments.recordings import Recording, record
from experiments.tables import Job
from experiments.training import Settings, TrainedTracker, fill_cache, recipe_of, train_tracker
from genvis.checkpoints.pretrained import without_progress_bars
from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS
from genvis.training.recipe import Recipe
from genvis.video.files import make_folder, write_json

FORMAT = "genvis-experiment-1"
_LIBRARIES = ("torch", "transformers", "lightning", "trackeval", "numpy")


@dataclass(frozen=True)
class Workspace:
    """Where a series of runs takes place.

    Attributes:
        detector: Model whose detector is used, frozen: a bundled name, a folder, or what else `GenVIS` loads.
        output: Folder of caches, recordings, checkpoints and models, which can be made again.
        results: Folder of the results, one file per configuration and seed.
        settings: What all runs have in common.
        threads: CPU threads of each run.
    """

    detector: str
    output: Path
    results: Path
    settings: Settings = field(default_factory=Settings)
    threads: int = 1

    def recipe(self, configuration: Configuration, seed: int) -> Recipe:
        """Return the recipe of a run, which starts from the pretrained model if there is to be one."""
        self.detector_fingerprint()
        return recipe_of(
            configuration,
            seed=seed,
            settings=self.settings,
            init=self.pretrained_folder / "model" if self.settings.pretraining_steps else self._detector_folder,
            cache=self.output / "cache",
            output=self.run_folder(configuration, seed),
            threads=self.threads,
        )

    def pretrain(self) -> TrainedTracker | None:
        """Train the model that all runs start from, if it is not there; None if they start from new weights."""
        steps = self.settings.pretraining_steps
        if not steps:
            return None
        self.detector_fingerprint()
        settings = replace(
            self.settings,
            steps=steps,
            learning_rate=self.settings.pretraining_rate,
            views=self.settings.pretraining_views,
        )
        recipe = recipe_of(
            PRETRAINING,
            seed=0,
            settings=settings,
            init=self._detector_folder,
            cache=self.output / "pretraining-cache",
            output=self.pretrained_folder,
            threads=self.threads,
        )
        # Single clips are cached as they are: a stretch to draw them from would cost the room of ten other videos.
        return train_tracker(replace(recipe, cache=replace(recipe.cache, frames=0)))

    @property
    def pretrained_folder(self) -> Path:
        """The run that all others start from."""
        return self.output / "runs" / PRETRAINING.name

    def run_folder(self, configuration: Configuration, seed: int) -> Path:
        """Return the folder of a run's checkpoints and model."""
        return self.output / "runs" / f"{configuration.name}-seed{seed}"

    def result_file(self, configuration: Configuration, seed: int) -> Path:
        """Return the file of a run's results."""
        return self.results / f"{configuration.name}-seed{seed}.json"

    def detector_fingerprint(self) -> str:
        """Return a digest of the detector's weights; the detector is copied to the output folder at the first call.

        Raises:
            InputError: If the output folder was made with another one.
        """
        path = self._detector_folder / "source.json"
        source = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if source.get("detector") == self.detector:
            return str(source["fingerprint"])
        model = GenVIS.from_pretrained(self.detector).as_minvis()
        fingerprint = VideoSegmenter(model).setup.fingerprint
        if source and source["fingerprint"] != fingerprint:
            raise InputError(
                f"{self.output} was made with the detector of '{source['detector']}', not '{self.detector}': choose "
                "another --output."
            )
        if not source:
            with without_progress_bars():
                model.save_pretrained(self._detector_folder)
        write_json(path, {"detector": self.detector, "fingerprint": fingerprint})
        return fingerprint

    def load_detector(self) -> GenVIS:
        """Return the detector as a MinVIS model."""
        self.detector_fingerprint()
        model: GenVIS = GenVIS.from_pretrained(self._detector_folder)
        return model

    def recording(self, held_out: HeldOutSet) -> Recording:
        """Open or make the recording of a held-out set."""
        folder = self.output / "recordings" / held_out.name
        return record(self.load_detector, held_out, folder, fingerprint=self.detector_fingerprint())

    def model_of(self, configuration: Configuration, seed: int) -> tuple[GenVIS, TrainedTracker | None]:
        """Return the finished model of a run, which is trained first if it is not there."""
        if not configuration.is_trained:
            return self.load_detector(), None
        self.pretrain()
        trained = train_tracker(self.recipe(configuration, seed))
        model: GenVIS = GenVIS.from_pretrained(trained.folder)
        return model, trained

    @property
    def _detector_folder(self) -> Path:
        return self.output / "detector"


def missing_plans(workspace: Workspace, job: Job, seed: int) -> list[EvaluationPlan]:
    """Return what has not been measured of a run; a set that has changed since does not count.

    Raises:
        InputError: If the results are of other settings or of another detector.
    """
    found = read_result(workspace, job.configuration, seed)
    known = found["evaluations"] if found else {}
    return [plan for plan in job.plans if known.get(plan.key, {}).get("set") != _set_digest(plan)]


def read_result(workspace: Workspace, configuration: Configuration, seed: int) -> dict[str, Any] | None:
    """Return the results of a run so far, or None.

    Raises:
        InputError: If they are of other settings or of another detector.
    """
    path = workspace.result_file(configuration, seed)
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    wanted = _identity(workspace, configuration, seed)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise InputError(
                f"{path} is of another {name} ({found.get(name)} instead of {value}): choose another --results folder."
            )
    return found


def run(workspace: Workspace, job: Job, seed: int) -> str:
    """Train and measure what is missing of one run.

    Returns:
        A line that says what was done.
    """
    torch.set_num_threads(workspace.threads)
    configuration = job.configuration
    missing = missing_plans(workspace, job, seed)
    name = f"{configuration.name}, seed {seed}"
    if not missing:
        return f"{name}: finished before"
    result = read_result(workspace, configuration, seed) or _identity(workspace, configuration, seed)
    model, trained = workspace.model_of(configuration, seed)
    if trained is not None:
        pretrained = workspace.pretrain()
        result["training"] = {
            "steps": trained.steps,
            "seconds": round(trained.seconds, 1),
            "pretraining_seconds": round(pretrained.seconds, 1) if pretrained else 0.0,
            "parameters": trained.parameters,
            "threads": workspace.threads,
        }
    result["versions"] = {"python": platform.python_version()} | {one: version(one) for one in ("genvis", *_LIBRARIES)}
    make_folder(workspace.results)
    said = []
    for plan in missing:
        recording = workspace.recording(held_out_set(plan.held_out))
        scores = evaluate_tracker(model, recording, plan, association=configuration.association)
        result.setdefault("evaluations", {})[plan.key] = {"set": _set_digest(plan), **scores.document()}
        write_json(workspace.result_file(configuration, seed), result)
        said.append(f"{plan.key}: AP {scores.ap:.1f}, switches {scores.switches}")
    took = f"trained in {trained.seconds:.0f} s; " if trained else ""
    return f"{name}: {took}{'; '.join(said)}"


def run_jobs(workspace: Workspace, jobs: Sequence[Job], *, seeds: Sequence[int], workers: int) -> None:
    """Run everything that is missing, several runs side by side if asked for, and say what was done.

    Seed by seed, so that an interrupted series has all rows of its first seeds.

    Args:
        workspace: Where.
        jobs: What.
        seeds: Of every trained configuration.
        workers: Processes.
    """
    runs = [one for seed in seeds for job in jobs for one in job.runs(seeds) if one[1] == seed]
    waiting = [(job, seed) for job, seed in runs if missing_plans(workspace, job, seed)]
    print(f"{len(runs)} runs, {len(waiting)} of them to do", flush=True)
    if not waiting:
        return
    _prepare(workspace, [job for job, _ in waiting])
    if workers == 1:
        for job, seed in waiting:
            print(run(workspace, job, seed), flush=True)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, workspace, job, seed) for job, seed in waiting]):
            print(future.result(), flush=True)


def _prepare(workspace: Workspace, jobs: Sequence[Job]) -> None:
    """Make what the runs share, before any of them starts."""
    torch.set_num_threads(workspace.threads)
    trained = [job.configuration for job in jobs if job.configuration.is_trained]
    if trained:
        pretrained = workspace.pretrain()
        if pretrained is not None:
            print(f"pretraining: {pretrained.steps:,} steps on single clips in {pretrained.seconds:.0f} s", flush=True)
        fill_cache(workspace.recipe(trained[0], 0))
    for name in dict.fromkeys(plan.held_out for job in jobs for plan in job.plans):
        workspace.recording(held_out_set(name))


def _identity(workspace: Workspace, configuration: Configuration, seed: int) -> dict[str, Any]:
    """Return what results must agree in to be of the same run."""
    settings = {**asdict(workspace.settings), "videos": _digest(TRAINING_MIXTURE)} if configuration.is_trained else {}
    return {
        "format": FORMAT,
        "configuration": configuration.description(),
        "seed": seed,
        "settings": settings,
        "detector": workspace.detector_fingerprint(),
    }


def _set_digest(plan: EvaluationPlan) -> str:
    return _digest(held_out_set(plan.held_out).description())


def _digest(value: Any) -> str:
    """Return a short name of dataclasses, dictionaries and sequences of plain values."""
    content = json.dumps(value, sort_keys=True, default=asdict)
    return sha256(content.encode()).hexdigest()[:12]
