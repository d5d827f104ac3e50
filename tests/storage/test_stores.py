"""Folders here and elsewhere behave alike, and messages hold no credentials."""

import fsspec
import pytest

from genvis.errors import InputError, OutputError
from genvis.storage import stores
from genvis.storage.addresses import identity_of, is_remote, is_stored, stem_of, without_credentials
from genvis.storage.stores import LocalStore, RemoteStore, open_store


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return open_store(tmp_path / "out" if request.param == "local" else f"memory://{tmp_path}/out")


def test_files_come_back_and_go(store):
    assert store.read("a/b.json") is None
    assert store.names("a") == []
    store.write("a/b.json", b"1")
    store.write("a/b.json", b"2")
    store.write("a/c/d.json", b"3")
    assert store.read("a/b.json") == b"2"
    assert store.names("a") == ["a/b.json"]
    assert store.read_many(["a/b.json", "a/none.json", "a/c/d.json"]) == {"a/b.json": b"2", "a/c/d.json": b"3"}
    store.remove("a/b.json")
    store.remove("a/b.json")
    assert store.names("a") == []


def test_a_file_is_created_once(store):
    assert store.create("a/claim", b"1")
    assert not store.create("a/claim", b"2")
    assert store.read("a/claim") == b"1"


def test_folders_are_copied(store, tmp_path):
    (tmp_path / "made" / "masks").mkdir(parents=True)
    (tmp_path / "made" / "result.json").write_bytes(b"1")
    (tmp_path / "made" / "masks" / "0.png").write_bytes(b"2")
    store.put(tmp_path / "made", "ride")
    assert store.read("ride/masks/0.png") == b"2"
    assert store.names("ride") == ["ride/result.json"]


def test_what_killed_processes_left_here_is_removed(tmp_path):
    store = LocalStore(tmp_path)
    (tmp_path / ".key.4194305.part.json").touch()
    (tmp_path / ".key.1.part.json").touch()  # Of a process that lives.
    (tmp_path / ".other.4194305.part.json").touch()
    store.remove_leftovers("key.json")
    assert {path.name for path in tmp_path.iterdir()} == {".key.1.part.json", ".other.4194305.part.json"}


class Failing:
    """A file system whose operations fail some times before they succeed."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def cat_file(self, path):
        if self.errors:
            raise self.errors.pop(0)
        return b"there"

    pipe_file = put_file = lambda self, path, content, **options: self.cat_file(path)

    def invalidate_cache(self):
        pass


@pytest.fixture
def failing(monkeypatch):
    monkeypatch.setattr(stores, "_PAUSES", (0.0,))

    def store(*errors):
        monkeypatch.setattr(fsspec, "url_to_fs", lambda address: (Failing(*errors), "bucket/out"))
        return RemoteStore("s3://key:secret@bucket/out?token=secret")

    return store


def test_a_server_that_does_not_answer_is_asked_again(failing):
    assert failing(ConnectionError(), TimeoutError(), OSError("reset")).read("a") == b"there"


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("AKIA123 secret"), "access is denied"),
        (NoCredentialsError("secret"), "no credentials"),
        (ValueError("secret"), r"refuses it \(ValueError\)"),
        (ConnectionError("secret"), "does not answer"),
    ],
)
def test_failures_are_one_sentence_without_secrets(error, words, failing, monkeypatch):
    monkeypatch.setattr(stores, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(InputError, match=f"^'s3://bucket/out/a' cannot be read: .*{words}") as reading:
        failing(*[error] * 50).read("a")
    with pytest.raises(OutputError, match=f"^'s3://bucket/out/a' cannot be written: .*{words}") as writing:
        failing(*[error] * 50).write("a", b"")
    for caught in (reading, writing):
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_bucket_that_is_not_there_is_named(failing):
    with pytest.raises(OutputError, match="no such bucket"):
        failing(FileNotFoundError()).write("a", b"")


def test_unknown_kinds_of_store_are_named():
    with pytest.raises(InputError, match="odd:// is no kind of store"):
        open_store("odd://bucket/out")


def test_addresses():
    assert is_remote("s3://bucket/a")
    assert not any(map(is_remote, ("a.mp4", "/a/b", "C:\\a", "file:///a")))
    assert [is_stored(f"{scheme}://host/a") for scheme in ("s3", "https", "rtsp", "gs")] == [True, False, False, True]
    secret = "sftp://me:word@host:22/day/a.mp4?sig=1"
    assert without_credentials(secret) == "sftp://host:22/day/a.mp4"
    assert identity_of(secret) == "sftp://host:22/day/a.mp4"
    assert stem_of("s3://bucket/day/a.b.mp4") == "a.b"
    assert stem_of("s3://bucket") == "bucket"
