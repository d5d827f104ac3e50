"""Campaign: damaged annotation files, results, images and recipes. Each command ends with a result or a sentence."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import yaml

from tests.robustness.mutations import damage, mutate, mutate_json, mutate_lines, mutate_png, mutate_xml
from tests.robustness.sample_files import CVAT, write_data_set
from tests.robustness.trials import Limits, run_trial
from tests.robustness.verdicts import Verdict
from tests.tiny_network import CONFIG

Mutation = Callable[[bytes, Random], tuple[bytes, str]]
LIMITS = Limits(seconds=60, memory=3 << 30)


def mutate_cvat_zip(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a CVAT export: the XML in it, the names and the number of its files, or its bytes."""
    kind = random.choice(("xml", "xml", "names", "bytes"))
    if kind == "bytes":
        return damage(data, random)
    path = Path(f"{os.getpid()}.zip")
    content, note = mutate_xml(CVAT.encode(), random) if kind == "xml" else (CVAT.encode(), "names")
    names = ["annotations.xml"]
    if kind == "names":
        odd = ("../annotations.xml", "/etc/annotations.xml", "a/annotations.xml", "annotations.xml/", "x\n.xml", "")
        names = random.choices((*odd, "annotations.xml"), k=random.choice((1, 2, 3)))
    with zipfile.ZipFile(
        path, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as file:
        for name in dict.fromkeys(names):
            file.writestr(zipfile.ZipInfo(name), content)
        if random.random() < 0.05:  # A bomb: 300 MB of blanks in 300 kB.
            file.writestr("annotations.xml", content + b" " * 300_000_000, zipfile.ZIP_DEFLATED)
            note += "+bomb"
    data = path.read_bytes()
    path.unlink()
    return data, note


@dataclass(frozen=True)
class Subject:
    """A file to damage and the command that reads it.

    Attributes:
        file: Its place in the data set.
        mutation: How it is damaged.
        words: What follows `genvis`.
    """

    file: str
    mutation: Mutation
    words: str


RECIPE: dict[str, Any] = {
    "stage": "genvis",
    "model": {"config": CONFIG, "categories": "instances.json", "freeze_batch_norm": False},
    "data": {
        "sources": [{"kind": "youtube_vis", "annotations": "instances.json", "images": "images", "weight": 1.0}],
        "clips": 2,
        "augmentation": {"kind": "video", "short_sides": [64], "max_size": 96, "crop": False},
        "batch_size": 2,
        "workers": 0,
    },
    "optimizer": {"learning_rate": 0.001, "schedule": "steps", "milestones": [2], "gamma": 0.1},
    "loss": {"detector_layers": 2},
    "run": {"output": "run", "max_steps": 3, "accelerator": "cpu", "devices": 1, "seed": 1, "tensorboard": False},
}


def mutate_recipe(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a recipe: its values in three of four cases, else its bytes."""
    if random.random() < 0.25:
        return damage(data, random)
    document, note = mutate(yaml.safe_load(data), random)
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"), note


SUBJECTS = (
    Subject("instances.json", mutate_json, "data check instances.json"),
    Subject("instances.json", mutate_json, "data check instances.json --images images --decode-images"),
    Subject("instances.json", mutate_json, "data convert to-coco instances.json out.json"),
    Subject("instances.json", mutate_json, "data convert to-mots instances.json out"),
    Subject("instances.json", mutate_json, "data convert to-indexed-png instances.json out"),
    Subject("instances.json", mutate_json, "data split instances.json --validation 0.5"),
    Subject("instances.json", mutate_json, "eval results.json --annotations instances.json --workers 1"),
    Subject("results.json", mutate_json, "eval results.json --annotations instances.json --workers 1 -o report"),
    Subject("results.json", mutate_json, "eval results.json --annotations instances.json --workers 1 --identity"),
    Subject("coco.json", mutate_json, "data convert from-coco coco.json out.json"),
    Subject("coco.json", mutate_json, "data check coco.json --images images"),
    Subject("annotations.xml", mutate_xml, "data convert from-cvat annotations.xml out.json --boxes rectangle"),
    Subject("annotations.xml", mutate_xml, "data convert from-cvat annotations.xml out.json --identity who"),
    Subject("cvat.zip", mutate_cvat_zip, "data convert from-cvat cvat.zip out.json"),
    Subject("mots_txt/one.txt", mutate_lines, "data convert from-mots mots_txt out.json"),
    Subject("mots_txt/labels.txt", mutate_lines, "data convert from-mots mots_txt out.json"),
    Subject("mots_png/one/000001.png", mutate_png, "data convert from-mots mots_png out.json"),
    Subject("davis/Annotations/one/00001.png", mutate_png, "data convert from-indexed-png davis/Annotations out.json"),
    Subject(
        "davis/meta.json",
        mutate_json,
        "data convert from-indexed-png davis/Annotations out.json --meta davis/meta.json",
    ),
    Subject("images/one/00001.jpg", damage, "data check instances.json --images images --decode-images"),
    Subject("images/two/00001.png", mutate_png, "data check instances.json --images images --decode-images"),
    Subject("recipe.yaml", mutate_recipe, "train recipe.yaml --dry-run"),
)


class DamagedFiles:
    """Every trial damages one file of a sound data set and runs one command on it."""

    unit = "inputs"
    subjects = SUBJECTS

    def prepare(self, folder: Path) -> None:
        """Write the data set, and see that every command accepts it as long as it is sound."""
        self._sound = folder / "files"
        self._sound.mkdir()
        write_data_set(self._sound)
        (self._sound / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        for number, subject in enumerate(self.subjects):
            place = folder / f"files-{number}"
            copytree(self._sound, place)
            outcome = run_trial(command(subject.words), folder=place, limits=LIMITS)
            if outcome.status != 0:
                raise RuntimeError(f"`genvis {subject.words}` fails on sound files: {outcome.stderr or outcome.stdout}")

    def trial(self, random: Random, folder: Path) -> Verdict:
        subject = random.choice(self.subjects)
        copytree(self._sound, folder, dirs_exist_ok=True)
        path = folder / subject.file
        content, note = subject.mutation(path.read_bytes(), random)
        path.write_bytes(content)
        outcome = run_trial(command(subject.words), folder=folder, limits=LIMITS)
        problem = outcome.problem() or escapes(folder)
        return Verdict(
            group=subject.words, problem=problem, note=f"{subject.file}: {note}"[:500], output=outcome.stderr[-3000:]
        )


def command(words: str) -> Callable[[], int]:
    """Return the work that runs ``genvis WORDS``."""

    def work() -> int:
        from genvis.cli.main import main

        return main(words.split(" "))

    return work


def escapes(folder: Path) -> str | None:
    """Return what was written outside of the trial's folder, or None."""
    others = [path.name for path in folder.parent.iterdir() if path != folder]
    return f"wrote outside of its folder: {', '.join(others)}" if others else None
