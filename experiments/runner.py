"""Runs and their results: finished ones are skipped, interrupted ones go on, each result is one JSON file."""

import hashlib
import json
import platform
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from experiments.ceiling import evaluate_joined_by_truth
from experiments.configurations import PRETRAINING, Configuration
from experiments.evaluation import EvaluationPlan, evaluate_tracker
from experiments.recordings import Recording, record, with_images
from experiments.tables import Job
from experiments.training import LOCK, Settings, TrainedTracker, fill_cache, recipe_of, train_tracker
from experiments.validation_sets import ValidationSet, mixture_digest, training_mixture, validation_set
from genvis import __version__
from genvis.checkpoints.build import without_progress_bars
from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError
from genvis.files import make_folder, write_json
from genvis.model.genvis import GenVIS
from genvis.training.recipe.recipe import Recipe

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
        attempt: A name for runs with other settings, which share caches, recordings and the pretraining with the usual
            ones; their results are in a folder beside the usual one.
    """

    detector: str
    output: Path
    results: Path
    settings: Settings = field(default_factory=Settings)
    threads: int = 1
    attempt: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]*", self.attempt):
            raise InputError(f"'{self.attempt}' is no name of an attempt: use lower-case letters, digits and hyphens.")

    def recipe(self, configuration: Configuration, seed: int) -> Recipe:
        """Return the recipe of a run, which starts from the pretrained model if there is to be one."""
        self.prepare_detector()
        return recipe_of(
            configuration,
            seed=seed,
            settings=self.settings,
            init=self.pretrained_folder / "model" if self.settings.pretraining_steps else self._detector_folder,
            cache=self.cache_folder,
            output=self.run_folder(configuration, seed),
            threads=self.threads,
        )

    def pretrain(self) -> TrainedTracker | None:
        """Train the model that all runs start from, if it is not there; None if they start from new weights."""
        steps = self.settings.pretraining_steps
        if not steps:
            return None
        self.prepare_detector()
        settings = replace(
            self.settings,
            steps=steps,
            learning_rate=self.settings.pretraining_rate,
            views=self.settings.pretraining_views,
            mixture=Settings.mixture,
            gap=0.0,
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
    def cache_folder(self) -> Path:
        """The detector's outputs on the training videos."""
        mixture = self.settings.mixture
        return self.output / ("cache" if mixture == Settings.mixture else f"cache-{mixture}")

    @property
    def pretrained_folder(self) -> Path:
        """The run that all others start from."""
        return self.output / "runs" / PRETRAINING.name

    def run_folder(self, configuration: Configuration, seed: int) -> Path:
        """Return the folder of a run's checkpoints and model."""
        return self.output / self._with_attempt("runs") / f"{configuration.name}-seed{seed}"

    @property
    def tracked_folder(self) -> Path:
        """Folder of what the runs of this series found in videos."""
        return self.output / self._with_attempt("tracked")

    def tracked_file(self, configuration: Configuration, seed: int, plan: EvaluationPlan) -> Path:
        """Return the file of what a run found in the videos of a set."""
        folder = self.tracked_folder / f"{configuration.name}-seed{seed}"
        return folder / f"{plan.key.replace('/', '-').replace(' ', '-')}.json.gz"

    def result_file(self, configuration: Configuration, seed: int) -> Path:
        """Return the file of a run's results."""
        return self.results_folder / f"{configuration.name}-seed{seed}.json"

    @property
    def results_folder(self) -> Path:
        """Folder of this series' results."""
        return self.results.with_name(self._with_attempt(self.results.name))

    @cached_property
    def detector_fingerprint(self) -> str:
        """A digest of the detector's weights; the detector is copied to the output folder when this is first read.

        Raises:
            InputError: If the output folder was made with another one.
        """
        path = self._detector_folder / "source.json"
        source = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        # Computed anew in every process: the name may stand for other weights by now.
        model = load_genvis(self.detector).as_minvis()
        fingerprint = weights_digest(model)
        if source and source["fingerprint"] != fingerprint:
            raise InputError(
                f"{self.output} was made with the detector of '{source['detector']}', not '{self.detector}' as it is "
                "now: choose another --output."
            )
        if not source:
            with without_progress_bars():
                model.save_pretrained(self._detector_folder)
            write_json(path, {"detector": self.detector, "fingerprint": fingerprint})
        return fingerprint

    def prepare_detector(self) -> None:
        """Make sure that the output folder holds the detector, and that it is the right one."""
        _ = self.detector_fingerprint

    def load_detector(self) -> GenVIS:
        """Return the detector as a MinVIS model."""
        self.prepare_detector()
        return load_genvis(self._detector_folder)

    def recording(self, validation: ValidationSet) -> Recording:
        """Open or make the recording of a validation set."""
        folder = self.output / "recordings" / validation.name
        return record(self.load_detector, validation, folder, fingerprint=self.detector_fingerprint)

    def model_of(self, configuration: Configuration, seed: int) -> tuple[GenVIS, TrainedTracker | None]:
        """Return the finished model of a run, which is trained first if it is not there."""
        if configuration.method == "bundled":
            self.prepare_detector()
            return load_genvis(self.detector), None
        if not configuration.is_trained:
            return self.load_detector(), None
        self.pretrain()
        trained = train_tracker(self.recipe(configuration, seed))
        model = load_genvis(trained.folder)
        return model, trained

    def _with_attempt(self, name: str) -> str:
        return f"{name}-{self.attempt}" if self.attempt else name

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
    return [plan for plan in job.plans if known.get(plan.key, {}).get("set") != validation_set(plan.set_name).digest]


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
                f"{path} is of another {name} ({found.get(name)} instead of {value}): name an --attempt, or choose "
                "another --results folder."
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
    model, trained = workspace.model_of(configuration, seed)
    about: dict[str, Any] = {
        "versions": {"python": platform.python_version(), "genvis": __version__}
        | {one: version(one) for one in _LIBRARIES}
    }
    if trained is not None:
        pretrained = workspace.pretrain()
        about["training"] = {
            "steps": trained.steps,
            "seconds": round(trained.seconds, 1),
            "pretraining_seconds": round(pretrained.seconds, 1) if pretrained else 0.0,
            "parameters": trained.parameters,
            "threads": workspace.threads,
        }
    said = []
    for plan in missing:
        validation = validation_set(plan.set_name)
        recording = workspace.recording(validation)
        if configuration.method == "truth":
            scores = evaluate_joined_by_truth(model, recording, plan)
        else:
            # Only clips that adapt look at the frames themselves.
            videos = with_images(recording, validation) if plan.clip_length == "auto" else recording
            kept = workspace.tracked_file(configuration, seed, plan)
            scores = evaluate_tracker(model, videos, plan, configuration.tracking, kept=kept)
        measured = {plan.key: {"set": validation.digest, **scores.document()}}
        _add_to_result(workspace, configuration, seed, about=about, evaluations=measured)
        said.append(f"{plan.key}: AP {scores.ap:.1f}, switches {scores.switches}")
    took = f"trained in {trained.seconds:.0f} s; " if trained else ""
    return f"{name}: {took}{'; '.join(said)}"


