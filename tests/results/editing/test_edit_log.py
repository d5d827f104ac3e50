import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from genvis.cli.main import main
from genvis.errors import InputError, OutputError
from genvis.results.editing.edit_log import EditLog, replay
from genvis.results.editing.edits import DeleteTrack, MergeTracks, SetCategory, SplitTrack
from genvis.results.types import VideoResult
from tests.results.editing.edit_helpers import edits_of
from tests.results.inference_results_helpers import RESULTS, random_result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_result(3, frames=6, tracks=4).save(tmp_path / "out", outputs=["result"])
    return tmp_path / "out"


def edited(folder: Path) -> EditLog:
    """A log with a merge in force and a deletion undone."""
    log = EditLog(folder)
    log.append(MergeTracks(track_ids=(1, 2)))
    log.append(DeleteTrack(track_id=3))
    log.undo()
    return log


def test_a_log_is_readable_and_continues_in_another_process(folder: Path):
    original = (folder / "result.json").read_bytes()
    log = edited(folder)
    head, *lines = [json.loads(line) for line in log.path.read_text("utf-8").splitlines()]
    assert (head["format"], head["version"]) == ("genvis-edits", 1)
    assert [line["edit"] for line in lines] == ["merge", "delete", "undo"]
    assert lines[0]["track_ids"] == [1, 2]
    assert lines[0]["time"].endswith("+00:00")
    again = EditLog(folder)
    assert again.result == log.result == replay(folder, log.path)
    assert (again.edits, again.undone) == (log.edits, log.undone)
    assert again.redo() == DeleteTrack(track_id=3).apply(log.result)
    assert (folder / "result.json").read_bytes() == original


def test_ids_are_never_given_twice(folder: Path):
    log = EditLog(folder)
    log.append(DeleteTrack(track_id=4))
    assert log.next_id == 5
    long_lived = next(track for track in log.result.tracks if track.frames_seen > 1)
    split = SplitTrack(track_id=long_lived.id, frame=long_lived.span[1], new_id=5)
    log.append(split)
    log.undo()
    assert log.next_id == 6
    for used in (4, 5):
        with pytest.raises(InputError, match=f"{used} was used before: 6 is free"):
            log.append(SplitTrack(track_id=long_lived.id, frame=split.frame, new_id=used))
    assert EditLog(folder).next_id == 6


def test_an_edit_that_does_not_fit_leaves_no_trace(folder: Path):
    log = edited(folder)
    before = log.path.read_bytes()
    with pytest.raises(InputError, match="no track 77"):
        log.append(DeleteTrack(track_id=77))
    assert log.path.read_bytes() == before
    assert log.undone
    untouched = EditLog(folder, folder / "none.jsonl")
    for take in (untouched.undo, untouched.redo):
        with pytest.raises(InputError, match="There is no edit to"):
            take()
    assert not untouched.path.exists()


@pytest.mark.parametrize("torn", [b'{"time": "2026', b"\xff\xfe", b"   ", b"{}garbage"])
def test_a_torn_last_line_is_dropped(folder: Path, torn: bytes):
    log = edited(folder)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + torn)
    assert replay(folder, log.path) == log.result
    again = EditLog(folder)
    assert again.result == log.result
    again.append(DeleteTrack(track_id=4))
    assert log.path.read_bytes().startswith(whole + b'{"time"')
    assert EditLog(folder).result == again.result


def test_a_last_line_typed_without_its_end_counts(folder: Path):
    log = edited(folder)
    with log.path.open("a") as file:
        file.write('{"edit": "delete", "track_id": 4}')
    again = EditLog(folder)
    assert len(again.edits) == 2
    again.undo()
    assert EditLog(folder).result == log.result


def test_a_log_cut_anywhere_gives_the_edits_before_the_cut(folder: Path):
    log = edited(folder)
    data = log.path.read_bytes()
    states = {
        data.index(b"\n"): log.original,
        data.index(b'{"time"', data.index(b'"merge"')): MergeTracks(track_ids=(1, 2)).apply(log.original),
    }
    for cut in range(min(states) + 1, len(data), 19):
        log.path.write_bytes(data[:cut])
        expected = [state for start, state in states.items() if start <= cut][-1]
        if b'"delete"' not in data[:cut]:
            assert replay(folder, log.path) == expected


