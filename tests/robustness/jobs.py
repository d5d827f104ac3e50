"""The long commands that campaigns interrupt, their inputs, and what a run without interruptions gives."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import yaml

from tests.robustness.campaigns.damaged_files import RECIPE, command
from tests.robustness.sample_files import write_data_set
from tests.robustness.sample_videos import VideoKind, write_video
from tests.robustness.trials import Limits, count_file_steps, run_trial
from tests.tiny_network import CONFIG

FINGERPRINT_FILE, MANIFESTS = "fingerprint.json", "manifests"
LIMITS = Limits(seconds=120, memory=8 << 30)


@dataclass(frozen=True)
class Job:
    """A command that is killed and repeated.

    Attributes:
        name: For the table.
        words: What follows `genvis`; the outputs go to `out`.
        compared: Patterns of the outputs whose content must be that of a run without kills; the names of all must be.
        final: Patterns of the outputs that are never written again once they are there.
    """

    name: str
    words: str
    compared: tuple[str, ...] = ("**/*",)
    final: tuple[str, ...] = ()


PREDICT = "predict {} -o out --resume --score-threshold 0 --resolution 64 --device cpu "
ALL_OUTPUTS = "--outputs youtube_vis,mots,pngs,video,contact_sheet"
MODEL_FILES = ("model/*",)

JOBS = (
    Job("predict", PREDICT.format("a.mp4") + "--weights model " + ALL_OUTPUTS),
    Job("predict, clips of 3", PREDICT.format("a.mp4 b.mkv") + "--weights model --clip-length 3 --memory-clips 2"),
    Job("predict, offline", PREDICT.format("a.mp4") + "--weights vita"),
    # Pictures of a live run that was interrupted are drawn at its end, with the final scores.
    Job("live", PREDICT.format("a.mp4") + "--weights model --live --session session.safetensors", ("**/*.json",)),
    Job(
        "eval",
        "eval --weights model --annotations instances.json --images images -o out --workers 1 --device cpu",
        final=("videos/[!.]*.json",),
    ),
    Job("train", "train recipe.yaml", MODEL_FILES),
    Job("train the detector", "train detector.yaml", MODEL_FILES),
    Job("train from a cache", "train cached.yaml", MODEL_FILES),
)


def write_inputs(folder: Path) -> None:
    """Write the models, videos, annotations and recipes of the jobs."""
    import torch

    from genvis.categories import Categories
    from genvis.model.config import GenVISConfig
    from genvis.model.genvis import GenVIS

    write_data_set(folder)
    write_video(VideoKind("a.mp4", "libx264"), folder)
    write_video(VideoKind("b.mkv", "libx264"), folder)
    categories = Categories("sample", (1, 2), ("person", "dog"))
    offline = {"method": "vita", "propagate_queries": False, "memory_read": "none"}
    for name, changes in {"model": {}, "vita": offline}.items():
        torch.manual_seed(1)
        GenVIS(GenVISConfig(**{**CONFIG, **changes}).with_labels(categories)).save_pretrained(folder / name)
    for name, changes in _recipes().items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**RECIPE, **changes}))


def _recipes() -> dict[str, dict[str, Any]]:
    run = {**RECIPE["run"], "output": "out", "max_steps": 5, "checkpoint_steps": 1, "checkpoint_minutes": 0}
    return {
        "recipe": {"run": run},
        "detector": {"stage": "detector", "run": run, "data": {**RECIPE["data"], "clips": 1}},
        "cached": {"run": run, "cache": {"folder": "out/cache", "views": 4}},
    }


@dataclass(frozen=True)
class Reference:
    """What a run without kills is like.

    Attributes:
        files: What `snapshot` returns.
        seconds: How long it took.
        file_steps: How many steps on files it made.
        largest: Bytes of its largest file.
        pages: Pages of a disk that its files take.
    """

    files: dict[str, str]
    seconds: float
    file_steps: int
    largest: int
    pages: int

    @property
    def folders(self) -> set[str]:
        """The folders of its videos."""
        return {name.partition("/")[0] for name in self.files if name.endswith("result.json")} or {"out"}


class References:
    """The inputs of all jobs, and what each job gives without an interruption, found out when it is first asked for.

    Args:
        folder: Where the inputs and the references are; campaigns that share it share them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inputs = folder / "inputs"
        if not self.inputs.exists():
            self.inputs.mkdir()
            outcome = run_trial(lambda: write_inputs(self.inputs), folder=self.inputs, limits=LIMITS)
            if outcome.status != 0:
                raise RuntimeError(outcome.stderr)

    def __getitem__(self, job: Job) -> Reference:
        found = _references.get((self._folder, job))
        if found is not None:
            return found
        place = self._folder / f"whole-{len(_references)}"
        copytree(self.inputs, place)
        outcome, steps = count_file_steps(work(job), folder=place, limits=LIMITS)
        if outcome.status != 0:
            raise RuntimeError(f"`genvis {job.words}` fails: {outcome.stderr or outcome.stdout}")
        sizes = [path.stat().st_size for path in (place / "out").rglob("*") if path.is_file()]
        return _references.setdefault(
            (self._folder, job),
            Reference(
                files=snapshot(place, job),
                seconds=outcome.seconds,
                file_steps=steps,
                largest=max(sizes),
                pages=sum(-(-size // 4096) for size in sizes),
            ),
        )


_references: dict[tuple[Path, Job], Reference] = {}


def work(job: Job) -> Callable[[], int]:
    """Return the work of a job; states are saved after every clip, so that kills find them at all stages."""
    run = command(job.words)

    def saving_often() -> int:
        from genvis.inference import jobs

        jobs.SAVE_EVERY_SECONDS = -1.0
        return run()

    return saving_often


def snapshot(folder: Path, job: Job) -> dict[str, str]:
    """Return the files of a job's outputs by name: a digest where the content counts, else nothing."""
    out = folder / "out"
    counted = {path for pattern in job.compared for path in out.glob(pattern)}
    files = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            # Fingerprints and manifests hold times and places.
            counts = path in counted and path.name != FINGERPRINT_FILE and path.parent.name != MANIFESTS
            files[str(path.relative_to(out))] = _digest(path) if counts else ""
    files |= {f"../{path.name}": "" for path in folder.glob(".*.part*")}  # Of files that are kept elsewhere.
    return _with_numbered_manifests(files)


def _with_numbered_manifests(files: dict[str, str]) -> dict[str, str]:
    """Return the files with numbers for the keys of manifests, which depend on where the trial's folder lies."""
    named = [name for name in files if re.fullmatch(MANIFESTS + r"/[0-9a-f]{16}\.json", name)]
    numbered = {name: f"{MANIFESTS}/{number}.json" for number, name in enumerate(named, start=1)}
    return {numbered.get(name, name): digest for name, digest in files.items()}


def final_files(folder: Path, job: Job) -> dict[str, tuple[int, int]]:
    """Return which of a job's final outputs are there: their numbers on the disk and times of writing, by name."""
    paths = sorted(path for pattern in job.final for path in (folder / "out").glob(pattern))
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".safetensors":  # Its library writes the notes in the header in any order.
        end = 8 + int.from_bytes(data[:8], "little")
        data = json.dumps(json.loads(data[8:end]), sort_keys=True).encode() + data[end:]
    return hashlib.sha256(data).hexdigest()


def difference(expected: dict[str, str], found: dict[str, str]) -> str | None:
    """Return how the outputs differ from those of a run without kills, or None."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        return f"missing: {', '.join(missing[:5])}"
    if more:
        return f"left over: {', '.join(more[:5])}"
    changed = [name for name, digest in expected.items() if found[name] != digest]
    return f"differs: {', '.join(changed[:5])}" if changed else None
