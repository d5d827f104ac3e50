"""Campaign: damaged annotation files, results, images and recipes. Each command ends with a result or a sentence."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import gettempdir
from typing import Any

import yaml

from tests.robustness.mutations import damage, mutate, mutate_json, mutate_lines, mutate_png, mutate_xml
from tests.robustness.sample_files import CVAT, write_data_set
from tests.robustness.trials import Hook, Limits, run_trial
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


def hostile_paths(data: bytes, random: Random) -> tuple[bytes, str]:
    """Put a path that leads outside of the data set into every name, or into one of them."""
    up = "../" * random.randint(1, 6)
    path = random.choice(
        (
            f"{up}escaped",
            f"{up}escaped/x.jpg",
            f"{up}secret.jpg",
            f"one/{up}../secret.jpg",
            f"{gettempdir()}/escaped-{os.getpid()}",
            f"one/./{up}escaped.png",
            up.replace("/", "\\") + "escaped",
            f"/{gettempdir()}/escaped-{os.getpid()}",
            f"one\x00/{up}escaped",
            "..",
            ".",
            "~/escaped",
            f"{up}etc/passwd",
            "/dev/stdin",
        )
    )
    if data.startswith(b"<"):
        return data.replace(b"street.mp4", path.replace("\x00", "").encode()), path
    text = json.loads(data)
    names = list(_names(text))
    for parent, key in names if random.random() < 0.5 else [random.choice(names)]:
        parent[key] = path
    return json.dumps(text).encode(), path


def _names(node: Any) -> Iterator[tuple[Any, Any]]:
    """Return the places of all file names, and names that become files, in a document."""
    for key, value in list(node.items()) if isinstance(node, dict) else enumerate(node):
        if isinstance(value, str) and (key in ("file_name", "name", "category") or isinstance(key, int)):
            yield node, key
        elif isinstance(value, (dict, list)):
            yield from _names(value)


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
    Subject("instances.json", mutate_json, "data convert to-csv instances.json out.csv"),
    Subject("instances.json", mutate_json, "data convert to-cvat instances.json out"),
    Subject("predicted/one/result.json", mutate_json, "data convert to-csv predicted/one/result.json out.csv"),
    Subject("predicted/one/result.json", mutate_json, "data convert to-cvat predicted/one/result.json out.xml"),
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


PREDICT = "predict images/one -o predicted --weights sprites-tiny --device cpu --score-threshold 0"


class DamagedFiles:
    """Every trial damages one file of a sound data set and runs one command on it."""

    unit = "inputs"
    subjects = SUBJECTS

    def prepare(self, folder: Path) -> None:
        """Write the data set, and see that every command accepts it as long as it is sound."""
        self._sound = folder / type(self).__name__
        self._sound.mkdir()
        write_data_set(self._sound)
        (self._sound / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        outcome = run_trial(command(PREDICT), folder=self._sound, limits=LIMITS)
        if outcome.status != 0:
            raise RuntimeError(outcome.stderr or outcome.stdout)
        for number, subject in enumerate(self.subjects):
            place = folder / f"{type(self).__name__}-{number}"
            copytree(self._sound, place)
            outcome = run_trial(command(subject.words), folder=place, limits=LIMITS)
            if outcome.status != 0:
                raise RuntimeError(f"`genvis {subject.words}` fails on sound files: {outcome.stderr or outcome.stdout}")

    def trial(self, random: Random, folder: Path) -> Verdict:
        verdict = self._damaged(random, folder)
        return replace(verdict, problem=verdict.problem or escapes(folder))

    def _damaged(self, random: Random, folder: Path, *, faults: Hook | None = None) -> Verdict:
        subject = random.choice(self.subjects)
        copytree(self._sound, folder, dirs_exist_ok=True)
        path = folder / subject.file
        content, note = subject.mutation(path.read_bytes(), random)
        path.write_bytes(content)
        outcome = run_trial(command(subject.words), folder=folder, limits=LIMITS, faults=faults)
        return Verdict(
            group=subject.words,
            problem=outcome.problem(),
            note=f"{subject.file}: {note}"[:500],
            output=outcome.stderr[-3000:],
        )


class HostilePaths(DamagedFiles):
    """Every trial names a file outside of the data set in an annotation file, and runs a command that reads or writes.

    What is written there is an escape; so is what is read there, which a command that succeeds would have done.
    """

    subjects = tuple(
        Subject(file, hostile_paths, words)
        for file, words in (
            ("instances.json", "data convert to-indexed-png instances.json out"),
            ("instances.json", "data convert to-mots instances.json out"),
            ("instances.json", "data convert to-cvat instances.json out"),
            ("instances.json", "data convert to-coco instances.json out.json"),
            ("instances.json", "data check instances.json --images images"),
            ("instances.json", "eval results.json --annotations instances.json --images images -o report --workers 1"),
            ("coco.json", "data convert from-coco coco.json out.json"),
            ("annotations.xml", "data convert from-cvat annotations.xml out.json"),
            ("davis/meta.json", "data convert from-indexed-png davis/Annotations out.json --meta davis/meta.json"),
        )
    )

    def trial(self, random: Random, folder: Path) -> Verdict:
        secrets = [place / "secret.jpg" for place in (folder.parent, folder.parent.parent)]
        for secret in secrets:
            secret.write_bytes((self._sound / "images/one/00000.jpg").read_bytes())
        verdict = self._damaged(random, folder, faults=tell_secrets)
        places = (folder.parent, folder.parent.parent, Path("/tmp"))
        escaped = [str(path) for place in places for path in place.glob(f"*escaped*{os.getpid()}*")]
        escaped += [str(path) for place in places[:2] for path in (*place.glob("escaped*"), *place.glob("etc"))]
        for secret in secrets:
            secret.unlink()
        problem = verdict.problem or (f"wrote {escaped[0]}" if escaped else None)
        return replace(verdict, problem=problem or ("read a secret" if SECRET_READ in verdict.output else None))


SECRET_READ = "a secret was read"


def tell_secrets(event: str, arguments: tuple[Any, ...]) -> None:
    """Say so if a file outside of the data set is opened."""
    if event == "open" and str(arguments[0]).endswith("secret.jpg"):
        os.write(2, SECRET_READ.encode())


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
