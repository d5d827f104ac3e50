"""One frame of a scene: pixels, and to the pixel what is seen of whom."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genvis.data.sprites.compositing import OPAQUE, blend, cast_shadow, place
from genvis.data.sprites.scene import Scene

_SHADOW = 0.32


class RenderedFrame(NamedTuple):
    """A frame and its exact annotation.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        owners: (H, W) uint8: 0 for the background and the scenery, n + 1 where object n is seen.
        whole_areas: (N,) pixels that each object would show in this frame if nothing hid it.
    """

    image: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    whole_areas: NDArray[np.int64]


def render_frame(scene: Scene, index: int) -> RenderedFrame:
    """Draw one frame of a scene, from the background to the front.

    A pixel belongs to the foremost sprite that covers at least half of it.
    """
    import cv2

    height, width, motion = scene.height, scene.width, scene.motion
    image = scene.background.frame(index, height=height, width=width)
    owners = np.zeros((height, width), dtype=np.uint8)
    whole_areas = np.zeros(len(scene.looks), dtype=np.int64)
    for sprite in motion.order[index].tolist():
        size = float(motion.sizes[index, sprite])
        patch = place(
            scene.looks[sprite],
            x=float(motion.centres[index, sprite, 0]),
            y=float(motion.centres[index, sprite, 1]),
            size=size,
            bounds=(height, width),
            angle=float(motion.angles[index, sprite]),
            heading=float(motion.headings[index, sprite]),
            light=float(motion.light[index, sprite]),
        )
        if patch is None:
            continue
        cast_shadow(image, patch, size=size, strength=_SHADOW)
        blend(image, patch)
        solid = patch.alpha >= OPAQUE
        owners[patch.area][solid] = sprite + 1
        whole_areas[sprite] = np.count_nonzero(solid)
    corner_x, corner_y = scene.background.corners[index]
    for prop in scene.foreground:
        patch = place(
            prop.look,
            x=prop.x - float(corner_x),
            y=prop.y - float(corner_y),
            size=prop.size,
            bounds=(height, width),
            heading=1.0 if prop.flipped else -1.0,
        )
        if patch is not None:
            blend(image, patch)
            owners[patch.area][patch.alpha >= OPAQUE] = 0
    if not np.allclose(scene.light[index], 1.0):
        image = np.asarray(cv2.transform(image, np.diag(scene.light[index]).astype(np.float32)), dtype=np.uint8)
    return RenderedFrame(image, owners, whole_areas)


def render(scene: Scene, frames: Iterable[int] | None = None) -> Iterator[RenderedFrame]:
    """Draw frames of a scene one by one; nothing but the current frame is held.

    Args:
        scene: The scene.
        frames: The frame numbers, in any order; None for all.
    """
    for index in range(scene.length) if frames is None else frames:
        yield render_frame(scene, index)
