"""Files from elsewhere: fetched once, kept while they are used, within the bounds of the cache."""

import json
import threading

import fsspec
import pytest

from genvis.errors import InputError
from genvis.storage import fetching
from genvis.storage.fetching import FetchCache, RemoteFile, fetched_folder, matching_files, remote_file
from genvis.storage.owners import Owner, this_host


@pytest.fixture
def place(tmp_path):
    return f"memory://{tmp_path}"


def put(address, content):
    with fsspec.open(address, "wb") as file:
        file.write(content)


def cached(cache):
    return sorted(path.name for path in cache.folder.glob("*/*.mp4"))


def test_a_file_is_fetched_once_and_a_changed_one_again(place, tmp_path):
    cache = FetchCache(tmp_path / "cache", limit=100)
    put(f"{place}/a.mp4", b"1")
    first = remote_file(f"{place}/a.mp4")
    for _ in range(2):
        with cache.fetched(first) as path:
            assert path.read_bytes() == b"1"
            assert path.name == "a.mp4"
    put(f"{place}/a.mp4", b"22")
    second = remote_file(f"{place}/a.mp4")
    assert second.stamp.digest != first.stamp.digest
    with cache.fetched(second) as path:
        assert path.read_bytes() == b"22"


def test_what_was_not_used_for_longest_makes_room_and_what_is_in_use_stays(place, tmp_path, monkeypatch):
    cache = FetchCache(tmp_path / "cache", limit=100)
    for name in "abc":
        put(f"{place}/{name}.mp4", bytes(40))
    files = {name: remote_file(f"{place}/{name}.mp4") for name in "abc"}
    with cache.fetched(files["a"]):
        with cache.fetched(files["b"]):
            pass
        with cache.fetched(files["c"]):
            assert cached(cache) == ["a.mp4", "c.mp4"]
            monkeypatch.setattr(fetching, "_WAIT_FOR_ROOM", 0.0)
            with pytest.raises(InputError, match=r"full of files in use, so that '.*b\.mp4' finds no room"):
                cache.fetched(files["b"]).__enter__()
    with cache.fetched(files["b"]):
        assert "b.mp4" in cached(cache)
        assert len(cached(cache)) == 2


def test_a_file_that_waits_for_room_gets_it(place, tmp_path):
    cache = FetchCache(tmp_path / "cache", limit=50)
    for name in "ab":
        put(f"{place}/{name}.mp4", bytes(40))
    done = threading.Event()

    def fetch():
        with cache.fetched(remote_file(f"{place}/b.mp4")):
            done.set()

    with cache.fetched(remote_file(f"{place}/a.mp4")):
        thread = threading.Thread(target=fetch)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert done.is_set()


def test_pins_of_dead_processes_keep_nothing(place, tmp_path):
    cache = FetchCache(tmp_path / "cache", limit=50)
    for name in "ab":
        put(f"{place}/{name}.mp4", bytes(40))
    with cache.fetched(remote_file(f"{place}/a.mp4")) as path:
        pin = path.parent / "1.pin"
    pin.write_text(json.dumps({"owner": Owner(this_host(), 2**22 + 1, 0.0).to_json(), "reserved": 40}))
    with cache.fetched(remote_file(f"{place}/b.mp4")):
        assert cached(cache) == ["b.mp4"]


def test_bounds_and_what_is_missing_are_one_sentence(place, tmp_path, monkeypatch):
    put(f"{place}/a.mp4", bytes(40))
    with pytest.raises(InputError, match=r"cache .* set GENVIS_CACHE_GB higher"):
        FetchCache(tmp_path, limit=39).fetched(remote_file(f"{place}/a.mp4")).__enter__()
    with pytest.raises(InputError, match=r"There is no file 'memory://.*none\.mp4'"):
        remote_file(f"{place}/none.mp4")
    with pytest.raises(InputError, match=r"There is no file 'memory://.*none\.mp4'"):
        FetchCache(tmp_path, limit=39).fetched(RemoteFile(f"{place}/none.mp4")).__enter__()
    with pytest.raises(InputError, match="No file matches"):
        matching_files(f"{place}/none/*.mp4")
    for text in ("many", "0", "-1", "nan"):
        monkeypatch.setenv("GENVIS_CACHE_GB", text)
        with pytest.raises(InputError, match=f"GENVIS_CACHE_GB is '{text}'"):
            FetchCache(tmp_path)


def test_patterns_folders_and_chosen_files_of_a_folder(place):
    for name in ("b.mp4", "a.mp4", "c.txt", "deep/d.mp4"):
        put(f"{place}/{name}", name.encode())
    names = [file.address.removeprefix(place) for file in matching_files(f"{place}/*.mp4")]
    assert names == ["/a.mp4", "/b.mp4"]
    assert len(matching_files(f"{place}/")) == 3
    assert [file.address for file in matching_files(f"{place}/a.mp4")] == [f"{place}/a.mp4"]
    with fetched_folder(place, lambda names: tuple(name for name in names if name.endswith(".txt"))) as folder:
        assert [path.read_bytes() for path in folder.iterdir()] == [b"c.txt"]
    with pytest.raises(InputError, match="holds no file of the kind"):
        fetched_folder(place, lambda _: ()).__enter__()
