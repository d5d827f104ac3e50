"""Image files that annotations name: found and read."""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from genvis.errors import InputError
from genvis.image_files import read_image


def image_path(root: Path, name: str, *, named_by: str | Path) -> Path:
    """Return where an image is, without ever leaving the folder of the images.

    Args:
        root: The folder of the images.
        name: The name that an annotation file gives, relative to it; ``/`` or ``\\`` separates folders.
        named_by: The annotation file, for messages.

    Raises:
        InputError: If the name is absolute or leads out of the folder.
    """
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]:
        raise InputError(
            f"'{named_by}' names the image '{name}', which is not inside the folder of the images: "
            "make all file names relative to that folder."
        )
    return root / relative


def read_frame(path: Path, *, height: int, width: int) -> NDArray[np.uint8]:
    """Read an image that annotations name, upright as its EXIF orientation says.

    Args:
        path: The file.
        height: The height in pixels that the annotations give.
        width: The width in pixels that the annotations give.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        InputError: If the file is missing, damaged or of another size.
    """
    if not path.is_file():
        raise InputError(f"The image '{path}' does not exist: {_hint(path)}.")
    picture = read_image(path)
    if picture.shape[:2] != (height, width):
        raise InputError(
            f"The image '{path}' is {picture.shape[0]}x{picture.shape[1]} but its annotations say {height}x{width} "
            "(height x width): give the images that the annotations were made for."
        )
    return picture


def _hint(path: Path) -> str:
    """Say where the image might be instead: data sets come with one folder more or less."""
    parts = path.parts
    for cut in range(len(parts) - 1, 0, -1):
        root, rest = Path(*parts[:cut]), Path(*parts[cut:])
        if root.is_dir():
            inner = sorted(folder for folder in root.iterdir() if (folder / rest).is_file())
            if inner:
                return f"it is in '{inner[0]}'; give that folder as the root of the images"
    return "check the folder of the images"
