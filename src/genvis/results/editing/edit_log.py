"""The edit log: a small readable file beside a result, append-only, that can be replayed.

A log is JSON Lines. The first line says what it is and which ``result.json`` it belongs to (a fingerprint). Every
other line is an edit with its time, or an undo or a redo::

    {"format": "genvis-edits", "version": 1, "result": {...}}
    {"time": "2026-11-27T09:30:00+00:00", "edit": "merge", "track_ids": [2, 5]}
    {"time": "2026-11-27T09:30:04+00:00", "edit": "undo"}

Lines are never changed, and the result never is: the corrected result is what the edits in force make of it. A line is
on the disk when `EditLog.append` returns; of a line that a kill tore, nothing is kept.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genvis.errors import InputError, OutputError
from genvis.files import cannot_write, make_folder, require_file, write_text
from genvis.fingerprint import Fingerprint, content_stamp
from genvis.json_values import shown
from genvis.results.editing.edits import Edit, SplitTrack, edit_from_json, edit_to_json, next_track_id
from genvis.results.formats.genvis_json import RESULT_FILE, load
from genvis.results.types import VideoResult

EDITS_FILE = "edits.jsonl"
"""Name of the log in the folder of its result."""

_FORMAT, _VERSION = "genvis-edits", 1
_KIND = "result"
_REMEDY = "give the result that was corrected, or another log"
# A log of a million edits has 100 MB; a larger file is something else.
_LARGEST_LOG = 1 << 28


@dataclass(frozen=True, slots=True)
class _Content:
    """A log as read: its edits and undos in turn, each with the number of its line.

    Attributes:
        steps: Number of the line, and the edit, or "undo" or "redo".
        size: Bytes of the file.
        whole: Bytes of its whole lines.
        lacks_line_end: Whether the last of them has no line end.
    """

    steps: tuple[tuple[int, Edit | str], ...]
    size: int
    whole: int
    lacks_line_end: bool


class EditLog:
    """The corrections of one result: edits with undo and redo, kept in a file as they are made.

    Every edit's outcome is kept for undo; outcomes share the tracks that they have in common, so this takes little
    memory. Not for several threads at once.

    Args:
        result: The folder of a result, or its JSON file. It is only read.
        path: The log. It is made by the first edit if it does not exist; None for ``edits.jsonl`` beside the result.
        original: The content of the file, if it was read already.

    Raises:
        InputError: If there is no result, the log belongs to another one, or it is damaged.
    """

    def __init__(
        self, result: str | Path, path: str | Path | None = None, *, original: VideoResult | None = None
    ) -> None:
        file = _result_file(result)
        self.path = file.with_name(EDITS_FILE) if path is None else Path(path)
        self.original = load(file) if original is None else original
        self._fingerprint = _fingerprint(file, self.original)
        self._states = [self.original]
        self._edits: list[Edit] = []
        self._undone: list[Edit] = []
        self._ever: list[Edit] = []
        self._content: _Content | None = None
        if self.path.exists():
            content = self._content = _read(self.path, self._fingerprint)
            self._ever = [step for _, step in content.steps if not isinstance(step, str)]
            in_force, undone = _in_force(content.steps, self.path, self.original)
            for line, edit in in_force:
                self._advance(edit, _applied(edit, self.result, self.path, line))
            self._undone = [edit for _, edit in undone]

    @property
    def result(self) -> VideoResult:
        """The result with all edits in force."""
        return self._states[-1]

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits in force, in their order."""
        return tuple(self._edits)

    @property
    def undone(self) -> tuple[Edit, ...]:
        """The edits that `redo` brings back, the next one first."""
        return tuple(reversed(self._undone))

    @property
    def next_id(self) -> int:
        """Id for the new track of a split: never used before, not even by an edit that was undone."""
        return next_track_id(self.original, self._ever)

    def append(self, edit: Edit) -> VideoResult:
        """Apply an edit and write it down; edits that were undone are forgotten.

        Returns:
            The corrected result.

        Raises:
            InputError: If the edit does not fit the result, or gives an id that was used; nothing is written then.
            OutputError: If the log cannot be written, or another program has written into it.
        """
        _check_id(edit, self.original, self._ever)
        outcome = edit.apply(self.result)
        self._write_step(edit_to_json(edit))
        self._ever.append(edit)
        self._undone.clear()
        self._advance(edit, outcome)
        return outcome

    def undo(self) -> VideoResult:
        """Take back the last edit in force.

        Returns:
            The result as it was before.

        Raises:
            InputError: If there is none.
            OutputError: As in `append`.
        """
        if not self._edits:
            raise InputError("There is no edit to undo.")
        self._write_step({"edit": "undo"})
        self._undone.append(self._edits.pop())
        self._states.pop()
        return self.result

    def redo(self) -> VideoResult:
        """Bring back the edit that was undone last.

        Returns:
            The corrected result.

        Raises:
            InputError: If there is none.
            OutputError: As in `append`.
        """
        if not self._undone:
            raise InputError("There is no edit to redo.")
        outcome = self._undone[-1].apply(self.result)
        self._write_step({"edit": "redo"})
        self._advance(self._undone.pop(), outcome)
        return outcome

    def _advance(self, edit: Edit, outcome: VideoResult) -> None:
        self._edits.append(edit)
        self._states.append(outcome)

    def _write_step(self, step: dict[str, Any]) -> None:
        line = _line({"time": datetime.now(UTC).isoformat(timespec="seconds")} | step)
        if self._content is None:
            make_folder(self.path.parent)
            if self.path.exists():
                raise self._changed()
            header = _line({"format": _FORMAT, "version": _VERSION, "result": self._fingerprint.to_json()})
            write_text(self.path, header)
            size = len(header.encode())
            self._content = _Content((), size=size, whole=size, lacks_line_end=False)
        content = self._content
        end = self._add_bytes(content, (b"\n" if content.lacks_line_end else b"") + line.encode())
        self._content = replace(content, size=end, whole=end, lacks_line_end=False)

    def _add_bytes(self, content: _Content, data: bytes) -> int:
        """Append to the whole lines of the file and return its size; the data is on the disk then."""
        try:
            with self.path.open("r+b", buffering=0) as file:
                if file.seek(0, os.SEEK_END) != content.size:
                    raise self._changed()
                file.truncate(content.whole)  # Of a torn line nothing is kept.
                file.seek(content.whole)
                try:
                    if file.write(data) < len(data):  # A disk that is nearly full takes a part.
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(content.whole)
                    self._content = replace(content, size=content.whole)
                    raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return content.whole + len(data)

    def _changed(self) -> OutputError:
        return OutputError(f"'{self.path}' was changed by another program: open the result again.")


