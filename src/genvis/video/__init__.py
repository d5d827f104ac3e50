"""Video in and out: reading any source, writing annotated video, drawing instances."""

from genvis.video.drawing.contact_sheet import ContactSheet
from genvis.video.drawing.instances import DrawingStyle, draw_instances
from genvis.video.drawing.palette import track_color
from genvis.video.sources.opening import NamedSource, Source, expand_sources, open_source
from genvis.video.sources.prefetch import prefetch
from genvis.video.sources.source import Frame, FrameRange, FrameSource, RGBImage
from genvis.video.writing.video_writer import VideoWriter

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
    "open_source",
    "prefetch",
    "track_color",
]
