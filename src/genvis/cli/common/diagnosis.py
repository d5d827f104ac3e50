"""Diagnosis of an installation and its machine: facts by section, and problems with their remedies.

Every probe survives a library that is missing or broken: that is what a diagnosis is for.
"""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from genvis import __version__

_GIGABYTE = 10**9
_LEAST_DISK = 2 * _GIGABYTE
_LEAST_MEMORY = 4 * _GIGABYTE
_LEAST_SHARED = 512 * 10**6
_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Section:
    """Facts of one kind, by name, in words.

    Attributes:
        title: Kind of the facts.
        facts: Names and values, both for people.
    """

    title: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, with its remedy.

    Attributes:
        sentence: What is wrong, and what to do about it.
        is_error: Whether it keeps genvis from working; else it costs speed or a single feature.
    """

    sentence: str
    is_error: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All facts, and all problems.

    Attributes:
        sections: In the order in which people read them.
        problems: Errors first.
    """

    sections: tuple[Section, ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as a dictionary ready for JSON."""
        return {
            "facts": {section.title.lower(): section.facts for section in self.sections},
            "problems": [asdict(problem) for problem in self.problems],
        }


@dataclass
class _Notes:
    problems: list[Problem] = field(default_factory=list)

    def error(self, sentence: str) -> None:
        self.problems.append(Problem(sentence, is_error=True))

    def warn(self, sentence: str) -> None:
        self.problems.append(Problem(sentence))


def diagnose() -> Diagnosis:
    """Look at versions, devices, video, extras, the cache and the machine; nothing is fetched or written."""
    notes = _Notes()
    probes: tuple[tuple[str, Callable[[_Notes], dict[str, str]]], ...] = (
        ("Versions", _versions),
        ("Machine", _machine),
        ("Devices", _devices),
        ("Video", _video),
        ("Extras", _extras),
        ("Cache", _cache),
    )
    sections = tuple(Section(title, probe(notes)) for title, probe in probes)
    return Diagnosis(sections, tuple(sorted(notes.problems, key=lambda problem: not problem.is_error)))


def _versions(notes: _Notes) -> dict[str, str]:
    facts = {"genvis": f"{__version__} in {_short(Path(__file__).parents[2])}", "Python": _python()}
    installed = _version("genvis")
    if installed is None:
        notes.warn("genvis runs from its source without being installed: run `pip install .` there.")
    elif installed != __version__:
        notes.warn(f"genvis {installed} is installed, but {__version__} runs: run `pip install .` once more.")
    for requirement in _requirements():
        if _extras_of(requirement):
            continue
        found = _version(requirement.name)
        facts[requirement.name] = found or "missing"
        remedy = f"run `pip install '{requirement.name}{requirement.specifier}'`."
        if found is None:
            notes.error(f"{requirement.name} is not installed: {remedy}")
        elif not requirement.specifier.contains(found, prereleases=True):
            notes.error(f"{requirement.name} is {found}, but genvis needs {requirement.specifier}: {remedy}")
    return facts


def _python() -> str:
    return f"{platform.python_version()} ({platform.python_implementation()}, {_short(Path(sys.executable))})"


def _machine(notes: _Notes) -> dict[str, str]:
    facts = {"system": platform.platform(terse=True), "processor": f"{_cores()} cores, {platform.machine()}"}
    try:
        import psutil
    except ImportError:  # Reported as missing already.
        pass
    else:
        memory = psutil.virtual_memory()
        facts["memory"] = f"{_gigabytes(memory.total)}, {_gigabytes(memory.available)} free"
        if memory.total < _LEAST_MEMORY:
            notes.warn(
                f"This machine has {_gigabytes(memory.total)} of memory: take a small model and --resolution 288."
            )
    temporary = Path(tempfile.gettempdir())
    facts["temporary files"] = f"{_short(temporary)}, {_gigabytes(shutil.disk_usage(temporary).free)} free"
    _check_disk(temporary, notes, "set TMPDIR to a folder with more space")
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        facts["shared memory"] = _gigabytes(size)
        if size < _LEAST_SHARED:
            notes.warn(
                f"/dev/shm has {_gigabytes(size)}: train with --data.workers 0, or start the container with "
                "--shm-size 2g."
            )
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    if encoding not in ("utf8", ""):
        notes.warn(f"The terminal's encoding is {encoding}, so that signs may be missing: set PYTHONUTF8=1.")
    return facts


def _devices(notes: _Notes) -> dict[str, str]:
    try:
        import torch
    except Exception as error:  # A broken library fails in many ways, not only with ImportError.
        notes.error(f"PyTorch cannot be imported ({_line(error)}): install it again, `pip install --force torch`.")
        return {"PyTorch": "cannot be imported"}
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPU, no CUDA"
    facts = {"PyTorch": f"{torch.__version__} ({build})", "cpu": f"{torch.get_num_threads()} threads"}
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        names.append("mps")
    for name in names:
        facts[name] = _device(name, notes)
    has_driver = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").is_dir()
    if has_driver and not names:
        why = "this PyTorch has no CUDA" if torch.version.cuda is None else "its driver does not fit this PyTorch"
        notes.warn(f"There is an NVIDIA GPU, but {why}: see https://pytorch.org/get-started/locally for the right one.")
    return facts


def _device(name: str, notes: _Notes) -> str:
    """Return a device in words, after a small product on it."""
    import torch

    try:
        matrix = torch.ones(8, 8, device=name)
        works = float((matrix @ matrix)[0, 0]) == 8
    except RuntimeError as error:
        notes.error(f"The device {name} does not work ({_line(error)}): use --device cpu, or update its driver.")
        return "does not work"
    if not works:
        notes.error(f"The device {name} multiplies wrongly: use --device cpu.")
    if name == "mps":
        return "Apple GPU"
    properties = torch.cuda.get_device_properties(name)
    return f"{properties.name}, {_gigabytes(properties.total_memory)}"


def _video(notes: _Notes) -> dict[str, str]:
    try:
        import av
    except Exception as error:
        notes.error(f"PyAV cannot be imported ({_line(error)}): install it again, `pip install --force av`.")
        return {"PyAV": "cannot be imported"}
    facts = {"PyAV": av.__version__, "FFmpeg": _ffmpeg(av.library_versions)}
    missing = [name for name in _DECODERS if name not in av.codecs_available]
    facts["reads"] = ", ".join(name for name in _DECODERS if name not in missing)
    if missing:
        notes.warn(
            f"FFmpeg lacks the decoders {', '.join(missing)}: install PyAV's own wheel, `pip install --force av`."
        )
    encoders = [name for name in ("libx264", "h264_videotoolbox", "libopenh264") if name in av.codecs_available]
    facts["writes"] = encoders[0] if encoders else "no H.264"
    if not encoders:
        notes.error("FFmpeg has no encoder of H.264: install PyAV's own wheel, `pip install --force av`.")
    return facts


def _ffmpeg(versions: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(
        f"{name} {'.'.join(map(str, number))}" for name, number in versions.items() if name != "libavdevice"
    )


def _extras(_notes: _Notes) -> dict[str, str]:
    libraries: dict[str, list[str]] = {}
    for requirement in _requirements():
        for extra in _extras_of(requirement):
            libraries.setdefault(extra, []).append(requirement.name)
    facts = {}
    for extra, names in sorted(libraries.items()):
        missing = [name for name in names if name != "genvis" and _version(name) is None]
        facts[extra] = f"missing: {', '.join(missing)}; pip install 'genvis[{extra}]'" if missing else "installed"
    return facts


def _cache(notes: _Notes) -> dict[str, str]:
    if find_spec("huggingface_hub") is None:
        return {}
    from genvis.checkpoints.hub import cached_snapshot, hub_cache
    from genvis.checkpoints.registry import registry

    folder = hub_cache()
    cached = [entry.name for entry in registry() if entry.hub_id and cached_snapshot(entry.hub_id)]
    facts = {"Hub cache": _short(folder), "models in it": ", ".join(cached) or "none yet"}
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    facts["free"] = _gigabytes(shutil.disk_usage(existing).free)
    _check_disk(existing, notes, "set HF_HOME to a folder with more space")
    if not os.access(existing, os.W_OK):
        notes.warn(
            f"'{_short(existing)}' is not writable, so that models cannot be fetched: set HF_HOME to another folder."
        )
    switches = [
        name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name, "") not in ("", "0")
    ]
    facts["network"] = f"switched off by {' and '.join(switches)}" if switches else "used when a model is fetched"
    return facts


def _check_disk(folder: Path, notes: _Notes, remedy: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < _LEAST_DISK:
        notes.warn(f"'{_short(folder)}' has {_gigabytes(free)} free: {remedy}.")


def _requirements() -> list[Requirement]:
    """Return what genvis says it needs; nothing if it is not installed."""
    try:
        return [Requirement(line) for line in requires("genvis") or []]
    except PackageNotFoundError:
        return []


def _extras_of(requirement: Requirement) -> list[str]:
    return _EXTRA.findall(str(requirement.marker)) if requirement.marker else []


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _gigabytes(size: int) -> str:
    return f"{size / _GIGABYTE:.1f} GB"


def _short(path: Path) -> str:
    """Return a path with ~ for the home folder, which is nobody's business in a bug report."""
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
