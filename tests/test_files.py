"""Files and folders that appear whole or not at all."""

import json
import os

import pytest

from genvis.errors import InputError, OutputError
from genvis.files import atomic_file, atomic_folder, read_json_object, remove_leftovers, write_text


def listing(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "a" / "set") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "set").exists()
    assert listing(tmp_path) == ["a", "file", "set"]
    assert (tmp_path / "a" / "set").stat().st_mode & 0o777 == (tmp_path / "a").stat().st_mode & 0o777


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    def fill():
        with atomic_folder(tmp_path / "set") as folder:
            (folder / "file").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert listing(tmp_path) == []


def test_a_folder_with_content_stays_unless_it_is_to_be_replaced(tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").write_text("")
    with pytest.raises(InputError, match="exists already"), atomic_folder(target):
        pass
    with pytest.raises(RuntimeError), atomic_folder(target, overwrite=True):
        raise RuntimeError
    assert listing(tmp_path) == ["old", "set"]
    with atomic_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("")
    assert listing(tmp_path) == ["new", "set"]


def test_a_folder_behind_a_link_is_replaced_where_it_lies(tmp_path):
    (tmp_path / "disk" / "set").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "set")
    with atomic_folder(tmp_path / "link", overwrite=True) as folder:
        (folder / "new").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert listing(tmp_path / "disk") == ["new", "set"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_output_error(tmp_path):
    def fill():
        with atomic_folder(tmp_path / "set") as folder:
            (folder / "file").symlink_to("/dev/full")
            (folder / "file").write_text("x" * 100_000)

    with pytest.raises(OutputError, match=r"Cannot write '.*set': the disk is full"):
        fill()
    assert listing(tmp_path) == []


def test_an_input_that_cannot_be_read_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "set"):
        (tmp_path / "missing.jpg").read_bytes()


def test_a_folder_below_a_file_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"), atomic_folder(tmp_path / "file" / "set"):
        pass


def test_lone_surrogates_do_not_stop_a_text(tmp_path):
    write_text(tmp_path / "a.txt", "a\ud800b")
    assert (tmp_path / "a.txt").read_text() == "a?b"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"[1]", "holds a list"),
        (b"5", "holds a int"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON"),
        (b"\xff", "is not a text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_json_file_is_one_sentence(content, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json_object(path, expected="an object")


def test_a_folder_or_pipe_is_no_json_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing"):
        with pytest.raises(InputError, match=r"no file|not a file"):
            read_json_object(path, expected="an object")


def test_a_json_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json_object(tmp_path / "a.json", expected="an object") == {"a": 1}


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    kept = [".hidden", "a.part", ".part.txt", "b.json", ".a.part.json"]
    for name in kept:
        (tmp_path / name).write_text("")
    with atomic_file(tmp_path / "b.json") as temporary, atomic_folder(tmp_path / "set") as partial:
        temporary.write_text("")
        (partial / "frame.jpg").write_text("")
        assert len(list(tmp_path.iterdir())) == len(kept) + 2
        remove_leftovers(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == set(kept)
        temporary.write_text("")
        partial.mkdir(parents=True)
