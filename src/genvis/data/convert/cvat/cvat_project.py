"""Frame numbers and image folders of exports of whole projects.

CVAT counts the frames of a project on over the tasks of a subset: what comes before a task is the sum of
``start_frame + step * size`` of the tasks before it. The images lie in ``images/SUBSET``, with the same numbers.
Task by task, they are counted as in any other export.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genvis.data.convert.cvat.cvat_xml import CvatTask, CvatTrack
from genvis.data.convert.frame_files import numbered_images
from genvis.errors import InputError

DEFAULT_SUBSET = "default"


def with_offsets(tasks: Sequence[CvatTask], tracks: Sequence[CvatTrack], *, subsets: Sequence[str]) -> list[CvatTask]:
    """Return the tasks of a project with their subsets and what is added to their frame numbers.

    Args:
        tasks: The tasks, in the order of the file.
        tracks: The tracks of all tasks.
        subsets: The names of the project's subsets.

    Returns:
        The tasks. Where the numbers of all tracks fit the tasks as they are, but not when counted on, as other tools
        write them, nothing is added.
    """
    by_track = {track.task_id: track.subset for track in tracks if track.subset}
    only = subsets[0] if len(subsets) == 1 else DEFAULT_SUBSET
    counted: dict[str, int] = {}
    result = []
    for task in tasks:
        subset = task.subset or by_track.get(task.id, only)
        result.append(replace(task, subset=subset, offset=counted.get(subset, 0)))
        counted[subset] = counted.get(subset, 0) + task.start + task.step * task.size
    if not _fit(result, tracks) and _fit(tasks, tracks):
        return [replace(task, offset=0) for task in result]
    return result


def _fit(tasks: Sequence[CvatTask], tracks: Sequence[CvatTrack]) -> bool:
    """Return whether all shapes are at frames of their tasks."""
    numbers = {task.id: task.file_numbers for task in tasks}
    return all(shape.frame in numbers.get(track.task_id, ()) for track in tracks for shape in track.shapes)


def images_of_subset(root: Path, task: CvatTask) -> list[str] | None:
    """Return the images of a task's frames in the folder that all tasks of its subset share.

    Args:
        root: The image folder.
        task: A task of a project.

    Returns:
        Paths relative to ``root``, with forward slashes; None if there is no such folder with images.

    Raises:
        InputError: If the folder lacks a frame.
    """
    # A name in a file must not lead out of the folder.
    if not task.subset or task.subset in (".", "..") or set(task.subset) & set("/\\:\0"):
        return None
    for folder in (root / "images" / task.subset, root / task.subset):
        found = numbered_images(folder) if folder.is_dir() else {}
        if not found:
            continue
        missing = [number for number in task.file_numbers if number not in found]
        if missing:
            raise InputError(
                f"Task {task.id} has {task.size} frames, which are numbers {task.file_numbers[0]} to "
                f"{task.file_numbers[-1]} of subset '{task.subset}', but '{folder}' has no image {missing[0]}."
            )
        return [found[number].relative_to(root).as_posix() for number in task.file_numbers]
    return None
