import multiprocessing
import time

import pytest

from genvis.scaling import claims
from genvis.scaling.claims import Claim, claim_file, read_claim, video_claim
from genvis.storage.owners import Owner, this_host, this_process
from genvis.storage.stores import LocalStore, open_store

KEY = "0123456789abcdef"


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(tmp_path / "out")
    return open_store(f"memory://{tmp_path}")


def test_a_claim_is_held_by_one(store):
    with video_claim(store, KEY) as first:
        assert first is not None
        assert first.attempt == 1
        with video_claim(store, KEY) as second:
            assert second is None
        assert read_claim(store, KEY) == first
    assert store.names("manifests") == []


def left_behind(store, owner, *, renewed=None, attempt=1):
    renewed = time.time() if renewed is None else renewed
    assert store.create(claim_file(KEY), Claim(owner, "another", renewed, attempt).to_bytes())


def test_the_claim_of_a_dead_process_is_taken_over_and_counted(store):
    left_behind(store, Owner(this_host(), 2**22 + 1, 0.0), attempt=2)
    with video_claim(store, KEY) as claim:
        assert claim is not None
        assert claim.attempt == 3


def test_the_claim_of_another_machine_is_taken_over_when_it_is_old(store):
    left_behind(store, Owner("elsewhere", 1, 0.0))
    with video_claim(store, KEY) as claim:
        assert claim is None
    store.remove(claim_file(KEY))
    left_behind(store, Owner("elsewhere", 1, 0.0), renewed=time.time() - claims.EXPIRY_SECONDS - 1)
    with video_claim(store, KEY) as claim:
        assert claim is not None


def test_a_damaged_claim_is_nobodys(store):
    store.create(claim_file(KEY), b"{")
    with video_claim(store, KEY) as claim:
        assert claim is not None


def test_a_claim_is_renewed(store, monkeypatch):
    monkeypatch.setattr(claims, "RENEW_SECONDS", 0.02)
    with video_claim(store, KEY) as claim:
        until = time.monotonic() + 5
        while read_claim(store, KEY).renewed == claim.renewed and time.monotonic() < until:
            time.sleep(0.01)
        assert read_claim(store, KEY).renewed > claim.renewed
        assert read_claim(store, KEY).token == claim.token


def test_a_claim_that_was_taken_is_not_taken_back(store, monkeypatch):
    """As after the sleep of a machine: the process neither renews nor removes what is another's now."""
    monkeypatch.setattr(claims, "RENEW_SECONDS", 0.3)
    with video_claim(store, KEY):
        another = Claim(Owner("elsewhere", 1, 0.0), "another", time.time(), 2)
        store.write(claim_file(KEY), another.to_bytes())
        time.sleep(0.8)
        assert read_claim(store, KEY) == another
    assert read_claim(store, KEY) == another


def test_a_number_that_was_given_again_is_another_process():
    process = this_process()
    assert process.is_alive() is True
    assert Owner(process.host, process.pid, process.began - 100).is_alive() is False
    assert Owner("elsewhere", process.pid, process.began).is_alive() is None


def _take(folder, start, taken):
    start.wait()
    with video_claim(LocalStore(folder), KEY) as claim:
        if claim is not None:
            taken.put(claim.token)
            time.sleep(1.0)


def test_of_many_processes_one_gets_the_claim(tmp_path):
    context = multiprocessing.get_context("fork")
    start, taken = context.Event(), context.Queue()
    processes = [context.Process(target=_take, args=(tmp_path, start, taken)) for _ in range(8)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert taken.qsize() == 1
