"""Campaign: damaged and hostile models and checkpoints. Nothing in them runs, fills the memory, or fails in silence."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import torch
from torch import Tensor

from tests.robustness.campaigns.damaged_files import Subject, command, escapes
from tests.robustness.jobs import write_inputs
from tests.robustness.mutations import damage, mutate, mutate_json, mutate_safetensors
from tests.robustness.trials import Limits, run_trial
from tests.robustness.verdicts import Verdict

LIMITS = Limits(seconds=60, memory=4 << 30)
GOLDEN = Path(__file__).parents[2] / "golden" / "inference"
TRACE = "executed"
"""File that a hostile checkpoint makes if its code runs."""


class Hostile:
    """An object whose pickle runs code."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (TRACE, "w")


TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "scalar": lambda tensor: tensor.flatten()[0].clone(),
    "terabytes": lambda _: torch.zeros(1).expand(1 << 20, 1 << 20),
    "many rows": lambda tensor: torch.zeros(1).expand(100_000, *tensor.shape[1:]),
    "rotated": lambda tensor: tensor.movedim(0, -1) if tensor.ndim else tensor,
    "not a number": lambda tensor: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor,
    "infinite": lambda tensor: torch.full_like(tensor, float("inf")) if tensor.is_floating_point() else tensor,
    "empty": lambda _: torch.empty(0),
    "integers": lambda tensor: tensor.long(),
    "truths": lambda tensor: tensor.bool(),
    "half": lambda tensor: tensor.half(),
    "double": lambda tensor: tensor.double(),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "sparse": lambda tensor: tensor.to_sparse(),
    "abstract": lambda tensor: torch.empty(tensor.shape, device="meta"),
    "shorter": lambda tensor: tensor[:-1] if tensor.ndim else tensor,
    "object": lambda _: Hostile(),
    "nothing": lambda _: None,
    "text": lambda _: "x",
    "list": lambda tensor: tensor.flatten()[:9].tolist(),
    "dictionary": lambda tensor: {"weight": tensor},
}
"""What replaces a tensor."""


def mutate_pth(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a file of `torch.save`: its tensors and plain values, or its bytes; or add code."""
    kind = random.choice(("tensor", "tensor", "tensor", "plain", "name", "drop", "bytes", "pickle"))
    if kind == "bytes":
        return damage(data, random)
    if kind == "pickle":
        return pickle.dumps(random.choice((Hostile(), {"model": Hostile()}, [1, 2], b"x"))), kind
    content = torch.load(io.BytesIO(data), weights_only=False)
    if kind == "plain":
        plain = {name: value for name, value in content.items() if _is_plain(value)}
        changed, note = mutate(plain, random)
        content = {**content, **changed} if isinstance(changed, dict) and plain else changed
    else:
        parent, name = random.choice(list(_tensors(content)))
        note = f"{kind} {name}"
        if kind == "tensor":
            change = random.choice(list(TENSORS))
            parent[name], note = TENSORS[change](parent[name]), f"{change} {name}"
        elif kind == "name":
            parent[random.choice(("", "x.y", "../x", "tracker." + str(name), "0"))] = parent.pop(name)
        else:
            del parent[name]
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=random.random() < 0.8)
    return buffer.getvalue(), note


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _tensors(node: Any) -> list[tuple[dict[Any, Any], Any]]:
    found = []
    for key, value in node.items() if isinstance(node, dict) else ():
        found += [(node, key)] if isinstance(value, Tensor) else _tensors(value)
    return found


PREDICT = "predict images/one -o out --device cpu --outputs youtube_vis --score-threshold 0 --weights "
SUBJECTS = (
    Subject("model/config.json", mutate_json, PREDICT + "model"),
    Subject("model/model.safetensors", mutate_safetensors, PREDICT + "model"),
    Subject("published.pth", mutate_pth, "convert published.pth converted --clip-length 3"),
    Subject("published.pth", mutate_pth, PREDICT + "published.pth --resolution 64"),
    Subject("out/checkpoints/last.ckpt", mutate_pth, "train recipe.yaml --run.max_steps 6"),
)


class DamagedModels:
    """Every trial damages one file of a model and uses it."""

    unit = "inputs"

    def prepare(self, folder: Path) -> None:
        """Write the models, and see that every command accepts them as long as they are sound."""
        self._sound = folder / "models"
        self._sound.mkdir()

        def write() -> None:
            write_inputs(self._sound)
            (self._sound / "published.pth").write_bytes((GOLDEN / "genvis_r50_tiny.pth").read_bytes())

        for work in (write, command("train recipe.yaml")):
            outcome = run_trial(work, folder=self._sound, limits=LIMITS)
            if outcome.status != 0:
                raise RuntimeError(outcome.stderr or outcome.stdout)
        for number, subject in enumerate(SUBJECTS):
            place = folder / f"models-{number}"
            copytree(self._sound, place)
            outcome = run_trial(command(subject.words), folder=place, limits=LIMITS)
            if outcome.status != 0:
                raise RuntimeError(f"`genvis {subject.words}` fails on sound files: {outcome.stderr or outcome.stdout}")

    def trial(self, random: Random, folder: Path) -> Verdict:
        subject = random.choice(SUBJECTS)
        copytree(self._sound, folder, dirs_exist_ok=True)
        path = folder / subject.file
        content, note = subject.mutation(path.read_bytes(), random)
        path.write_bytes(content)
        outcome = run_trial(command(subject.words), folder=folder, limits=LIMITS)
        executed = "code of the file was executed" if (folder / TRACE).exists() else None
        return Verdict(
            group=subject.words,
            problem=executed or outcome.problem() or escapes(folder),
            note=f"{subject.file}: {note}"[:500],
            output=outcome.stderr[-3000:],
        )
