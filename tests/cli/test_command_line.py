import sys
from pathlib import Path
from typing import Literal

import pytest
from cyclopts import App, Parameter

from genvis.cli.common.option_types import Out, Words
from genvis.cli.main import VERBS, command_line, main, run
from genvis.errors import InputError

calls = []


def verb(
    sources: list[str],
    *,
    out: Out = Path("out"),
    memory_clips: int | None = None,
    resume: bool = False,
    classes: Words | None = None,
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


@pytest.fixture
def app():
    app = App(name="test", default_parameter=Parameter(negative=()))
    app.command(verb, name="do")
    return app


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b"], (["a", "b"], Path("out"), None, False, None, "a")),
        (["a", "-o", "x y"], (["a"], Path("x y"), None, False, None, "a")),
        (["--resume", "a", "--memory-clips", "3"], (["a"], Path("out"), 3, True, None, "a")),
        (["a", "--memory_clips=3"], (["a"], Path("out"), 3, False, None, "a")),
        (["a", "--classes", "cat,giant panda"], (["a"], Path("out"), None, False, ["cat", "giant panda"], "a")),
        (["a", "--classes", "cat", "--classes", "o'neill"], (["a"], Path("out"), None, False, ["cat", "o'neill"], "a")),
        (["--kind=b", "--resume", "--", "-"], (["-"], Path("out"), None, True, None, "b")),
    ],
)
def test_options_as_people_type_them(app, words, expected):
    assert run(app, ["do", *words]) == 7
    assert calls[-1] == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "--kind", "c"], 'Invalid value "c" for --kind'),
        (["a", "--memory-clips", "many"], 'unable to convert "many" into int'),
        ([], "requires an argument"),
        (["a", "--memory-clip", "1"], "Did you mean --memory-clips?"),
    ],
)
def test_wrong_words_are_one_sentence(app, words, sentence):
    with pytest.raises(InputError) as wrong:
        run(app, ["do", *words])
    assert sentence in str(wrong.value)


def test_misspelled_verbs_options_and_outputs_get_a_suggestion(capsys, tmp_path):
    (tmp_path / "a.mp4").touch()
    for words, meant in (
        (["predit", "a.mp4"], '"predict"'),
        (["predict", str(tmp_path / "a.mp4"), "--resolutoin", "3"], "--resolution"),
        (["predict", str(tmp_path / "a.mp4"), "--outputs", "youtube-vis,video"], "'youtube_vis'"),
    ):
        assert main(words) == 2
        assert f"Did you mean {meant}?" in capsys.readouterr().err


def test_help_and_version(capsys):
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    printed = capsys.readouterr().out
    assert all(summary.split()[0] in printed and name in printed for name, (_, summary) in VERBS.items())


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: genvis {name}")


def test_help_imports_no_verb():
    for name in list(sys.modules):
        if name.startswith("genvis.cli.") and name not in ("genvis.cli.main", "genvis.cli.common.exit_status"):
            del sys.modules[name]
    run(command_line(), ["--help"])
    assert "genvis.cli.predict" not in sys.modules


def test_the_help_of_predict_is_grouped_and_names_defaults_that_say_something(capsys):
    assert main(["predict", "--help"]) == 0
    shown = capsys.readouterr().out
    panels = ("Input and output", "Selection of objects", "How the model is run", "Cameras and streams")
    assert [shown.index(f"─ {panel} ─") for panel in panels] == sorted(shown.index(f"─ {panel} ─") for panel in panels)
    assert "[default: out]" in shown
    assert "[default: None]" not in shown
    assert "[default: False]" not in shown
