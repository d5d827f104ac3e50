"""Checkpoints of a run: plain values only, two kept, damage found and told, nothing executed."""

import os
import pickle
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.errors import InputError, OutputError
from genvis.training.recipe.recipe import Recipe
from genvis.training.run.checkpoint_files import DamagedCheckpointError, PlainCheckpointIO, checked_step
from genvis.training.run.run import train
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")


def recipe_of(folder: Path, steps: int) -> Recipe:
    return tiny_recipe(folder, "genvis", max_steps=steps, checkpoint_steps=1)


def same_weights(one: Path, other: Path) -> bool:
    left, right = (load_genvis(folder).state_dict() for folder in (one, other))
    return all(torch.equal(value, right[name]) for name, value in left.items())


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def execute(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["more"] = _Payload(path.with_name("executed"))
    torch.save(content, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Payload(path.with_name("executed"))))


def other_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {"weight": torch.zeros(3)}
    torch.save(content, path)


def expanded(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(1).expand(1 << 50)
    torch.save(content, path)


def sparse(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    name = next(name for name, value in content["state_dict"].items() if value.ndim == 2)
    content["state_dict"][name] = content["state_dict"][name].to_sparse()
    torch.save(content, path)


def abstract(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = torch.empty(content["state_dict"][name].shape, device="meta")
    torch.save(content, path)


def uncounted(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    progress = content["loops"]["fit_loop"]["epoch_loop.automatic_optimization.optim_progress"]
    progress["optimizer"]["step"]["current"]["completed"] = [2]
    torch.save(content, path)


class _Payload:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._mark,))


DAMAGES = [cut, flip, empty, execute, plain_pickle, other_network, expanded, sparse, abstract, uncounted]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(recipe_of(folder / "two", 2))
    train(recipe_of(folder / "three", 3))
    return folder


@pytest.fixture
def place(run: Path) -> Path:
    """The folder of a run of two steps, as it was when the run ended."""
    folder = run / "here"
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(run / "two", folder))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    place: Path, run: Path, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(place / "checkpoints" / "last.ckpt")
    folder = train(recipe_of(place, 3))
    said = capsys.readouterr().out
    assert "last.ckpt cannot be used" in said
    assert "Going back to" in said
    assert "previous.ckpt, step 1" in said
    assert same_weights(folder, run / "three" / "model")
    assert not (place / "checkpoints" / "executed").exists()


@pytest.mark.parametrize("part", ["loops", "optimizer_states", "lr_schedulers"])
def test_a_checkpoint_that_cannot_be_restored_is_one_sentence(place: Path, part: str) -> None:
    path = place / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content[part] = 0.5
    torch.save(content, path)
    with pytest.raises(InputError, match=r"last\.ckpt cannot be used: its content is impossible") as raised:
        train(recipe_of(place, 3))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("lr_schedulers", 0, "base_lrs", 1), [0.001]),
        (("lr_schedulers", 0, "last_epoch"), 0.5),
        (("lr_schedulers", 0, "_last_lr"), [float("nan")]),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "x"),
        (("optimizer_states", 0, "param_groups", 0, "betas"), [0.9]),
        (("optimizer_states", 0, "param_groups", 0, "foreach"), 7),
        (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(3)),
        (("optimizer_states", 0, "state", 0, "step"), None),
    ],
)
def test_values_that_are_taken_over_unseen_are_checked(keys: tuple[Any, ...], value: Any, place: Path) -> None:
    path = place / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    part = content
    for name in keys[:-1]:
        part = part[name]
    part[keys[-1]] = value
    torch.save(content, path)
    with pytest.raises(InputError, match=r"last\.ckpt cannot be used: its content is impossible"):
        train(recipe_of(place, 3))


def test_without_a_whole_checkpoint_nothing_starts_over_silently(place: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        cut(place / "checkpoints" / name)
    with pytest.raises(InputError, match=r"no other checkpoint: start over with --run\.resume false") as raised:
        train(recipe_of(place, 3))
    assert "\n" not in str(raised.value)


def test_killed_between_two_renames(place: Path, run: Path) -> None:
    last = place / "checkpoints" / "last.ckpt"
    last.replace(last.with_name("previous.ckpt"))
    (last.with_name(".last.123.part.ckpt")).write_bytes(b"half")
    assert same_weights(train(recipe_of(place, 3)), run / "three" / "model")
    assert sorted(path.name for path in last.parent.iterdir()) == ["last.ckpt", "previous.ckpt"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    # What stands in the way of the temporary file is always full.
    (tmp_path / "checkpoints" / f".last.{os.getpid()}.part.ckpt").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"last\.ckpt'.*disk is full"):
        PlainCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, tmp_path / "checkpoints" / "last.ckpt")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"a part of its path is a file|in the way"):
        train(recipe_of(tmp_path / "file" / "run", 1))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
@pytest.mark.parametrize("room", [0, 5000, 300_000])
def test_a_disk_that_fills_up_while_a_checkpoint_is_written_is_one_sentence(tmp_path: Path, room: int) -> None:
    import resource

    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OutputError, match=r"Cannot write .*last\.ckpt"):
            PlainCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, tmp_path / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


def test_random_damage_is_refused_or_harmless(tmp_path: Path, run: Path) -> None:
    whole = (run / "two" / "checkpoints" / "last.ckpt").read_bytes()
    weights = torch.load(run / "two" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    moments, path, refused = random.Random(0), tmp_path / "last.ckpt", 0
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(moments.choice([1, 3, 50])):
            content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
        path.write_bytes(content)
        try:
            checked_step(path, weights=weights)
        except DamagedCheckpointError:
            refused += 1
            continue
        found = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.equal(value, found[name]) for name, value in weights.items())
    assert refused > 30
