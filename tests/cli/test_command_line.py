import shlex
import subprocess
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


def test_help_imports_no_verb(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("genvis.cli.") and name not in ("genvis.cli.main", "genvis.cli.common.exit_status"):
            monkeypatch.delitem(sys.modules, name)
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


def test_completion_is_installed_for_a_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    script = tmp_path / "genvis.bash"
    assert main(["--install-completion", "--shell", "bash", "-o", str(script)]) == 0
    capsys.readouterr()
    for words, meant in (
        ("gen", ""),
        ("genvis pre", "predict"),
        ("genvis data sp", "split"),
        ("genvis predict --res", "--resume"),
    ):
        offered = completions(script, words)
        assert meant in offered


def completions(script, words):
    """What bash offers after some words, the last of which is being typed."""
    parts = words.split()
    code = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({words}); COMP_CWORD={len(parts) - 1}; "
        f"COMP_LINE={shlex.quote(words)}; COMP_POINT={len(words)}; "
        "function=$(complete -p genvis | sed -E 's/.*-F ([^ ]+).*/\\1/'); "
        '$function genvis "${COMP_WORDS[$COMP_CWORD]}" genvis; printf \'%s\\n\' "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=script.parent)
    return [word.strip() for word in done.stdout.splitlines()] + [""]


@pytest.mark.parametrize("verb", [*sorted(VERBS), "data convert from-cvat", "data prepare", "models show"])
def test_help_loads_no_heavy_library(verb):
    """The whole of `--help` takes a fraction of a second because these are imported where they are used."""
    code = (
        "import sys\nfrom genvis.cli.main import main\n"
        f"try:\n    main({[*verb.split(), '--help']!r})\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & HEAVY
    assert len(loaded) < MOST_MODULES


# What takes 0.05 s or more to import.
HEAVY = {
    "torch", "torchvision", "transformers", "numpy", "scipy", "av", "PIL", "cv2", "pycocotools", "supervision",
    "pandas", "lightning", "huggingface_hub", "httpx", "jsonargparse", "matplotlib", "trackeval", "jinja2",
}  # fmt: skip
MOST_MODULES = 250
