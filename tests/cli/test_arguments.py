from pathlib import Path
from typing import Literal

import pytest

from genvis.cli.arguments import run_verb, spelled
from genvis.cli.main import VERBS, main

calls = []


def verb(
    sources: list[str],
    *,
    out: Path = Path("out"),
    memory_clips: int | None = None,
    resume: bool = False,
    classes: list[str] | None = None,
    kind: Literal["a", "b"] = "a",
) -> int:
    """Do it.

    Args:
        sources: What.
        out: Where.
        memory_clips: How many.
        resume: Whether.
        classes: Which.
        kind: Of two.
    """
    calls.append((sources, out, memory_clips, resume, classes, kind))
    return 7


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b"], (["a", "b"], Path("out"), None, False, None, "a")),
        (["a", "-o", "x y"], (["a"], Path("x y"), None, False, None, "a")),
        (["--resume", "a", "--memory-clips", "3"], (["a"], Path("out"), 3, True, None, "a")),
        (["a", "--memory_clips=3", "--resume", "false"], (["a"], Path("out"), 3, False, None, "a")),
        (["a", "--classes", "cat,giant panda"], (["a"], Path("out"), None, False, ["cat", "giant panda"], "a")),
        (["--kind=b", "--resume", "--", "-"], (["-"], Path("out"), None, True, None, "b")),
    ],
)
def test_what_people_type(words, expected):
    assert run_verb(verb, words, prog="test") == 7
    assert calls[-1] == expected


def test_an_apostrophe_in_a_list_survives():
    assert spelled(["--classes", "cat,o'neill"], verb) == ["""--classes=['cat', "o'neill"]"""]


@pytest.mark.parametrize("words", [["a", "--kind", "c"], ["a", "--memory-clips", "many"], [], ["a", "--unknown", "1"]])
def test_wrong_words_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        run_verb(verb, words, prog="test")
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err


def test_sub_verbs_are_listed(capsys):
    assert run_verb({"do": verb}, ["--help"], prog="test") == 0
    assert "do  Do it." in capsys.readouterr().out
    assert run_verb({"do": verb}, ["dont"], prog="test") == 2
    assert "there is no 'dont'" in capsys.readouterr().err


def test_help_version_and_unknown_verbs(capsys):
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    assert main(["dance"]) == 2
    assert "choose from demo, predict" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_explains_itself(name, capsys):
    try:
        status = main([name, "--help"])
    except SystemExit as stop:
        status = stop.code
    assert status == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: genvis {name}")
    assert "See" not in text.splitlines()[0]
