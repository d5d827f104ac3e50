"""What a result belongs to: records, comparison, stamps of files and weights, and the claim of a folder."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from genvis import fingerprint as module
from genvis.errors import InputError, OutputError
from genvis.fingerprint import (
    LOCK_FILE,
    Fingerprint,
    Stamp,
    claim,
    content_stamp,
    files_stamp,
    tensors_stamp,
    turn,
    value_stamp,
)

REMEDY = "name another folder, or say --overwrite"


def test_a_record_is_written_once_and_then_compared(tmp_path):
    path = tmp_path / "fingerprint.json"
    first = Fingerprint("evaluation", weights=Stamp("model", "aa"), settings={"stride": 2, "sizes": (1, 2), "at": None})
    assert first.bind(path, remedy=REMEDY) is False
    assert first.bind(path, remedy=REMEDY) is True
    read = Fingerprint.read(path, remedy=REMEDY)
    assert read is not None
    assert read.parts == first.parts
    assert read.differences(first) == []


def test_what_differs_is_named_with_both_values_and_the_remedy(tmp_path):
    path = tmp_path / "fingerprint.json"
    Fingerprint("training run", settings={"lr": 0.1, "seed": 1, "steps": 9}).bind(path, remedy=REMEDY)
    with pytest.raises(InputError) as caught:
        Fingerprint("training run", settings={"lr": 0.01, "seed": 2, "steps": 9}).bind(path, remedy=REMEDY)
    assert str(caught.value) == (
        f"'{tmp_path}' belongs to another training run (settings.lr was 0.1, now 0.01; settings.seed differs too): "
        f"{REMEDY}."
    )
    assert Fingerprint.read(path, remedy=REMEDY).parts["settings.lr"] == 0.1


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": 1}, {}, ["a"]),
        ({}, {"a": None}, ["a"]),
        ({"a": Stamp("x", "11")}, {"a": Stamp("y", "11")}, []),
        ({"a": Stamp("x", "11")}, {"a": Stamp("x", "12")}, ["a"]),
        ({"a": Stamp("x", "11")}, {"a": "x"}, ["a"]),
        ({"b": 1, "a": [1, 2]}, {"a": [2, 1], "c": 0, "b": 1}, ["a", "c"]),
    ],
)
def test_parts_are_compared_by_value(old, new, names):
    assert Fingerprint("x", **new).differences(Fingerprint("x", **old)) == names


def test_stamps_of_one_name_are_told_apart_by_their_content():
    old, new = (Fingerprint("cache", data=Stamp("val.json", digest)) for digest in ("a" * 64, "b" * 64))
    with pytest.raises(
        InputError, match=r"data was 'val.json' with content a{12}, now 'val.json' with content b{12}\)"
    ):
        new.require(old, where="x", remedy=REMEDY)


def test_long_values_and_many_differences_are_shortened():
    old = Fingerprint("run", **{f"p{number}": "x" * 500 for number in range(50)})
    with pytest.raises(InputError) as caught:
        Fingerprint("run").require(old, where="out", remedy=REMEDY)
    assert "now not given; p1, p2, p3, p4, p5, ... differ too" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_names_and_values_of_a_forged_record_do_not_break_the_sentence():
    forged = Fingerprint("run", **{"a\nb\x1b[31m" * 99: "x\ny", "\ud800": Stamp("c\nd", "")})
    forged.kind = "run"
    with pytest.raises(InputError) as caught:
        Fingerprint("run").require(forged, where="out", remedy=REMEDY)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    forged.kind = "e\nf"
    with pytest.raises(InputError, match=r"kind 'e\\nf'"):
        Fingerprint("run").require(forged, where="out", remedy=REMEDY)


def test_another_kind_of_result_is_refused():
    with pytest.raises(InputError, match="'out' is of the kind 'session', not 'evaluation': wait"):
        Fingerprint("evaluation").require(Fingerprint("session"), where="out", remedy="wait")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"format": "genvis fingerprint", "version": 1, "kind": 5, "parts": {}}',
        b'{"format": "genvis fingerprint", "version": 2, "kind": "run", "parts": {}}',
        b'{"format": "genvis fingerprint", "version": 1, "kind": "run", "parts": {"a": {"name": "x"}}}',
        b'{"format": "genvis fingerprint", "version": 1, "kind": "run", "parts": {"a": ' + b"9" * 9999 + b"}}",
    ],
)
def test_a_damaged_record_is_one_sentence(content, tmp_path):
    path = tmp_path / "fingerprint.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"fingerprint.json' .*: {REMEDY}"):
        Fingerprint("run").bind(path, remedy=REMEDY)
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_record_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fingerprint.json")
    with pytest.raises(InputError, match="damaged"):
        Fingerprint("run").bind(tmp_path / "fingerprint.json", remedy=REMEDY)


def test_content_counts_wherever_the_file_lies_and_is_read_once(tmp_path, monkeypatch):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text("{}")
    other.write_text("{}")
    assert content_stamp(one).digest == content_stamp(other).digest
    assert content_stamp(one).name == "one.json"
    with monkeypatch.context() as patch:
        patch.setattr(module.hashlib, "file_digest", None)  # A second look does not read the file.
        content_stamp(one)
    one.write_text("{ }")
    assert content_stamp(one).digest != content_stamp(other).digest
    with pytest.raises(InputError, match=r"missing\.json' cannot be read"):
        content_stamp(tmp_path / "missing.json")


def test_a_large_file_is_known_by_path_size_and_time(tmp_path, monkeypatch):
    video = tmp_path / "ride.mp4"
    with video.open("wb") as file:
        file.truncate(1 << 40)  # A sparse file that nobody can read in the time of a test.
    first = files_stamp([video], name="the video")
    monkeypatch.chdir(tmp_path)
    assert files_stamp([Path("ride.mp4")], name="the video") == first
    assert first.name.startswith(f"{video}, 1,099,511,627,776 bytes of 2")
    os.utime(video, ns=(0, 1))
    assert files_stamp([video], name="the video").digest != first.digest
    renamed = video.rename(tmp_path / "other.mp4")
    assert files_stamp([renamed], name="the video").digest != first.digest


@pytest.mark.parametrize("moment", [-(10**18) * 10**9, 10**30])
def test_a_broken_clock_is_shown_as_it_is(moment):
    assert module._moment(moment) == f"second {moment // 10**9}"


def test_several_files_are_known_together(tmp_path):
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for file in files:
        file.write_bytes(b"x")
    first = files_stamp(files, name="frames")
    assert first.name == "frames, 3 files"
    assert files_stamp(files, name="frames") == first
    assert files_stamp(files[::-1], name="frames").digest != first.digest
    with pytest.raises(InputError, match=r"3\.jpg' cannot be read"):
        files_stamp([*files, tmp_path / "3.jpg"], name="frames")


def test_weights_are_known_by_their_names_types_shapes_and_values():
    def digest(**tensors):
        return tensors_stamp(tensors, name="model").digest

    weights = torch.arange(6.0).reshape(2, 3)
    expected = digest(a=weights, b=torch.tensor(1))
    assert digest(b=torch.tensor(1), a=weights.clone()) == expected
    assert digest(a=weights.t().contiguous().t(), b=torch.tensor(1)) == expected
    changed = weights.clone()
    changed.data[1, 2] += 1e-6
    others = [changed, weights.reshape(3, 2), weights.to(torch.bfloat16), weights.int()]
    assert len({expected, *(digest(a=other, b=torch.tensor(1)) for other in others)}) == 5
    assert digest(c=weights, b=torch.tensor(1)) != expected


def test_a_long_value_is_known_by_its_digest():
    assert value_stamp([1, 2], name="videos") == value_stamp((1, 2), name="videos")
    assert value_stamp([1, 2], name="videos").digest != value_stamp([2, 1], name="videos").digest
    assert value_stamp([["a"], []], name="x").digest != value_stamp([[], ["a"]], name="x").digest


def test_loaded_data_are_known_by_their_content_wherever_it_came_from():
    @dataclass
    class Loaded:
        path: Path
        masks: np.ndarray
        names: tuple[str, ...]

    def digest(path="a.json", masks=(1, 2), names=("x",), dtype=np.int64):
        return value_stamp(Loaded(Path(path), np.array(masks, dtype), names), name="data").digest

    assert digest() == digest(path="b.json")
    assert len({digest(), digest(masks=(1, 3)), digest(names=("y",)), digest(dtype=np.int32)}) == 4


def test_a_claim_sweeps_what_killed_runs_left(tmp_path):
    left = [tmp_path / ".result.4711.part.json", tmp_path / "masks" / ".00007.4711.part.png"]
    kept = [tmp_path / "masks" / "00007.png", tmp_path / ".unfinished" / "masks.bin", tmp_path / "my.part.json"]
    for path in (*left, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    with claim(tmp_path):
        assert [path.exists() for path in left] == [False, False]
    assert all(path.exists() for path in kept)


def test_a_claim_excludes_others_until_it_ends(tmp_path):
    folder = tmp_path / "new" / "out"
    with claim(folder) as place:
        assert place == folder
        with pytest.raises(InputError, match=r"Another run is writing into .*out': wait for it"), claim(folder):
            pass
    assert list(folder.iterdir()) == []
    with claim(folder):
        pass


HOLDER = """
import sys, time
from genvis.fingerprint import claim
with claim(sys.argv[1]):
    print("claimed", flush=True)
    time.sleep(60)
