"""Video in and out: reading any source, writing annotated video, drawing instances."""

from genvis.video.contact_sheet import ContactSheet
from genvis.video.drawing import DrawingStyle, draw_instances
from genvis.video.palette import identity_color
from genvis.video.prefetch import prefetch
from genvis.video.reading import NamedSource, Source, expand_sources, open_source
from genvis.video.source import Frame, FrameRange, FrameSource, RGBImage
from genvis.video.writing import VideoWriter

__all__ = [
    "ContactSheet",
    "DrawingStyle",
    "Frame",
    "FrameRange",
    "FrameSource",
    "NamedSource",
    "RGBImage",
    "Source",
    "VideoWriter",
    "draw_instances",
    "expand_sources",
    "identity_color",
    "open_source",
    "prefetch",
]
