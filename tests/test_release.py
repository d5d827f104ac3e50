"""A release: what wheel and sdist contain, one version everywhere, and workflows that do what `.ci/run` does."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import genvis

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_BYTES = {
    "wheel": 16_000_000,
    "sdist": 60_000_000,
}  # Unpacked; the packed wheel has 9 MB, most of it the bundled model.


def contents(kind: str) -> dict[str, int]:
    """The files of a distribution and their sizes, without building it."""
    builder = {"wheel": WheelBuilder, "sdist": SdistBuilder}[kind](str(ROOT))
    return {
        file.distribution_path.replace("\\", "/"): Path(file.path).stat().st_size
        for file in builder.recurse_included_files()
    }


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_distribution_is_small_and_holds_no_leftovers(kind: str) -> None:
    files = contents(kind)
    assert sum(files.values()) < MOST_BYTES[kind]
    leftovers = [name for name in files if re.search(r"__pycache__|\.pyc$|\.partial|\.ckpt$|\.part$|/\.", "/" + name)]
    assert [name for name in leftovers if not name.startswith((".ci/", ".github/", ".pre-commit"))] == []


def test_the_wheel_holds_everything_that_is_read_at_run_time() -> None:
    source = ROOT / "src"
    needed = {
        path.relative_to(source).as_posix()
        for path in (source / "genvis").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = set(contents("wheel"))
    assert needed == files
    kinds = {Path(name).suffix for name in files}
    assert {".py", ".yaml", ".json", ".j2", ".css", ".mp4", ".safetensors", ".typed", ""} <= kinds | {""}
    assert "genvis/py.typed" in files


def test_the_sdist_can_be_tested() -> None:
    files = set(contents("sdist"))
    for name in ("README.md", "LICENSE", "mkdocs.yml", "CITATION.cff", "SECURITY.md"):
        assert name in files
    for folder in ("src/genvis/", "tests/", "docs/", "examples/", "benchmarks/", "experiments/", ".ci/"):
        assert any(name.startswith(folder) for name in files), folder


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert genvis.__version__ == PROJECT["version"] == citation["version"]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert any(heading.split()[0] in ("Unreleased", PROJECT["version"]) for heading in headings[:2])


def test_workflows_do_what_ci_does() -> None:
    folder = ROOT / ".github" / "workflows"
    steps = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"] for path in folder.glob("*.yml")}
    commands = [
        step["run"] for jobs in steps.values() for job in jobs.values() for step in job["steps"] if "run" in step
    ]
    for script in (".ci/run", ".ci/oldest"):
        assert script in commands
        assert (ROOT / script).stat().st_mode & 0o100, f"{script} is not executable"
    systems = steps["tests"]["systems"]["strategy"]["matrix"]
    assert {"ubuntu-latest", "macos-latest", "windows-latest"} <= set(systems["system"])


def test_forms_and_hooks_are_yaml_and_the_extras_of_containers_exist() -> None:
    for path in (*(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"), ROOT / ".pre-commit-config.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8")), path.name
    for path in (ROOT / "docker").glob("Dockerfile.*"):
        extras = re.findall(r"/src\[([\w,]+)\]", path.read_text(encoding="utf-8"))
        assert extras, path.name
        assert set(extras[0].split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_oldest_python_is_tested() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert f'python-version: "{oldest}"' in text
    for line in PROJECT["classifiers"]:
        if re.search(r":: 3\.\d+$", line):
            assert f'"{line.rpartition(" ")[2]}"' in text, line