def replay(result: str | Path, log: str | Path) -> VideoResult:
    """Return a result with the edits of a log; neither file is changed.

    Args:
        result: The folder of the original result, or its JSON file.
        log: The log.

    Raises:
        InputError: If one of them is missing or damaged, or the log belongs to another result.
    """
    file, path = _result_file(result), require_file(log)
    original = load(file)
    content = _read(path, _fingerprint(file, original))
    corrected = original
    for line, edit in _in_force(content.steps, path, original)[0]:
        corrected = _applied(edit, corrected, path, line)
    return corrected


def _result_file(result: str | Path) -> Path:
    return Path(result) / RESULT_FILE if Path(result).is_dir() else Path(result)


def _fingerprint(file: Path, result: VideoResult) -> Fingerprint:
    """Return what a log belongs to; what people know a result by comes first, so that messages name it."""
    return Fingerprint(
        _KIND,
        video=result.name,
        frames=len(result),
        size=[result.width, result.height],
        tracks=len(result.tracks),
        content=content_stamp(file),
    )


def _read(path: Path, expected: Fingerprint) -> _Content:
    """Read a log of the expected result.

    Raises:
        InputError: If it is damaged, or belongs to another one.
    """
    try:
        if require_file(path).stat().st_size > _LARGEST_LOG:
            raise InputError(f"'{path}' is too large to be an edit log: is it the right file?")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}): check the path.") from None
    *lines, last = data.split(b"\n")
    # The last line without an end is torn, unless it is a whole one that was typed by hand.
    is_whole = bool(last.strip()) and _object(last) is not None
    if is_whole:
        lines.append(last)
    header = _object(lines[0]) if lines else None
    if header is None or header.get("format") != _FORMAT:
        raise InputError(f'\'{path}\' is no edit log: its first line does not say "format": "{_FORMAT}".')
    if header.get("version") != _VERSION:
        raise InputError(
            f"'{path}' is an edit log of version {shown(header.get('version'))}; this program reads {_VERSION}."
        )
    expected.require(
        Fingerprint.from_json(header.get("result"), where=path, remedy=_REMEDY), where=path, remedy=_REMEDY
    )
    steps = tuple(_steps(lines, path))
    whole = len(data) if is_whole else len(data) - len(last)
    return _Content(steps, size=len(data), whole=whole, lacks_line_end=is_whole)


def _steps(lines: Sequence[bytes], path: Path) -> Iterator[tuple[int, Edit | str]]:
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        entry = _object(line)
        if entry is None:
            raise InputError(f"Line {number} of '{path}' is damaged: it holds no JSON object.")
        if entry.get("edit") in ("undo", "redo"):
            yield number, str(entry["edit"])
            continue
        try:
            yield number, edit_from_json(entry)
        except InputError as error:
            raise InputError(f"Line {number} of '{path}' is no edit: {error}") from None


def _in_force(
    steps: Sequence[tuple[int, Edit | str]], path: Path, original: VideoResult
) -> tuple[list[tuple[int, Edit]], list[tuple[int, Edit]]]:
    """Return the edits in force in their order, and those that redo would bring back, the next one last."""
    done: list[tuple[int, Edit]] = []
    undone: list[tuple[int, Edit]] = []
    used = {track.id for track in original.tracks}
    for line, step in steps:
        if isinstance(step, str):
            source, target = (done, undone) if step == "undo" else (undone, done)
            if not source:
                raise InputError(f"Line {line} of '{path}' cannot be applied: there is no edit to {step}.")
            target.append(source.pop())
            continue
        if isinstance(step, SplitTrack):
            if step.new_id in used:
                raise InputError(f"Line {line} of '{path}' cannot be applied: track id {step.new_id} was used before.")
            used.add(step.new_id)
        undone.clear()
        done.append((line, step))
    return done, undone


def _applied(edit: Edit, result: VideoResult, path: Path, line: int) -> VideoResult:
    try:
        return edit.apply(result)
    except InputError as error:
        raise InputError(f"Line {line} of '{path}' cannot be applied: {error}") from None


def _check_id(edit: Edit, original: VideoResult, ever: Sequence[Edit]) -> None:
    """Refuse a new id that some track has or had, be it deleted, merged or undone."""
    if not isinstance(edit, SplitTrack):
        return
    used = {track.id for track in original.tracks} | {one.new_id for one in ever if isinstance(one, SplitTrack)}
    if edit.new_id in used:
        raise InputError(f"Track id {edit.new_id} was used before: {next_track_id(original, ever)} is free.")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
