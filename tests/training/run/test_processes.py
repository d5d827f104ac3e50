"""Several processes with a share of a batch each learn what one process learns from the joint batch."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from genvis.checkpoints.load import load_genvis
from genvis.training.process_group import of_the_first, process_count, shared_normalizers
from genvis.training.recipe.data_options import CacheOptions, SourceOptions
from genvis.training.recipe.loading import save_recipe
from genvis.training.recipe.recipe import Recipe
from tests.training.tiny import tiny_recipe

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nnodes", "1", "--nproc-per-node")


def command_of(recipe: Recipe, *words: str, processes: int = 0) -> list[str]:
    """The command that trains a recipe; with `processes`, as torchrun starts so many."""
    output = Path(recipe.run.output)
    save_recipe(recipe, output / "given.yaml")
    starter = [*TORCHRUN, str(processes)] if processes else []
    return [sys.executable, *starter, "-m", "genvis", "train", str(output / "given.yaml"), *words]


def run_recipe(recipe: Recipe, *words: str, processes: int = 0) -> tuple[dict[str, torch.Tensor], list[float]]:
    command = command_of(recipe, *words, processes=processes)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("The trained model is in") == 1
    output = Path(recipe.run.output)
    with next((output / "log").glob("*/metrics.csv")).open() as file:
        losses = [float(row["joint_loss"]) for row in csv.DictReader(file) if row.get("joint_loss")]
    return load_genvis(output / "model").state_dict(), losses


def comparable_recipe(folder: Path, stage: Any, **run: Any) -> Recipe:
    recipe = tiny_recipe(folder, stage, max_steps=3, **run)
    recipe.model.freeze_batch_norm = True  # Statistics of half a batch are other statistics, and CPUs cannot join them.
    recipe.data.batch_size = 4
    # Some gradients are rounding only, such as those of a key's bias; Adam would make full steps of them.
    recipe.optimizer.epsilon = 1e-3
    # Longer steps reach a mask or a matching that flips by rounding alone.
    recipe.optimizer.learning_rate = 1e-4
    return recipe


def assert_same(
    one: tuple[dict[str, torch.Tensor], list[float]], two: tuple[dict[str, torch.Tensor], list[float]]
) -> None:
    assert len(one[1]) == 3
    assert two[1] == pytest.approx(one[1], rel=1e-5)
    for name, value in one[0].items():
        torch.testing.assert_close(two[0][name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["detector", "genvis", "vita"])
def test_two_processes_are_one(tmp_path: Path, stage: Any) -> None:
    results = [
        run_recipe(comparable_recipe(tmp_path / str(devices), stage), "--run.devices", str(devices))
        for devices in (1, 2)
    ]
    assert_same(*results)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_of_torchrun_are_one_with_devices_left_at_auto(tmp_path: Path, processes: int) -> None:
    """Also their validation: dealt out to all, scored as by one."""

    def recipe(folder: str) -> Recipe:
        recipe = comparable_recipe(tmp_path / folder, "genvis", devices="auto", validate_steps=3)
        recipe.data.validation = SourceOptions(height=64, width=64, split="validation")
        recipe.data.validation_videos, recipe.data.validation_frames = 5, 3
        return recipe

    results = [run_recipe(recipe("one")), run_recipe(recipe("many"), processes=processes)]
    assert_same(*results)
    scores = []
    for folder in ("one", "many"):
        with next((tmp_path / folder / "log").glob("*/metrics.csv")).open() as file:
            scores.append([row["video_AP"] for row in csv.DictReader(file) if row.get("video_AP")])
    assert scores[0] == scores[1]
    assert len(scores[0]) == 1


@pytest.mark.slow
def test_all_processes_fill_the_cache(tmp_path: Path) -> None:
    def recipe(folder: str) -> Recipe:
        recipe = comparable_recipe(tmp_path / folder, "genvis", devices="auto")
        recipe.cache = CacheOptions(folder=str(tmp_path / folder / "cache"), views=7, stored_as="float32")
        return recipe

    results = [run_recipe(recipe("one")), run_recipe(recipe("two"), processes=2)]
    assert_same(*results)
    assert {path.name for path in (tmp_path / "two" / "cache").glob("index*")} == {"index.bin", "index-1.bin"}
    # Lightning's own processes find a cache that is full, and one that a killed run began.
    again = recipe("three")
    again.cache.folder = str(tmp_path / "two" / "cache")
    (tmp_path / "two" / "cache" / "index-1.bin").write_bytes(
        (tmp_path / "two" / "cache" / "index-1.bin").read_bytes()[: 12 * 8 + 5]
    )
    assert_same(results[0], run_recipe(again, "--run.devices", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["first", "other"])
def test_a_killed_process_stops_the_run_with_one_sentence_and_it_resumes_exactly(tmp_path: Path, killed: str) -> None:
    def recipe(folder: str) -> Recipe:
        return tiny_recipe(tmp_path / folder, "genvis", max_steps=40, checkpoint_steps=2, devices=2)

    whole = subprocess.run(command_of(recipe("whole")), capture_output=True, timeout=600, check=False)
    assert whole.returncode == 0
    command = command_of(recipe("broken"))
    checkpoint = tmp_path / "broken" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    (child,) = [one for one in psutil.Process(process.pid).children() if "train" in one.cmdline()]
    (child if killed == "other" else psutil.Process(process.pid)).kill()
    process.wait(timeout=60)
    child.wait(timeout=60)
    said = process.communicate()[1]
    assert said.count("genvis train: error: Another process of this run was killed") == 1, said
    assert "Traceback" not in said
    assert not (tmp_path / "broken" / "model").exists()
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert "Continuing from" in resumed.stdout
    expected, found = (load_genvis(tmp_path / name / "model").state_dict() for name in ("whole", "broken"))
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_a_single_process_normalises_by_its_own_count() -> None:
    assert process_count() == 1
    assert shared_normalizers(torch.tensor([0.0, 5.0])).tolist() == [1.0, 5.0]
    assert of_the_first(list, [(1, "b"), (0, "a")]) == ["a", "b"]


def _worker(rank: int, file: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    counts = torch.tensor([[3.0, 0.0], [4.0, 0.0]][rank])
    assert shared_normalizers(counts).tolist() == [3.5, 0.5]
    found = of_the_first("".join, [(0, "a"), (2, "c")] if rank == 0 else [(1, "b")])
    assert found == "abc"
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_their_counts(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_worker, args=(str(tmp_path / "store"),), nprocs=2)
