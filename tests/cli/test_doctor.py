"""`genvis doctor`: facts, and what is wrong, each with its remedy."""

import builtins
import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from genvis.cli.common import diagnosis
from genvis.cli.main import main


@pytest.fixture(autouse=True)
def installed_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the tests may have been made from an earlier version of pyproject.toml."""
    lines = ("numpy>=1.26", "av>=18", "lightning>=2.5; extra == 'train'", "no-such-library>=1; extra == 'dream'")
    monkeypatch.setattr(diagnosis, "_requirements", lambda: [Requirement(line) for line in lines])


def sentences() -> list[str]:
    return [problem.sentence for problem in diagnosis.diagnose().problems]


def test_people_see_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    shown = capsys.readouterr().out
    for word in ("Versions", "numpy", "Machine", "Devices", "cpu", "Video", "h264", "Extras", "Cache"):
        assert word in shown


def test_programs_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert content["facts"]["extras"] == {
        "dream": "missing: no-such-library; pip install 'genvis[dream]'",
        "train": "installed",
    }
    assert content["facts"]["devices"]["cpu"]
    assert isinstance(content["problems"], list)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no-such-library>=2", "no-such-library is not installed: run `pip install 'no-such-library>=2'`."),
        ("numpy>=9999", "genvis needs >=9999: run `pip install 'numpy>=9999'`."),
    ],
)
def test_a_requirement_that_is_not_met_is_an_error(line: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_requirements", lambda: [Requirement(line)])
    found = [problem for problem in diagnosis.diagnose().problems if problem.sentence.endswith(said)]
    assert [problem.is_error for problem in found] == [True]
    assert main(["doctor"]) == 1


@pytest.mark.parametrize("library", ["torch", "av"])
def test_a_library_that_cannot_be_imported_does_not_end_the_diagnosis(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_import = builtins.__import__

    def broken(name: str, *rest: object) -> object:
        if name == library:
            raise OSError("libdamaged.so: cannot open shared object file")
        return true_import(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", broken)
    assert any("cannot be imported (libdamaged.so" in sentence for sentence in sentences())


def test_little_disk_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_LEAST_DISK", 1 << 62)
    assert any("free: set TMPDIR to a folder with more space." in sentence for sentence in sentences())


def test_a_gpu_that_this_pytorch_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert any(sentence.startswith("There is an NVIDIA GPU, but") for sentence in sentences())


def test_the_home_folder_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "me" / "hub"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    facts = {section.title: section.facts for section in diagnosis.diagnose().sections}
    assert facts["Cache"]["Hub cache"] == str(Path("~") / "hub")


def test_extras_are_shown_as_they_are_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets are no markup of the terminal's library."""
    monkeypatch.setenv("COLUMNS", "200")
    main(["doctor"])
    assert "pip install 'genvis[dream]'" in capsys.readouterr().out
