"""Outlines of masks: polygons that cover the very pixels, with holes, and with fewer and evenly spaced corners."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genvis.masks import RLEMask, draw_polygons

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

    @property
    def is_exact(self) -> bool:
        """Whether its polygon covers its very pixels, which many holes close to one another may prevent."""
        return draw_polygons([self.polygon()], height=self.mask.height, width=self.mask.width) == self.mask

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

    A part with so many holes that no polygon covers its very pixels is cut into parts.

    Args:
        mask: (H, W) bool.
        spare: Pixels that may be wrong: the smallest parts are left out, and the smallest holes are filled, as long as
            they have no more pixels together.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    regions = sorted(_connected(mask[window]), key=np.count_nonzero)
    while len(regions) > 1 and np.count_nonzero(regions[0]) <= spare:
        spare -= np.count_nonzero(regions.pop(0))
    parts: list[MaskPart] = []
    for region in regions:
        kept, spare = _without_small_holes(region, spare)
        parts += [_part(piece, mask.shape, window) for piece in _pieces(kept)]
    return sorted(parts, key=lambda part: -part.area)


def _connected(region: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected parts of a region; pixels that touch at a corner are connected."""
    from scipy import ndimage

    numbers, count = ndimage.label(region, _ALL_NEIGHBOURS)
    return [numbers == number for number in range(1, count + 1)]


def _holes(region: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the holes of a connected region, the smallest first."""
    from scipy import ndimage

    numbers, count = ndimage.label(ndimage.binary_fill_holes(region) & ~region)
    return sorted((numbers == number for number in range(1, count + 1)), key=np.count_nonzero)


def _without_small_holes(region: NDArray[np.bool_], spare: float) -> tuple[NDArray[np.bool_], float]:
    """Return a region with its smallest holes filled, and how many pixels may still be wrong."""
    for hole in _holes(region):
        pixels = np.count_nonzero(hole)
        if pixels > spare:
            break
        region, spare = region | hole, spare - pixels
    return region, spare


def _pieces(region: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return a connected region, cut through its largest hole, and again, until polygons cover the very pixels."""
    holes = _holes(region)
    if not holes or _part(region, region.shape, (slice(None), slice(None))).is_exact:
        return [region]
    along = np.flatnonzero(holes[-1].any(axis=0))
    at = int(along[len(along) // 2])
    halves = region.copy(), region.copy()
    halves[0][:, at:], halves[1][:, :at] = False, False
    return [piece for half in halves for connected in _connected(half) for piece in _pieces(connected)]


def _part(region: NDArray[np.bool_], shape: tuple[int, ...], window: tuple[slice, slice]) -> MaskPart:
    """Return a connected region of a window of the frame as a part of the mask."""
    from scipy import ndimage

    whole = np.zeros(shape, bool)
    whole[window] = region
    corner = np.array([window[1].start or 0, window[0].start or 0], np.float64)
    holes = tuple(_outline(hole) + corner for hole in _holes(region))
    outline = _outline(ndimage.binary_fill_holes(region)) + corner
    return MaskPart(RLEMask.encode(whole), outline, holes, int(np.count_nonzero(region)))


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
