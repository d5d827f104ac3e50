"""What `import genvis` and the command line load, and what the package offers."""

import subprocess
import sys

import pytest

import genvis

HEAVY = ("torch", "transformers", "torchvision", "numpy", "scipy", "av", "lightning")


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_no_heavy_library():
    loaded = modules_after("import genvis")
    assert "genvis" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["no-such-verb"]])
def test_the_command_line_answers_without_a_heavy_library(words):
    assert not modules_after(f"from genvis.cli.main import main; main({words})") & set(HEAVY)


def test_the_help_of_convert_does_not_load_torch():
    code = "from genvis.cli.main import main\ntry:\n    main(['convert', '--help'])\nexcept SystemExit:\n    pass"
    assert "torch" not in modules_after(code)


def test_every_public_name_is_there():
    for name in genvis.__all__:
        assert getattr(genvis, name) is not None
    assert set(genvis.__all__) <= set(dir(genvis))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        genvis.nothing  # noqa: B018
