"""Outlines of masks: polygons that cover the very pixels, with holes, and with fewer and evenly spaced corners."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.masks import RLEMask

Points = NDArray[np.float64]
"""(P, 2) corners of a closed polygon, x and y in pixels; a pixel reaches from its number to the next."""

# Each pixel becomes a block of this many, so that a line through the outermost ones lies within the pixel.
_ZOOM = 3
_ALL_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class MaskPart:
    """One connected part of a mask; pixels that touch at a corner are connected.

    Attributes:
        mask: The part alone, in the frame.
        outline: Its outline, without its holes.
        holes: The outlines of its holes.
        area: Its pixels.
    """

    mask: RLEMask
    outline: Points
    holes: tuple[Points, ...]
    area: int

    def polygon(self, corners: int | None = None) -> Points:
        """Return one polygon of the part; a hole is joined to the outline by a line there and back.

        Args:
            corners: Number of evenly spaced corners of the outline; holes have a quarter of it. None keeps every pixel.
        """
        polygon = self.outline if corners is None else evenly_spaced(self.outline, corners)
        for hole in self.holes:
            polygon = _joined(polygon, hole if corners is None else evenly_spaced(hole, corners // 4))
        return polygon


def mask_parts(mask: NDArray[np.bool_], *, spare: float = 0.0) -> list[MaskPart]:
    """Return the connected parts of a mask, the largest first.

    Args:
        mask: (H, W) bool.
        spare: Pixels that may be wrong: the smallest parts are left out, and the smallest holes are filled, as long as
            they have no more pixels together.
    """
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    numbers, _ = ndimage.label(crop, _ALL_NEIGHBOURS)
    areas = np.bincount(numbers.ravel())[1:]
    parts: list[MaskPart] = []
    for index in np.argsort(areas, kind="stable"):
        area = int(areas[index])
        if area <= spare and len(areas) - len(parts) > 1 and not parts:
            spare -= area
            areas[index] = 0
            continue
        part = numbers == index + 1
        holes, kept, spare = _holes(part, spare)
        whole = np.zeros_like(mask)
        whole[top : rows[-1] + 1, left : columns[-1] + 1] = part
        corner = np.array([left, top], np.float64)
        outlines = tuple(_outline(hole) + corner for hole in holes)
        parts.append(MaskPart(RLEMask.encode(whole), _outline(kept) + corner, outlines, area))
    return parts[::-1]


def _holes(part: NDArray[np.bool_], spare: float) -> tuple[list[NDArray[np.bool_]], NDArray[np.bool_], float]:
    """Return the holes of a part that are not to be filled, the part without any hole, and what may still be wrong."""
    from scipy import ndimage

    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(part)
    numbers, count = ndimage.label(filled & ~part)
    holes: list[NDArray[np.bool_]] = []
    for index in np.argsort(np.bincount(numbers.ravel(), minlength=count + 1)[1:], kind="stable"):
        hole = numbers == index + 1
        if hole.sum() <= spare and not holes:
            spare -= float(hole.sum())
        else:
            holes.append(hole)
    return holes, filled, spare


def _outline(region: NDArray[np.bool_]) -> Points:
    """Return the outline of a connected region without holes, a sixth of a pixel within it."""
    import supervision as sv

    blocks = np.pad(region.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1), 1)
    polygon = max(sv.mask_to_polygons(blocks), key=len)
    outline: Points = (polygon - 1 + 0.5) / _ZOOM
    return outline


def _joined(outline: Points, hole: Points) -> Points:
    """Return one polygon that leaves out a hole: along the outline, over to the hole, around it, and back."""
    distances = np.linalg.norm(outline[:, None] - hole[None], axis=-1)
    at, start = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.concatenate([hole[start:], hole[: start + 1]])
    return np.concatenate([outline[: at + 1], around, outline[at:]])


def evenly_spaced(outline: Points, corners: int) -> Points:
    """Return a polygon of that many corners, at equal distances along the outline."""
    closed = np.concatenate([outline, outline[:1]])
    way = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))))
    at = np.linspace(0, way[-1], corners, endpoint=False)
    return np.stack([np.interp(at, way, closed[:, axis]) for axis in (0, 1)], axis=1)


def turned_to(polygon: Points, other: Points) -> Points:
    """Return a polygon with that first corner for which its corners lie nearest to those of another, centre on centre.

    Both have the same number of corners.
    """
    own, wanted = (points[:, 0] + 1j * points[:, 1] for points in (polygon, other))
    own, wanted = own - own.mean(), wanted - wanted.mean()
    # The sum of squared distances is least where the correlation is largest.
    correlation = np.fft.ifft(np.fft.fft(own) * np.fft.fft(wanted).conj()).real
    return np.roll(polygon, -int(correlation.argmax()), axis=0)
