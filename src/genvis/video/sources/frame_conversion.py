"""Decoded frames as upright RGB pictures: display matrix applied, transparency laid on white."""

from collections.abc import Callable, Mapping
from typing import cast

import av.error
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from genvis.video.sources.source import RGBImage

# PyAV's types leave out the argument.
_side_data_of = cast(Callable[[VideoFrame], Mapping[Type, SideData]], SideDataContainer)


def upright(frame: VideoFrame, reformatter: VideoReformatter) -> RGBImage | None:
    """Convert a decoded frame to (H, W, 3) uint8 RGB, rotated and mirrored as its display matrix says.

    Args:
        frame: The frame; what is transparent is laid on white, as in still images.
        reformatter: One for all frames of a pass: it holds tables, and a thread for each processor.

    Returns:
        The image, or None if FFmpeg cannot convert it.
    """
    is_transparent = any(component.is_alpha for component in frame.format.components)
    try:
        converted = reformatter.reformat(frame, format="rgba" if is_transparent else "rgb24")
    except av.error.FFmpegError:
        return None
    pixels: RGBImage = np.asarray(converted.to_ndarray(), np.uint8)
    image = on_white(pixels) if is_transparent else pixels
    swaps, mirrors_x, mirrors_y = orientation(frame)
    if swaps:
        image = image.transpose(1, 0, 2)
    image = image[:: -1 if mirrors_y else 1, :: -1 if mirrors_x else 1]
    return np.ascontiguousarray(image)


def on_white(pixels: RGBImage) -> RGBImage:
    """Lay (H, W, 4) uint8 RGBA on white; returns (H, W, 3) uint8."""
    color, opacity = pixels[..., :3], pixels[..., 3:]
    if opacity.min() == 255:
        return color
    return 255 - ((255 - color).astype(np.uint16) * opacity // 255).astype(np.uint8)


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Read the display matrix, to the nearest right angle.

    The matrix (a b; c d) takes pixel (x, y) to (a·x + c·y, b·x + d·y).

    Returns:
        Whether x and y swap, and whether the result is then mirrored in x and in y.
    """
    try:
        # `frame.side_data` would tie the frame into a reference cycle: its memory would wait for the garbage collector.
        matrix = _side_data_of(frame)[Type.DISPLAYMATRIX]
    except KeyError:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
