"""Jobs are processes that are paused, cancelled, killed and orphaned; what they have done is not lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from genvis.app.library import Library
from genvis.app.working.job_queue import WORKER, JobQueue, job_to_page
from genvis.app.working.job_records import Job, JobRecords
from genvis.app.working.segment_options import SegmentOptions
from genvis.errors import InputError

# Counts to a number, keeps how far it is, and stops when its input ends: what a worker does, without a model.
COUNTING = """
import json, os, pathlib, sys, threading, time
order = json.loads(sys.stdin.readline())
ended = threading.Event()
threading.Thread(target=lambda: (os.read(0, 1), ended.set()), daemon=True).start()
work, folder = order["work"], pathlib.Path(order["root"]) / order["folder"]
folder.mkdir(parents=True, exist_ok=True)
kept = folder / "kept"
say = lambda **message: print(json.dumps(message), flush=True)
if work.get("fails"):
    say(event="error", sentence=f"It cannot be done in '{folder}/x'.")
    sys.exit(2)
done = int(kept.read_text()) if kept.exists() else 0
print("no JSON")
while done < work["frames"]:
    time.sleep(0.01)
    done += 1
    kept.write_text(str(done))
    say(event="progress", phase="counting", done=done, total=work["frames"], rate=100.0, objects=2)
    if work.get("dies") == done:
        work["dies"] = None
        sys.exit(3)
    if ended.is_set():
        say(event="stopped")
        sys.exit(0)
say(event="done", outputs=["kept"], answer={"frames": done})
"""


class Desk:
    """A queue of counting jobs, and what it told."""

    def __init__(self, root: Path) -> None:
        self.library = Library(root)
        self.told: list[tuple[str, str, int]] = []
        self.queue = JobQueue(self.library, on_change=self.tell, command=(sys.executable, "-c", COUNTING))
        self.queue.start()

    def tell(self, job: Job) -> None:
        self.told.append((job.id, job.state, job.done))

    def add(self, **work: Any) -> Job:
        folder = self.library.relative(self.library.free_folder("job"))
        return self.queue.add("segment", title="video", folder=folder, work=work)

    async def until(self, is_so: Callable[[], bool], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, [(job.state, job.error) for job in self.queue.jobs()]
            await asyncio.sleep(0.01)

    def kept(self, job: Job) -> int:
        return int((self.library.root / job.folder / "kept").read_text())


def test_a_worker_ends_when_its_work_does_while_its_input_stays_open(tmp_path):
    order = {"kind": "index", "root": str(tmp_path), "folder": ".", "work": {"result": "none.json", "index": "index"}}
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(order).encode() + b"\n")
        worker.stdin.flush()
        *_, last = worker.stdout
        assert worker.wait(timeout=60) == 2  # And not of an interpreter that waited for its input, and aborted.
        assert json.loads(last)["event"] == "error"


def test_jobs_run_one_after_the_other(tmp_path):
    async def run() -> None:
        desk = Desk(tmp_path)
        first, second = desk.add(frames=20), desk.add(frames=3)
        await desk.until(lambda: first.state == "running")
        assert second.state == "queued"
        await desk.until(lambda: first.done > 5)
        page = job_to_page(first)
        assert page["left"] == pytest.approx((20 - first.done) / 100)
        assert not {"work", "process", "folder"} & set(page)
        await desk.until(lambda: second.state == "done")
        assert (first.state, first.answer, first.outputs) == ("done", {"frames": 20}, ["kept"])
        await desk.queue.close()

    asyncio.run(run())


def test_pause_and_resume_lose_nothing(tmp_path):
    async def run() -> None:
        desk = Desk(tmp_path)
        job, other = desk.add(frames=200), desk.add(frames=2)
        await desk.until(lambda: job.done > 10)
        desk.queue.pause(job)
        await desk.until(lambda: job.state == "paused" and other.state == "done")
        kept = desk.kept(job)
        assert 10 < kept < 200
        desk.queue.resume(job)
        await desk.until(lambda: job.state == "done")
        assert job.answer == {"frames": 200}
        after = [done for identifier, state, done in desk.told if identifier == job.id and state == "running"]
        assert after == sorted(after)
        await desk.queue.close()

    asyncio.run(run())


@pytest.mark.parametrize("moment", [0, 0.001, 0.02, 0.1])
def test_what_is_asked_for_while_a_job_is_started(tmp_path, moment):
    async def run() -> None:
        desk = Desk(tmp_path)
        paused = desk.add(frames=5000)
        await asyncio.sleep(moment)
        desk.queue.pause(paused)
        await desk.until(lambda: paused.state == "paused")
        closed = desk.add(frames=5000)
        await asyncio.sleep(moment)
        began = time.monotonic()
        await desk.queue.close()
        assert time.monotonic() - began < 8
        assert (paused.state, closed.state) == ("paused", "queued")

    asyncio.run(run())


def test_cancel_throws_away_what_is_done(tmp_path):
    async def run() -> None:
        desk = Desk(tmp_path)
        running, waiting = desk.add(frames=500), desk.add(frames=5)
        await desk.until(lambda: running.done > 3)
        with pytest.raises(InputError, match="has not ended"):
            desk.queue.forget(running)
        for job in (waiting, running):
            desk.queue.cancel(job)
        await desk.until(lambda: running.state == "cancelled")
        assert waiting.state == "cancelled"
        assert list((tmp_path / "results").iterdir()) == []
        desk.queue.forget(running)
        assert desk.queue.job(running.id) is None
        await desk.queue.close()

    asyncio.run(run())


def test_failures_are_told_and_can_be_tried_again(tmp_path):
    async def run() -> None:
        desk = Desk(tmp_path)
        refused, died, well = desk.add(frames=1, fails=True), desk.add(frames=20, dies=7), desk.add(frames=1)
        await desk.until(lambda: well.state == "done")
        assert refused.error == f"It cannot be done in '{refused.folder}/x'."
        assert died.state == "failed"
        assert "status 3" in str(died.error)
        desk.queue.resume(died)
        await desk.until(lambda: died.state == "done")
        assert died.error is None
        await desk.queue.close()

    asyncio.run(run())


def test_a_server_that_stops_goes_on_with_its_next_start(tmp_path):
    async def first() -> Job:
        desk = Desk(tmp_path)
        job, waiting = desk.add(frames=150), desk.add(frames=2)
        await desk.until(lambda: job.done > 10)
        await desk.queue.close()
        assert (job.state, waiting.state) == ("queued", "queued")
        return job

    async def second(job: Job) -> None:
        desk = Desk(tmp_path)
        again = desk.queue.job(job.id)
        assert again is not None
        assert again.done >= 10
        await desk.until(lambda: all(one.state == "done" for one in desk.queue.jobs()))
        assert [one.answer for one in desk.queue.jobs()] == [{"frames": 150}, {"frames": 2}]
        await desk.queue.close()

    asyncio.run(second(asyncio.run(first())))


SERVER = """
import asyncio, sys
from pathlib import Path
from tests.app.test_job_queue import Desk
async def run():
    desk = Desk(Path(sys.argv[1]))
    desk.add(frames=300)
    await asyncio.sleep(60)
