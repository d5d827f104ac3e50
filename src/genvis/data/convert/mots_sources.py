"""Files of MOTS: text files, folders of PNG files, and folders as CVAT exports them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genvis.data.convert.label_maps import png_files, sequence_folders
from genvis.errors import InputError
from genvis.files import require_file
from genvis.video.sources.image_folders import natural_key
from genvis.video.sources.opening import images_in

LABELS = "labels.txt"
SEQUENCE_MAP = "seqmap.txt"

INSTANCES_FOLDER = "instances"
IMAGES_FOLDER = "images"


@dataclass(frozen=True)
class MotsSource:
    """The files of one video.

    Attributes:
        name: Of the video.
        text: Its text file; None if its masks are PNG files.
        masks: The PNG files by the names of their frames.
        frames: The names of all frames, in order; those without a mask file show no object.
        images: The folder of its images, where masks and images lie side by side.
        filled: How many frames are known only because the numbers of the mask files leave them out.
    """

    name: str
    text: Path | None = None
    masks: dict[str, Path] | None = None
    frames: tuple[str, ...] = ()
    images: Path | None = None
    filled: int = 0

    @property
    def folder(self) -> Path | None:
        """The folder of the mask files."""
        return next((path.parent for path in (self.masks or {}).values()), None)


def mots_sources(root: Path) -> list[MotsSource]:
    """Return the videos of a file or folder.

    Args:
        root: A text file; a folder of text files, one for each video; a folder with a folder of PNG files for each
            video; or, as CVAT exports them, a folder with ``instances`` and ``images``, or one with such a folder for
            each subset.

    Raises:
        InputError: If there is nothing of the kind.
    """
    if not root.is_dir():
        return [MotsSource(root.stem, text=require_file(root))]
    texts = [path for path in sorted(root.glob("*.txt")) if path.name not in (LABELS, SEQUENCE_MAP)]
    if texts:
        return [MotsSource(path.stem, text=require_file(path)) for path in texts]
    if root.name == INSTANCES_FOLDER and png_files(root):
        return [_of_subset(root.resolve().parent, root)]
    subsets = [root, *sorted((folder for folder in root.iterdir() if folder.is_dir()), key=natural_key)]
    found = [
        _of_subset(folder, folder / INSTANCES_FOLDER) for folder in subsets if png_files(folder / INSTANCES_FOLDER)
    ]
    if found:
        return found
    return [
        MotsSource(name, masks={path.stem: path for path in files}, frames=tuple(path.stem for path in files))
        for name, files in sequence_folders(root)
    ]


def find_labels(root: Path, sources: Sequence[MotsSource]) -> Path | None:
    """Return the file with the names of the classes, beside the masks or above them; None if there is none."""
    folder = root if root.is_dir() else root.parent
    beside = [source.folder for source in sources if source.folder is not None]
    found = [at / LABELS for at in (folder, folder.parent, *beside) if (at / LABELS).is_file()]
    if len({path.read_bytes() for path in found}) > 1:
        raise InputError(
            f"'{found[0]}' and '{found[-1]}' name other classes: give the right one with --labels, or convert the "
            "folders one by one."
        )
    return found[0] if found else None


def _of_subset(subset: Path, instances: Path) -> MotsSource:
    """Return a subset as CVAT exports it: a frame without objects has an image and no mask file."""
    masks = {path.stem: path for path in png_files(instances)}
    images = subset / IMAGES_FOLDER
    shown = [path.stem for path in images_in(images)] if images.is_dir() else []
    if not shown:
        frames = _without_gaps(list(masks))
        return MotsSource(subset.name, masks=masks, frames=tuple(frames), filled=len(frames) - len(masks))
    strangers = sorted(set(masks) - set(shown))
    if strangers:
        raise InputError(f"The mask file '{masks[strangers[0]]}' has no image in '{images}': export both again.")
    return MotsSource(subset.name, masks=masks, frames=tuple(shown), images=images)


def _without_gaps(stems: list[str]) -> list[str]:
    """Return names that end with numbers of the same width together with those that are left out between them."""
    found = [re.fullmatch(r"(.*?)(\d{1,9})", stem) for stem in stems]
    parts = [(match[1], match[2]) for match in found if match is not None]
    if len(parts) < len(stems) or len({(prefix, len(digits)) for prefix, digits in parts}) > 1:
        return stems
    prefix, width = parts[0][0], len(parts[0][1])
    numbers = [int(digits) for _, digits in parts]
    if max(numbers) - min(numbers) >= 100 * len(numbers):  # other numbers than those of frames
        return stems
    return [f"{prefix}{number:0{width}d}" for number in range(min(numbers), max(numbers) + 1)]
