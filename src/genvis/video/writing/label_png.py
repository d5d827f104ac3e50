"""Label maps as PNG: indexed with the tracks' colours as DAVIS has them, or 16-bit grey for large track ids."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genvis.errors import InputError
from genvis.files import atomic_file
from genvis.image_files import opened_image
from genvis.video.drawing.palette import palette

MAX_INDEX = 255
MAX_GREY = 65_535


def write_label_png(path: str | Path, label_map: NDArray[np.integer], *, indexed: bool = True) -> None:
    """Write the track id at every pixel, 0 for background.

    Args:
        path: The file; it appears whole or not at all.
        label_map: (H, W) track ids from 0.
        indexed: 8-bit indexed with the tracks' colours (track ids to 255); otherwise 16-bit grey (to 65,535).

    Raises:
        InputError: If a track id is too large.
        OutputError: If the file cannot be written.
    """
    limit = MAX_INDEX if indexed else MAX_GREY
    if label_map.size and not 0 <= int(label_map.max()) <= limit:
        raise InputError(f"Track id {int(label_map.max())} does not fit '{path}', which holds 0 to {limit}.")
    if indexed:
        image = Image.fromarray(label_map.astype(np.uint8)).convert("L")
        image.putpalette(palette().tobytes())
    else:
        image = Image.fromarray(label_map.astype(np.uint16))
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG", optimize=False)


def read_label_png(path: str | Path) -> NDArray[np.int32]:
    """Read what :func:`write_label_png` wrote, or any DAVIS or MOTS mask: (H, W) int32 track ids.

    Raises:
        InputError: If the file is missing, damaged or holds colours instead of track ids.
    """
    with opened_image(path) as image:
        # Some tools write grey with an opacity that means nothing.
        labels = image.getchannel("L") if image.mode == "LA" else image
        if labels.mode not in ("P", "L", "1") and not labels.mode.startswith("I"):
            raise InputError(f"'{path}' holds colours ({labels.mode}), not track ids.")
        return np.asarray(labels).astype(np.int32)


def safe_name(name: str) -> str:
    """Return ``name`` fit for a file: no separators, no control characters, not hidden, not endless."""
    return re.sub(r"[\x00-\x1f/\\:*?\"<>|]+", "_", name).lstrip(".").strip()[:150] or "_"
