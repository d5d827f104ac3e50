"""Video in and out: reading any source, writing annotated video, drawing instances."""

from genvis.video.prefetch import prefetch
from genvis.video.reading import NamedSource, Source, expand_sources, open_source
from genvis.video.source import Frame, FrameRange, FrameSource, RGBImage

__all__ = [
    "Frame",
    "FrameRange",
    "FrameSource",
    "NamedSource",
    "RGBImage",
    "Source",
    "expand_sources",
    "open_source",
    "prefetch",
]
