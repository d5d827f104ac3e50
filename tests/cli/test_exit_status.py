"""Errors, closed pipes and full disks at the command line, as a shell sees them."""

import os
import subprocess
import sys

import pytest

from genvis.cli.common.exit_status import READER_GONE, guarded
from genvis.cli.main import main
from genvis.errors import InputError, OutputError, TrainingDiverged

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("no x."), 2), (OutputError("no x."), 2), (TrainingDiverged("no x."), 1)],
)
def test_an_error_of_ours_is_one_sentence(error, status, capsys):
    assert guarded(raising(error), program="genvis train") == status
    assert capsys.readouterr().err == "genvis train: error: no x.\n"


def test_an_interruption_is_said(capsys):
    assert guarded(raising(KeyboardInterrupt()), program="genvis train") == 130
    assert capsys.readouterr().err == "genvis train: interrupted.\n"


def test_what_the_system_refuses_is_named(capsys):
    assert guarded(raising(PermissionError(13, "denied", "/a/b.json")), program="genvis") == 2
    assert capsys.readouterr().err.startswith("genvis: error: Cannot use '/a/b.json': it is not writable")
    assert guarded(raising(OSError(28, "full")), program="genvis") == 2
    assert "An output cannot be written: the disk is full" in capsys.readouterr().err


def test_mistakes_of_the_program_keep_their_traceback():
    with pytest.raises(FileNotFoundError):
        guarded(raising(FileNotFoundError(2, "no such file", "x")), program="genvis")
    with pytest.raises(ZeroDivisionError):
        guarded(raising(ZeroDivisionError()), program="genvis")


def test_an_unknown_verb_is_wrong_input(capsys):
    assert main(["fly"]) == 2
    assert 'genvis: error: Unknown command "fly". Available commands: demo, predict' in capsys.readouterr().err


def run_genvis(words, **streams):
    return subprocess.run([sys.executable, "-m", "genvis", *words], check=False, text=True, timeout=60, **streams)


@pytest.mark.parametrize("words", [["--help"], ["data", "--help"]])
def test_a_closed_pipe_is_quiet(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = run_genvis(words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == READER_GONE


@needs_dev_full
@pytest.mark.parametrize("words", [["--help"], ["data", "--help"]])
def test_a_full_standard_output_is_one_sentence(words):
    with open("/dev/full", "w") as full:
        done = run_genvis(words, stdout=full, stderr=subprocess.PIPE)
    assert "error: An output cannot be written: the disk is full: free some space" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2


@needs_dev_full
def test_a_full_error_stream_keeps_the_status():
    with open("/dev/full", "w") as full:
        assert run_genvis(["fly"], stdout=subprocess.DEVNULL, stderr=full).returncode == 2


def test_too_little_memory_is_said(capsys):
    assert guarded(raising(MemoryError()), program="genvis data") == 1
    assert "not enough memory" in capsys.readouterr().err
