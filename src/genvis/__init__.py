"""GenVIS: find, segment and track every object of a video, online or semi-online.

Names are imported on first use, so that ``import genvis`` takes a fraction of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOME = {
    "GenVIS": "genvis.model.genvis",
    "GenVISConfig": "genvis.model.config",
    "GenVISError": "genvis.errors",
    "InputError": "genvis.errors",
    "OutputError": "genvis.errors",
    "SourceLost": "genvis.errors",
    "TrainingDiverged": "genvis.errors",
    "VideoSegmenter": "genvis.inference.segmenter",
    "VideoResult": "genvis.results.types",
    "FrameResult": "genvis.results.types",
    "load": "genvis.checkpoints.load",
}

if TYPE_CHECKING:
    from genvis.checkpoints.load import load as load
    from genvis.errors import GenVISError as GenVISError
    from genvis.errors import InputError as InputError
    from genvis.errors import OutputError as OutputError
    from genvis.errors import SourceLost as SourceLost
    from genvis.errors import TrainingDiverged as TrainingDiverged
    from genvis.inference.segmenter import VideoSegmenter as VideoSegmenter
    from genvis.model.config import GenVISConfig as GenVISConfig
    from genvis.model.genvis import GenVIS as GenVIS
    from genvis.results.types import FrameResult as FrameResult
    from genvis.results.types import VideoResult as VideoResult

__all__ = ["__version__", *_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import a public name from its home module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'genvis' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
