"""What goes wrong around a run is one sentence: killed data workers, wrong data in a worker, full disks, no device."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from genvis.data.sampling.mixture import SampleStream
from genvis.errors import GenVISError, InputError, OutputError
from genvis.training.run import run as run_module
from genvis.training.run.failures import explained_failures
from genvis.training.run.run import train
from tests.training.tiny import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore")
PARENT = os.getpid()


def _killed(self: SampleStream, index: int) -> Any:
    if os.getpid() != PARENT:
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a worker prepares the samples")


def _wrong(self: SampleStream, index: int) -> Any:
    raise InputError("The image 'a.jpg' is damaged: replace it.")


def test_a_killed_data_worker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(tmp_path)
    recipe.data.workers = 1
    monkeypatch.setattr(SampleStream, "__getitem__", _killed)
    with pytest.raises(GenVISError, match=r"lower data\.workers") as raised:
        train(recipe)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("workers", "cached"), [(0, False), (1, False), (1, True)])
def test_wrong_data_found_by_a_worker_is_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, cached: bool
) -> None:
    recipe = tiny_recipe(tmp_path / "run", "genvis")
    recipe.data.workers = workers
    recipe.cache.folder = str(tmp_path / "cache") if cached else ""
    monkeypatch.setattr(SampleStream, "__getitem__", _wrong)
    with pytest.raises(InputError) as raised:
        train(recipe)
    assert str(raised.value) == "The image 'a.jpg' is damaged: replace it."


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_logs_that_cannot_be_written_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error), str(tmp_path / "log" / "metrics.csv"))

    monkeypatch.setattr("lightning.pytorch.loggers.CSVLogger.log_metrics", full)
    with pytest.raises(OutputError, match=r"Cannot write '.*metrics\.csv'") as raised:
        train(tiny_recipe(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_finished_model_that_does_not_fit_the_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("genvis.model.genvis.GenVIS.save_pretrained", full)
    with pytest.raises(OutputError, match="model"):
        train(tiny_recipe(tmp_path))
    monkeypatch.undo()
    # The steps are not lost: the same command only writes the model.
    assert (train(tiny_recipe(tmp_path)) / "model.safetensors").is_file()


def test_recipes_that_cannot_be_saved_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").mkdir()
    with pytest.raises(OutputError, match=r"recipe\.yaml"):
        train(tiny_recipe(tmp_path))


def test_devices_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.accelerator"):
        train(tiny_recipe(tmp_path / "a", accelerator="tpu"))
    with pytest.raises(InputError, match=r"run\.accelerator"):
        train(tiny_recipe(tmp_path / "b", accelerator="abacus"))


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), explained_failures(tmp_path):
        raise RuntimeError("a bug")
    with pytest.raises(OSError, match="a bug"), explained_failures(tmp_path):
        raise OSError(errno.EINVAL, "a bug")


def test_a_second_process_waits_for_nothing_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(run_module, "build_trainer", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
