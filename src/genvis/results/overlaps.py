"""One mask per object, for pictures: results keep all masks, as the published procedure gives them.

Several identities can claim the same object, and one that is out of sight can keep a mask on another object. The truth
of video instance segmentation gives a pixel to one object, so of masks that overlap at most one is right.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from genvis.results.types import FrameResult

Drawing = Literal["distinct", "all"]
"""Which masks a picture shows: one per object, or all that a result has."""

# A mask of which better ones leave less than this share is taken for theirs.
LEAST_SHARE = 0.5
# Masks below this share of the frame are specks: 184 pixels of 1280x720.
SMALLEST_SHARE = 1 / 5000


def distinct(frame: FrameResult) -> FrameResult:
    """Give every pixel to the best instance that claims it, and leave out instances that are mostly claimed by others.

    An instance is left out if better ones (higher score, then lower id) claim more than half of it, or if it covers
    less than a five-thousandth of the frame.

    Args:
        frame: The instances of one frame.

    Returns:
        The instances that remain, in the same order, without the pixels of better ones.
    """
    taken = np.zeros((frame.height, frame.width), np.bool_)
    smallest = SMALLEST_SHARE * frame.height * frame.width
    kept = {}
    for instance in sorted(frame.instances, key=lambda one: (-one.score, one.id)):
        own = instance.mask & ~taken
        area = np.count_nonzero(own)
        if area == 0 or area < smallest or area < LEAST_SHARE * instance.area:
            continue
        taken |= own
        kept[instance.id] = replace(instance, mask=own)
    return replace(frame, instances=tuple(kept[one.id] for one in frame.instances if one.id in kept))


def shown(frame: FrameResult, drawing: Drawing) -> FrameResult:
    """Return what a picture shows of a frame."""
    return distinct(frame) if drawing == "distinct" else frame