"""


def test_a_kill_ends_a_claim(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "claimed\n"
        with pytest.raises(InputError, match="Another run"), claim(tmp_path):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    assert (tmp_path / LOCK_FILE).exists()
    with claim(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_that_outlives_its_killed_parent_does_not_hold_the_claim(tmp_path):
    code = HOLDER.replace("    time.sleep", "    import os\n    os.fork()\n    time.sleep")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "claimed\n"
        time.sleep(0.3)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with claim(tmp_path):
            pass
        holder.stdout.close()


TAKES_TURNS = """
import sys, time
from pathlib import Path
from genvis.fingerprint import turn
with turn(sys.argv[1]) as path:
    print("its turn", flush=True)
    time.sleep(0.5)
    path.write_text("its own")
"""


def test_processes_write_one_file_in_turn_and_sweep_what_killed_ones_left_of_it(tmp_path):
    path = tmp_path / "list[1].json"
    left, others = tmp_path / ".list[1].4711.part.json", tmp_path / ".list1.4711.part.json"
    for file in (left, others):
        file.write_text("x")
    words = [sys.executable, "-c", TAKES_TURNS, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "its turn\n"
        with turn(path) as mine:
            assert mine.read_text() == "its own"
        assert other.wait() == 0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "its turn\n"
        other.kill()
    with turn(path):
        pass
    assert sorted(tmp_path.iterdir()) == [others, path]


def test_where_there_are_no_locks_everybody_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: (_ for _ in ()).throw(NotImplementedError))
    with turn(tmp_path / "list.json") as path:
        path.write_text("mine")


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of its path is a file"), claim(tmp_path / "file" / "out"):
        pass


def test_the_record_is_plain_json(tmp_path):
    path = tmp_path / "fingerprint.json"
    Fingerprint("run", model=Stamp("m", "ab"), seed=3).write(path)
    assert json.loads(path.read_text()) == {
        "format": "genvis fingerprint",
        "version": 1,
        "kind": "run",
        "parts": {"model": {"name": "m", "digest": "ab"}, "seed": 3},
    }