def test_a_log_of_another_result_is_refused_by_what_differs(folder: Path, tmp_path: Path):
    log = edited(folder)
    random_result(4, frames=7, tracks=4).save(tmp_path / "other", outputs=["result"])
    with pytest.raises(InputError, match=r"another result \(frames was 6, now 7; content differs too\)"):
        replay(tmp_path / "other", log.path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", r"Line 2 of .* is damaged"),
        ("[]", r"Line 2 of .* is damaged"),
        ('{"edit": "explode"}', r"Line 2 of .* is no edit: There is no edit 'explode'"),
        ('{"edit": "redo"}', r"Line 2 of .* cannot be applied: there is no edit to redo"),
        ('{"edit": "delete", "track_id": 99}', r"Line 2 of .* cannot be applied: .* has no track 99"),
        ('{"edit": "split", "track_id": 1, "frame": 2, "new_id": 3}', r"track id 3 was used before"),
    ],
)
def test_a_damaged_line_is_named(folder: Path, line: str, sentence: str):
    log = edited(folder)
    head = log.path.read_text().splitlines()[0]
    log.path.write_text(f"{head}\n{line}\n")
    with pytest.raises(InputError, match=sentence):
        replay(folder, log.path)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b'{"format": "genvis-edits", "version": 9}\n', b"\x00" * 50])
def test_other_files_are_refused(folder: Path, content: bytes):
    (folder / "edits.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"is no edit log|is an edit log of version 9"):
        EditLog(folder)


def test_two_writers_do_not_mix(folder: Path):
    first = edited(folder)
    second = EditLog(folder)
    second.redo()
    with pytest.raises(OutputError, match="changed by another program: open the result again"):
        first.append(DeleteTrack(track_id=4))
    untouched = EditLog(folder, folder / "new.jsonl")
    EditLog(folder, folder / "new.jsonl").append(DeleteTrack(track_id=4))
    with pytest.raises(OutputError, match="changed by another program"):
        untouched.append(DeleteTrack(track_id=4))


def test_a_full_disk_keeps_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch):
    log = edited(folder)
    before, result = log.path.read_bytes(), log.result

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        log.append(DeleteTrack(track_id=4))
    monkeypatch.undo()
    assert log.path.read_bytes() == before
    assert log.result == result
    log.append(DeleteTrack(track_id=4))
    assert EditLog(folder).result == log.result


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RESULTS, st.data())
def test_any_edits_replay_and_undo_to_equal_results(tmp_path: Path, result: VideoResult, data: st.DataObject):
    assume(result.tracks)
    folder = tmp_path / "drawn"
    result.save(folder, outputs=["result"])
    path = folder / "edits.jsonl"
    path.unlink(missing_ok=True)
    log = EditLog(folder)
    states = [log.result]
    for _ in range(data.draw(st.integers(1, 6))):
        if not log.result.tracks:
            break
        with suppress(InputError):
            states.append(log.append(data.draw(edits_of(log.result, new_id=log.next_id))))
    if path.exists():
        assert replay(folder, path) == replay(folder, path) == log.result
    for expected in reversed(states[:-1]):
        assert log.undo() == expected
    for expected in states[1:]:
        assert log.redo() == expected
    if path.exists():
        assert EditLog(folder).result == states[-1]


ENDLESS_WORK = """
import sys
from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.edits import DeleteTrack
log = EditLog(sys.argv[1])
for number in range(1, 100_000):
    log.append(DeleteTrack(track_id=1))
    print(2 * number - 1, flush=True)
    log.undo()
    print(2 * number, flush=True)
"""


def test_what_was_said_to_be_kept_survives_a_kill(folder: Path):
    with subprocess.Popen([sys.executable, "-c", ENDLESS_WORK, str(folder)], stdout=subprocess.PIPE, text=True) as work:
        assert work.stdout is not None
        said = [int(work.stdout.readline()) for _ in range(20)][-1]
        work.kill()
        said = max([said, *(int(line) for line in work.stdout.read().splitlines(keepends=True) if line.endswith("\n"))])
    lines = (folder / "edits.jsonl").read_bytes().count(b"\n") - 1
    assert said <= lines <= said + 1
    log = EditLog(folder)
    assert len(log.edits) == lines % 2
    log.append(DeleteTrack(track_id=2))
    assert [edit.track_id for edit in EditLog(folder).edits][-1] == 2


def test_the_command_writes_the_corrected_result(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = edited(folder)
    log.append(SetCategory(track_id=4, label="Cat"))
    words = ["edit", str(folder), str(log.path), "-o", str(tmp_path / "corrected"), "--outputs", "csv,youtube_vis"]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["edits"] == ["merge tracks 2 into 1", "track 4 is a Cat"]
    assert [track["id"] for track in document["tracks"]] == [track.id for track in log.result.tracks]
    assert VideoResult.load(tmp_path / "corrected") == log.result
    assert (tmp_path / "corrected" / "objects.csv").exists()
    assert main(words) == 2
    assert "holds a result already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "2 edits, 4 tracks before, 3 now" in capsys.readouterr().out
    assert main(["edit", str(folder), str(log.path), "-o", str(folder), "--overwrite"]) == 2
    assert "is the folder of the original result" in capsys.readouterr().err
    assert main(["edit", str(folder), str(log.path), "-o", str(tmp_path / "x"), "--outputs", "video"]) == 2
    assert "name it with --video" in capsys.readouterr().err
    assert main(["edit", str(folder), str(tmp_path / "none"), "-o", str(tmp_path / "x")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
