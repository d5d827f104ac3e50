"""Finding and reading the image files that annotations name."""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from genvis.errors import InputError


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


def read_image(path: Path, *, height: int, width: int) -> NDArray[np.uint8]:
    """Read an image of any format that Pillow knows, upright as its EXIF orientation says.

    Args:
        path: The file.
        height: The height in pixels that the annotations give.
        width: The width in pixels that the annotations give.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        InputError: If the file is missing, damaged or of another size.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError:
        raise InputError(f"The image '{path}' does not exist: {_hint(path)}.") from None
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"The image '{path}' cannot be read ({error}): copy or download it again.") from None
    if picture.size != (width, height):
        raise InputError(
            f"The image '{path}' is {picture.height}x{picture.width} but its annotations say {height}x{width} "
            "(height x width): give the images that the annotations were made for."
        )
    return np.array(picture)


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
