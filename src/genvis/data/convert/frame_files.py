"""Image files of a video's frames: found by name or number, or written from the video file."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from genvis.errors import InputError
from genvis.files import atomic_folder
from genvis.video.sources.opening import images_in, open_source


def frame_folder(root: Path, name: str, *, only_video: bool, masks: Path | None = None) -> Path:
    """Return the folder that holds the frames of a video.

    Args:
        root: The image folder.
        name: The video's name, safe as the name of a folder.
        only_video: Whether there is only one, so that its frames may be in ``root`` itself.
        masks: The folder of its mask files, which are no images.

    Returns:
        The first that holds images of ``root/name``, ``root/name/img1`` (as MOTS has it), ``root/images/name`` and, for
        an only video, ``root/images`` (as CVAT exports them) and ``root``.

    Raises:
        InputError: If none does.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder '{root}'; name the folder of the images.")
    candidates = [root / name, root / name / "img1", root / "images" / name]
    if only_video:
        candidates += [root / "images", root]
    for folder in candidates:
        if folder.is_dir() and not (masks is not None and folder.samefile(masks)) and images_in(folder):
            return folder
    raise InputError(f"There are no images of the video '{name}': put them into '{candidates[0]}'.")


def images_by_stem(
    root: Path, name: str, stems: Sequence[str], *, only_video: bool, masks: Path | None = None
) -> list[str]:
    """Return the image file of each frame, found by its name without the ending.

    Args:
        root: The image folder.
        name: The video's name.
        stems: One a frame.
        only_video: See :func:`frame_folder`.
        masks: See :func:`frame_folder`.

    Returns:
        Paths relative to ``root``, with forward slashes.

    Raises:
        InputError: If images are missing.
    """
    folder = frame_folder(root, name, only_video=only_video, masks=masks)
    files = {path.stem: path for path in images_in(folder)}
    missing = [stem for stem in stems if stem not in files]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(stems)} frames of '{name}' have no image in '{folder}', first '{missing[0]}'."
        )
    return [files[stem].relative_to(root).as_posix() for stem in stems]


def images_by_number(root: Path, name: str, numbers: Sequence[int], *, only_video: bool) -> list[str]:
    """Return the image file of each frame, found by the number in its name, or by its place.

    Args:
        root: The image folder.
        name: The video's name.
        numbers: One a frame, as the annotations number the frames.
        only_video: See :func:`frame_folder`.

    Returns:
        Paths relative to ``root``, with forward slashes. If the last number in the names is not the frame number, but
        there are as many images as frames, they are taken in natural order.

    Raises:
        InputError: If neither works.
    """
    folder = frame_folder(root, name, only_video=only_video)
    files = images_in(folder)
    by_number = numbered_images(folder)
    if all(number in by_number for number in numbers):
        chosen = [by_number[number] for number in numbers]
    elif len(files) == len(numbers):
        chosen = files
    else:
        missing = [number for number in numbers if number not in by_number]
        raise InputError(
            f"'{name}' has {len(numbers)} frames, from {numbers[0]} to {numbers[-1]}, but '{folder}' holds "
            f"{len(files)} images, and none for frame {missing[0] if missing else numbers[0]}."
        )
    return [path.relative_to(root).as_posix() for path in chosen]


def image_numbers(root: Path, name: str, *, only_video: bool) -> list[int]:
    """Return the numbers that the names of a video's images end with, ascending; none unless all have their own."""
    return sorted(numbered_images(frame_folder(root, name, only_video=only_video)))


def numbered_images(folder: Path) -> dict[int, Path]:
    """Return the images of a folder by the number that their names end with; none unless all have their own."""
    files = images_in(folder)
    numbered = {int(found[-1]): path for path in files if (found := re.findall(r"\d+", path.stem))}
    return numbered if len(numbered) == len(files) else {}


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image, upright.

    Raises:
        InputError: If it cannot be read.
    """
    with open_source(path) as source:
        size = source.size
    if size is None:
        raise InputError(f"The image '{path}' cannot be read: copy or export it again.")
    return size


def extract_frames(
    video: Path,
    folder: Path,
    numbers: Sequence[int],
    *,
    quality: int = 95,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Write frames of a video file as JPEG images; the folder appears when it is complete.

    Args:
        video: Any file that FFmpeg reads.
        folder: The folder to make. If it holds the images already, they are kept.
        numbers: The frames to write, ascending; the first frame of a video is 0.
        quality: JPEG quality, 1 to 100.
        progress: Called with the number of frames written and their total.

    Returns:
        The names of the images, one a number: the number in six digits.

    Raises:
        InputError: If the video cannot be read or is too short, or the folder holds something else.
    """
    from PIL import Image

    names = [f"{number:06d}.jpg" for number in numbers]
    if folder.is_dir() and {path.name for path in images_in(folder)} == set(names):
        return names
    steps = {second - first for first, second in pairwise(numbers)}
    stride = steps.pop() if len(steps) == 1 else 1
    wanted, written = set(numbers), 0
    with (
        atomic_folder(folder) as partial,
        open_source(video, start=numbers[0], stop=numbers[-1] + 1, stride=stride) as source,
    ):
        for frame in source:
            if frame.index in wanted:
                Image.fromarray(frame.image).save(partial / f"{frame.index:06d}.jpg", quality=quality)
                written += 1
                progress(written, len(names))
        if written < len(names):
            problem = f" ({source.problem})" if source.problem else ""
            raise InputError(
                f"'{video}' ends after {written} of the {len(names)} frames that the annotations are for{problem}: "
                "is it the video that was annotated?"
            )
    return names