def _add_to_result(
    workspace: Workspace,
    configuration: Configuration,
    seed: int,
    *,
    about: dict[str, Any],
    evaluations: dict[str, Any],
) -> None:
    """Add measurements to the file of a run, which another process may have written since."""
    make_folder(workspace.results_folder)
    with FileLock(workspace.output / "results.lock"):
        result = read_result(workspace, configuration, seed) or _identity(workspace, configuration, seed)
        result |= about
        result["evaluations"] = result.get("evaluations", {}) | evaluations
        write_json(workspace.result_file(configuration, seed), result)


def run_jobs(workspace: Workspace, jobs: Sequence[Job], *, seeds: Sequence[int], workers: int) -> None:
    """Run everything that is missing, several runs side by side if asked for, and say what was done.

    Seed by seed, so that an interrupted series has all rows of its first seeds.

    Args:
        workspace: Where.
        jobs: What.
        seeds: Of every trained configuration.
        workers: Processes.
    """
    places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
    runs = sorted((one for job in jobs for one in job.runs(seeds)), key=lambda one: places.get(one[1], 0))
    waiting = [(job, seed) for job, seed in runs if missing_plans(workspace, job, seed)]
    print(f"{len(runs)} runs, {len(waiting)} of them to do", flush=True)
    if not waiting:
        return
    make_folder(workspace.output)
    with FileLock(workspace.output / LOCK):
        _prepare(workspace, [job for job, _ in waiting])
    if workers == 1:
        for job, seed in waiting:
            print(run(workspace, job, seed), flush=True)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(run, workspace, job, seed) for job, seed in waiting]):
                print(future.result(), flush=True)
        except BaseException as reason:
            # Nothing else is begun; without this the reason would be said after all other runs.
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(reason, KeyboardInterrupt):  # They have not heard of it if only this process was signalled.
                for worker in active_children():
                    worker.terminate()
                    worker.join()
            raise


def _prepare(workspace: Workspace, jobs: Sequence[Job]) -> None:
    """Make what the runs share, before any of them starts."""
    torch.set_num_threads(workspace.threads)
    trained = [job.configuration for job in jobs if job.configuration.is_trained]
    if trained:
        pretrained = workspace.pretrain()
        if pretrained is not None:
            print(f"pretraining: {pretrained.steps:,} steps on single clips in {pretrained.seconds:.0f} s", flush=True)
        fill_cache(workspace.recipe(trained[0], 0))
    for name in dict.fromkeys(plan.set_name for job in jobs for plan in job.plans):
        workspace.recording(validation_set(name))


def _identity(workspace: Workspace, configuration: Configuration, seed: int) -> dict[str, Any]:
    """Return what results must agree in to be of the same run."""
    settings = asdict(workspace.settings) if configuration.is_trained else {}
    if settings:
        # What came later is told only where it is used, so that older results keep their settings.
        for name, usual in (("heads", "init"), ("memory", "init"), ("disappearance", 0.0), ("attention", "init")):
            if settings[name] == usual:
                del settings[name]
        first = training_mixture(workspace.settings.mixture)[0]
        settings |= {"height": first.height, "width": first.width}
        settings["videos"] = mixture_digest(workspace.settings.mixture)
    return {
        "format": FORMAT,
        "configuration": configuration.description(),
        "seed": seed,
        "settings": settings,
        "detector": workspace.detector_fingerprint,
    }


def weights_digest(model: GenVIS) -> str:
    """Return a digest of a model's weights, by which the result files know their detector."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
