"""The campaign's own eyes: it sees crashes, hangs, tracebacks, kills, and what a trial leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.robustness import trials
from tests.robustness.mutations import damage, mutate, mutate_safetensors
from tests.robustness.trials import HangWatch, Kill, Limits, Running, count_file_steps, run_trial

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and limits of Linux")


def raises() -> int:
    raise RuntimeError("a fault")


def dies() -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def takes_memory() -> int:
    return len(bytearray(1 << 30))


def leaves_a_child_behind() -> int:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("started", flush=True)
    return 0


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (lambda: 0, None),
        (lambda: print("error: a sentence") or 2, None),
        (lambda: 2, "without a word"),
        (lambda: 7, "status 7"),
        (lambda: sys.exit("a sentence"), None),
        (raises, "traceback: RuntimeError: a fault"),
        (dies, "SIGSEGV"),
        (takes_memory, "MemoryError"),
    ],
)
def test_every_bad_end_is_seen(work, problem, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    found = run_trial(work, folder=folder, limits=Limits(memory=1 << 28)).problem()
    assert found is None if problem is None else problem in str(found)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_a_hang_is_seen_and_ended(tmp_path: Path) -> None:
    outcome = run_trial(lambda: time.sleep(60), folder=_folder(tmp_path, "work"), limits=Limits(seconds=0.2))
    assert "hung" in str(outcome.problem())


def spins() -> int:
    while True:
        pass


def test_endless_work_is_seen_and_ended(tmp_path: Path) -> None:
    outcome = run_trial(spins, folder=_folder(tmp_path, "work"), limits=Limits(seconds=0.2))
    assert "hung" in str(outcome.problem())


def test_a_trial_that_waits_for_one_that_works_does_not_hang(tmp_path: Path) -> None:
    limits = Limits(seconds=0.7)
    working = Running(lambda: time.sleep(0.1) or spins(), folder=_folder(tmp_path, "working"), limits=Limits(seconds=2))
    waiting = Running(lambda: time.sleep(1.5), folder=_folder(tmp_path, "waiting"), limits=limits)
    assert waiting.finish(working).problem() is None
    assert "hung" in str(working.finish().problem())
    alone = run_trial(lambda: time.sleep(1.5), folder=_folder(tmp_path, "alone"), limits=limits)
    assert "hung" in str(alone.problem())


def test_time_in_which_others_keep_the_processors_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, state = [0.0], [(0.0, True)]
    monkeypatch.setattr(trials.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(trials, "activity", lambda group: state[0])
    watch = HangWatch([1])

    def seconds_until_it_hangs(used: float, is_busy: bool) -> int:
        for second in range(1, 10_000):
            clock[0], state[0] = clock[0] + 1, (state[0][0] + used, is_busy)
            if watch.hangs(60):
                return second
        raise AssertionError("it never hangs")

    for _ in range(1000):  # It gets no processor for a quarter of an hour.
        clock[0] += 1
        assert not watch.hangs(60)
    assert seconds_until_it_hangs(used=0.01, is_busy=False) == 61
    watch = HangWatch([1])
    assert seconds_until_it_hangs(used=0.1, is_busy=True) == pytest.approx(10 * (60 - 0.7), abs=20)
    state[0] = (0.0, True)
    watch = HangWatch([1])
    assert seconds_until_it_hangs(used=0.0, is_busy=True) == 30 * 60 + 1


def test_a_kill_comes_before_the_nth_step_on_files(tmp_path: Path) -> None:
    def write_three() -> int:
        for number in range(3):
            Path(f"{number}.txt").write_text("x")
        return 0

    outcome, steps = count_file_steps(write_three, folder=_folder(tmp_path, "counted"))
    assert (outcome.status, steps) == (0, 3)
    for step in (1, 2, 3):
        folder = _folder(tmp_path, f"killed-{step}")
        killed = run_trial(write_three, folder=folder, kill=Kill(file_step=step))
        assert killed.was_killed
        assert killed.problem() is None
        assert len(list(folder.iterdir())) == step - 1
    assert run_trial(write_three, folder=_folder(tmp_path, "late"), kill=Kill(file_step=4)).status == 0


def test_a_kill_after_a_time_is_no_hang(tmp_path: Path) -> None:
    outcome = run_trial(lambda: time.sleep(60), folder=_folder(tmp_path, "work"), kill=Kill(seconds=0.05))
    assert outcome.was_killed
    assert outcome.problem() is None


def test_nothing_outlives_a_trial(tmp_path: Path) -> None:
    outcome = run_trial(leaves_a_child_behind, folder=_folder(tmp_path, "work"))
    assert outcome.stdout == "started\n"
    assert outcome.seconds < 30


def test_files_beyond_the_limit_fail_as_on_a_full_disk(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "work")
    outcome = run_trial(
        lambda: Path("big").write_bytes(bytes(9000)) and 0, folder=folder, limits=Limits(file_bytes=4096)
    )
    assert "File too large" in str(outcome.problem())


def test_damage_is_reproducible_and_changes_something() -> None:
    data = bytes(range(256)) * 20
    first, second = (damage(data, Random("a")) for _ in range(2))
    assert first == second
    changed = sum(damage(data, Random(number))[0] != data for number in range(100))
    assert changed > 90
    document = {"a": [1, 2, {"b": "c"}], "d": None}
    mutants = [mutate(document, Random(number))[0] for number in range(100)]
    assert document == {"a": [1, 2, {"b": "c"}], "d": None}
    assert sum(mutant != document for mutant in mutants) > 90


def test_damage_to_every_kind_of_file_can_be_made() -> None:
    facts = {"state": json.dumps({"facts": {"frames_seen": 3}}), "checksum": "00"}
    header = json.dumps({"__metadata__": facts, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    state = len(header).to_bytes(8, "little") + header + bytes(4)
    changed = {mutate_safetensors(state, Random(number))[0] for number in range(300)}
    assert len(changed - {state}) > 100


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
