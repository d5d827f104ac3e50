"""Image files, opened only by the decoders of the formats that the documents name.

Pillow chooses a decoder by the content of a file, and some of its decoders start other programs (PostScript starts
Ghostscript) or are hardly ever tested. Whatever reads an image in this package opens it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from genvis.errors import GenVISError, InputError, MissingExtraError
from genvis.files import printable

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "GIF", "PPM", "TGA", "JPEG2000", "SGI", "PCX")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "avif", "heic", "heif", "hif"),
        *("ppm", "pgm", "pbm", "pnm", "tga", "jp2", "j2k", "sgi", "pcx"),
    )
)
EXIF_ORIENTATION = 0x0112
ON_ITS_SIDE = (5, 6, 7, 8)


def is_image(path: Path) -> bool:
    """Whether the name is that of a still image; hidden files are not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


@contextmanager
def opened_image(path: str | Path) -> Iterator[Image.Image]:
    """Open an image; an error of its decoder in the block becomes one sentence.

    Args:
        path: A regular file of one of the formats above, or HEIC with the extra ``heic``.

    Raises:
        InputError: If the file is missing, is none of these images, is absurdly large, or is damaged.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"There is no image '{printable(path)}'.")
    if not file.is_file():
        raise InputError(f"'{printable(path)}' is not an image but a folder, a pipe or a device.")
    try:
        with Image.open(file, formats=_formats(file)) as image:
            yield image
    except GenVISError:
        raise
    except Exception as error:  # Pillow raises whatever its many decoders raise.
        raise InputError(f"The image '{printable(path)}' cannot be read: {_reason(error)}.") from error


def _formats(file: Path) -> tuple[str, ...]:
    with file.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] != b"ftyp" or head[8:12] not in HEIC_BRANDS:
        return FORMATS
    try:
        import pillow_heif
    except ImportError:
        raise MissingExtraError("pillow-heif", "heic") from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is damaged, or none of the image formats that are supported"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
    return printable(error).strip().rstrip(".") or type(error).__name__


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Load one image as 8-bit RGB, upright.

    EXIF orientation is applied; grey, palette and CMYK become RGB; what is transparent is laid on white; 16 bits are
    scaled by 1/257, floats from [0, 1] (or [0, 255] if they exceed 1). Of several pictures the first is taken.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: If the file is missing, is no image, or is damaged.
    """
    with opened_image(path) as image:
        return to_rgb(image)


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Read height and width from an image's head, upright.

    Raises:
        InputError: If the file is missing or no image.
    """
    with opened_image(path) as image:
        return upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return height and width of an open image as its EXIF orientation turns it."""
    width, height = image.size
    # Asked for the tags of a PNG that has none at its head, Pillow decodes it to the end.
    is_tagged = image.format != "PNG" or "exif" in image.info
    is_turned = is_tagged and image.getexif().get(EXIF_ORIENTATION) in ON_ITS_SIDE
    return (width, height) if is_turned else (height, width)


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an open image as :func:`read_image` does: (H, W, 3) uint8."""
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _grey_to_rgb(np.asarray(upright, np.float64) / 257)
    if upright.mode == "F":
        values = np.nan_to_num(np.asarray(upright, np.float64))
        return _grey_to_rgb(values * 255 if values.max() <= 1 else values)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(upright.convert("RGB"))


def _grey_to_rgb(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