asyncio.run(run())
"""


def test_a_server_that_is_killed_goes_on_with_its_next_start(tmp_path):
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], start_new_session=True)
    record = tmp_path / ".genvis" / "jobs"
    deadline = time.monotonic() + 20
    while not list((tmp_path / "results").glob("job/kept")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    entry = json.loads(next(record.glob("*.json")).read_text())
    assert entry["state"] == "running"

    async def run() -> None:
        desk = Desk(tmp_path)
        (job,) = desk.queue.jobs()
        await desk.until(lambda: job.state == "done")
        assert job.answer == {"frames": 300}
        await desk.queue.close()

    asyncio.run(run())
    assert not psutil.pid_exists(entry["process"][0])


def test_jobs_have_limits(tmp_path, monkeypatch):
    monkeypatch.setattr("genvis.app.working.job_queue.MOST_WAITING", 4)

    async def run() -> None:
        desk = Desk(tmp_path)
        for number in range(4):
            desk.queue.add("segment", title="a", folder=f"results/{number}", work={"frames": 1000})
        with pytest.raises(InputError, match="jobs wait already"):
            desk.add(frames=1)
        await desk.queue.close()

    asyncio.run(run())


def test_the_same_work_is_not_done_twice(tmp_path):
    async def run() -> None:
        desk = Desk(tmp_path)
        one = desk.queue.running_or_new("index", title="a", folder=".genvis/i", work={"frames": 30})
        assert desk.queue.running_or_new("index", title="a", folder=".genvis/i", work={"frames": 30}) is one
        assert desk.queue.running_or_new("index", title="b", folder=".genvis/j", work={"frames": 31}) is not one
        await desk.queue.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"id": 3}', '{"id":"a","kind":"rm","title":"","folder":"","work":{}}']
)
def test_damaged_records_are_left_aside(tmp_path, text):
    records = JobRecords(tmp_path)
    (tmp_path / "a.json").write_text(text)
    assert records.read_all() == []


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ([], "must be a JSON object"),
        ({"device": "cuda"}, "no option 'device'"),
        ({"score_threshold": 2}, "least score"),
        ({"score_threshold": True}, "least score"),
        ({"tracker": "magic"}, "must be one of"),
        ({"classes": "person"}, "list of names"),
        ({"stride": 0}, "'stride' is 0"),
        ({"resolution": "100"}, "'resolution' is"),
        ({"start": 5, "stop": 5}, "no stretch"),
        ({"stop": 10**30}, "'stop' is"),
        ({"clip_length": 0}, "'clip_length' is 0"),
        ({"clip_length": "long"}, "'clip_length' is 'long'"),
        ({"stride": "auto"}, "'stride' is 'auto'"),
    ],
)
def test_options_that_are_none(entry, sentence):
    with pytest.raises(InputError, match=sentence):
        SegmentOptions.read(entry)


def test_options_survive_their_record():
    options = SegmentOptions.read(
        {"score_threshold": 1, "classes": [" cat ", ""], "stop": 9, "tracker": "", "start": 2}
    )
    assert options == SegmentOptions(score_threshold=1.0, classes=("cat",), stop=9, start=2)
    assert SegmentOptions.read(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize("length", [None, 3, "auto"])
def test_clips_are_the_models_fixed_or_adaptive(length):
    options = SegmentOptions.read({"clip_length": length})
    assert options.clip_length == length
    assert SegmentOptions.read(json.loads(json.dumps(options.to_json()))) == options
