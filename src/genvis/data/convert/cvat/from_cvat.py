"""Videos with tracks from "CVAT for video 1.1"."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genvis.data.convert.cvat.cvat_project import images_of_subset, with_offsets
from genvis.data.convert.cvat.cvat_shapes import DRAWN, BoxMode, draw_shape, shapes_by_frame, z_order
from genvis.data.convert.cvat.cvat_xml import CvatFile, CvatShape, CvatTask, CvatTrack, read_cvat_xml
from genvis.data.convert.frame_files import extract_frames, image_size, images_by_number
from genvis.data.convert.tracks import (
    ConvertedDataset,
    ConvertedTrack,
    ConvertedVideo,
    Remarks,
    numbered_categories,
    unique_names,
)
from genvis.errors import InputError
from genvis.masks import MaskError, RLEMask, encode_mask, merge_masks

TRACK_IDENTITY = "track"
GROUP_IDENTITY = "group"
_SHOWN = 5
MOST_MASKS = 5_000_000
"""Most masks of a file, those included that are filled in."""


@dataclass(frozen=True)
class CvatOptions:
    """Options of reading an export.

    Attributes:
        images: The image folder; None makes the names up.
        videos: The annotated video files, whose frames are written into ``images``; see `assign_videos`.
        boxes: What becomes of boxes, which say nothing of an object's shape: left out, or filled rectangles.
        identity: What tells objects apart: "track" (CVAT's tracks), "group" (its groups), or the name of an attribute
            of the labels. CVAT exports masks, and shapes that are no tracks, as tracks of one frame each.
    """

    images: Path | None = None
    videos: tuple[Path, ...] = ()
    boxes: BoxMode = "skip"
    identity: str = TRACK_IDENTITY


def read_cvat(
    path: Path | Sequence[Path], options: CvatOptions, progress: Callable[[int, int], None] = lambda done, total: None
) -> ConvertedDataset:
    """Read one or more exports of CVAT, of tasks, jobs or projects.

    Shapes at a frame are taken as they are; ``outside`` ends a track until its next shape. Where a file has keyframes
    only, the frames between them are filled in as CVAT does: polygons, boxes and ellipses move evenly, and the last
    one holds to the end of the video. Exports of CVAT itself list every frame. Where objects of different z-order
    overlap, the higher one is in front, and the other has only its visible pixels.

    Args:
        path: ``annotations.xml`` or the exported zip file; or several of them.
        options: How to read it.
        progress: Called with the number of frames written from a video file, and their total.

    Returns:
        One video for each task; the categories are the labels, in their order, those of the same name as one.

    Raises:
        InputError: If a file, a video or the images cannot be used.
    """
    if options.videos and options.images is None:
        raise InputError("Frames of a video need a folder to be written into: name it with --images.")
    paths = [path] if isinstance(path, Path) else list(path)
    exports = [_Export.of(place) for place in paths]
    every_task = [task for export in exports for task in export.tasks]
    names = iter(unique_names(Path(task.source).stem or task.name or f"task_{task.id}" for task in every_task))
    videos_of = iter(assign_videos(options.videos, every_task))
    labels = [label for export in exports for label in export.file.labels]
    labels += [track.label for export in exports for track in export.file.tracks]
    categories = numbered_categories(list(dict.fromkeys(labels)))
    category_ids = {category.name: category.id for category in categories}
    remarks, videos = Remarks(), []
    for export in exports:
        budget = _MaskBudget(export.path)
        tracks_of_task = export.tracks_of_task(remarks)
        for task in export.tasks:
            converter = _TaskConverter(
                export.path,
                export.file,
                task,
                next(names),
                options,
                category_ids,
                remarks,
                budget,
                video=next(videos_of),
                is_alone=len(every_task) == 1,
            )
            videos.append(converter.convert(tracks_of_task[task.id], progress))
        _remark_on_identities(export.file, options, remarks)
    return ConvertedDataset(categories, tuple(videos), remarks.sentences())


@dataclass(frozen=True)
class _Export:
    """One exported file, and its tasks with the frame numbers that count in them."""

    path: Path
    file: CvatFile
    tasks: tuple[CvatTask, ...]

    @classmethod
    def of(cls, path: Path) -> "_Export":
        file = read_cvat_xml(path)
        is_project, tasks = len(file.tasks) > 1 or bool(file.subsets), file.tasks
        if is_project:
            tasks = with_offsets(file.tasks, file.tracks, subsets=file.subsets)
        return cls(path, file, tuple(tasks))

    def tracks_of_task(self, remarks: Remarks) -> dict[str, list[CvatTrack]]:
        """Return the tracks of each task by its id."""
        result: dict[str, list[CvatTrack]] = {task.id: [] for task in self.tasks}
        for track in self.file.tracks:
            task_id = track.task_id if len(self.tasks) > 1 else self.tasks[0].id
            if task_id in result:
                result[task_id].append(track)
            else:
                remarks.add("Tracks of tasks that the file does not describe, left out: {n}.")
        return result


def assign_videos(videos: Sequence[Path], tasks: Sequence[CvatTask]) -> list[Path | None]:
    """Return the video file of each task: that of the name that CVAT notes, or else by their order.

    Args:
        videos: The files, in any order; none for tasks without.
        tasks: Of all exports.

    Raises:
        InputError: If it is not clear which video belongs to a task, or a video belongs to none.
    """
    if not videos:
        return [None] * len(tasks)
    if len(videos) == len(tasks) == 1:
        return [videos[0]]
    by_name: dict[str, list[Path]] = defaultdict(list)
    for video in videos:
        by_name[video.name].append(video)
    found = [by_name.get(Path(task.source).name, []) for task in tasks]
    if all(len(named) == 1 for named in found) and {named[0] for named in found} == set(videos):
        return [named[0] for named in found]
    if len(videos) == len(tasks) and not any(found):
        return list(videos)
    wanted = ", ".join(f"'{Path(task.source).name or task.name or task.id}'" for task in tasks[:_SHOWN])
    given = ", ".join(f"'{video.name}'" for video in videos[:_SHOWN])
    raise InputError(
        f"The tasks were made from {wanted}, but the videos are {given}: give --video once for each task, under the "
        "name that it had in CVAT."
    )


def _remark_on_identities(file: CvatFile, options: CvatOptions, remarks: Remarks) -> None:
    visible = [sum(not shape.outside for shape in track.shapes) for track in file.tracks]
    if options.identity == TRACK_IDENTITY and len(visible) > 1 and max(visible) <= 1:
        remarks.add(
            "All {n} tracks are visible in one frame only: CVAT exports masks and untracked shapes so. If objects are "
            "grouped, or an attribute of the labels tells them apart, use --identity group or --identity ATTRIBUTE.",
            len(visible),
        )


def _track_ids(masks: "_Masks") -> list[int]:
    """Return a number for each object of a video: its group where all have one of their own, or else from 1."""
    found = [re.fullmatch(rf"{GROUP_IDENTITY} (\d{{1,9}})", identity) for _, identity in masks]
    groups = [int(match[1]) for match in found if match is not None]
    return groups if len(set(groups)) == len(found) else list(range(1, len(found) + 1))


class LayeredMask(NamedTuple):
    """A mask and its place in depth: a higher number is nearer to the camera."""

    mask: RLEMask
    z_order: int


_Masks = dict[tuple[str, str], dict[int, LayeredMask]]
"""The masks of a video: (label, identity) -> frame index -> mask."""


def cut_hidden(masks: _Masks) -> int:
    """Take from every mask, in place, what an object of a higher z-order covers; return how many were cut.

    Objects of the same z-order may overlap: which is in front is then not known.
    """
    if len({layered.z_order for frames in masks.values() for layered in frames.values()}) < 2:
        return 0
    in_frame: dict[int, list[tuple[tuple[str, str], LayeredMask]]] = defaultdict(list)
    for key, frames in masks.items():
        for frame, layered in frames.items():
            in_frame[frame].append((key, layered))
    cut = 0
    for frame, found in in_frame.items():
        if len({layered.z_order for _, layered in found}) < 2:
            continue
        found.sort(key=lambda item: -item[1].z_order)
        front = np.zeros((found[0][1].mask.height, found[0][1].mask.width), bool)
        for _, layer in groupby(found, key=lambda item: item[1].z_order):
            nearest = front.copy()
            for key, layered in layer:
                pixels = layered.mask.decode()
                front |= pixels
                if not (pixels & nearest).any():
                    continue
                cut += 1
                visible = encode_mask(pixels & ~nearest)
                if visible is None:
                    del masks[key][frame]
                else:
                    masks[key][frame] = LayeredMask(visible, layered.z_order)
    return cut


@dataclass
class _MaskBudget:
    """Count of the masks of a file; a line of text can ask for one in each of a million frames."""

    path: Path
    spent: int = 0

    def spend(self) -> None:
        self.spent += 1
        if self.spent > MOST_MASKS:
            raise InputError(
                f"The tracks of '{self.path}' have more than {MOST_MASKS:,} masks, most of them filled in between "
                "keyframes or after the last; export shorter tasks."
            )


@dataclass(frozen=True)
class _TaskConverter:
    """Converts one task."""

    path: Path
    file: CvatFile
    task: CvatTask
    name: str
    options: CvatOptions
    category_ids: dict[str, int]
    remarks: Remarks
    budget: "_MaskBudget"
    video: Path | None
    is_alone: bool

    def convert(self, tracks: list[CvatTrack], progress: Callable[[int, int], None]) -> ConvertedVideo:
        numbers = self.task.file_numbers
        if not numbers:
            raise InputError(f"Task {self.task.id} of '{self.path}' has no frames.")
        file_names = self._file_names(progress)
        height, width = self._size(file_names)
        index_of = {number: index for index, number in enumerate(numbers)}
        masks: _Masks = defaultdict(dict)
        # A file without a single interpolated shape may have keyframes only; CVAT itself lists all frames.
        fill = all(shape.keyframe for track in self.file.tracks for shape in track.shapes)
        for track in tracks:
            self._draw_track(track, masks, index_of=index_of, size=(height, width), fill=fill)
        hidden = cut_hidden(masks)
        self.remarks.add("Masks cut where an object with a higher z-order is in front of them: {n}.", hidden)
        converted = tuple(
            ConvertedTrack(number, self.category_ids[label], {frame: found[frame].mask for frame in sorted(found)})
            for number, ((label, _), found) in zip(_track_ids(masks), masks.items(), strict=True)
            if found
        )
        return ConvertedVideo(self.name, height, width, tuple(file_names), converted)

    def _file_names(self, progress: Callable[[int, int], None]) -> list[str]:
        images, numbers = self.options.images, self.task.numbers
        if images is None:
            self.remarks.add(f"Images are named '{self.name}/000000.jpg' and so on; give --images to use real ones.")
            return [f"{self.name}/{number:06d}.jpg" for number in numbers]
        if self.video is not None:
            names = extract_frames(self.video, images / self.name, numbers, progress=progress)
            return [f"{self.name}/{name}" for name in names]
        return images_of_subset(images, self.task) or images_by_number(
            images, self.name, numbers, only_video=self.is_alone
        )

    def _size(self, file_names: list[str]) -> tuple[int, int]:
        task = self.task
        said = (task.height, task.width) if task.height and task.width else None
        found = image_size(self.options.images / file_names[0]) if self.options.images is not None else None
        if said is not None and found is not None and said != found:
            raise InputError(
                f"Task {task.id} of '{self.path}' was annotated at {said[1]}x{said[0]}, but its images are "
                f"{found[1]}x{found[0]} (width x height); use the video or images that were annotated."
            )
        size = found or said
        if size is None or size[0] is None or size[1] is None:
            raise InputError(f"'{self.path}' does not say how large the frames are; give their folder with --images.")
        return size[0], size[1]

    def _draw_track(
        self,
        track: CvatTrack,
        masks: _Masks,
        *,
        index_of: dict[int, int],
        size: tuple[int, int],
        fill: bool,
    ) -> None:
        placed = {shape.frame for shape in track.shapes}
        shapes = [shape for shape in track.shapes if self._is_used(shape)]
        identity = self._identity(track)
        held, mask = None, None  # the shape that was drawn last where it stands still, and its mask
        for frame, shape, following, fraction in shapes_by_frame(
            shapes, numbers=self.task.file_numbers, stop=self.task.stop, fill=fill
        ):
            if frame not in index_of:
                self.remarks.add("Shapes at frames that the task does not have, left out: {n}.")
                continue
            if following is not None or shape is not held:
                try:
                    mask = draw_shape(shape, following, fraction, height=size[0], width=size[1])
                except MaskError as error:
                    where = f"Track {track.id} of '{self.path}' has a wrong {shape.kind} at frame {shape.frame}"
                    raise InputError(f"{where}: {error}.") from None
                held = shape if following is None else None
            if mask is None:
                self.remarks.add("Shapes that cover no pixel of their frame, left out: {n}.")
                continue
            if frame not in placed:
                self.remarks.add("Masks filled in between or after keyframes, as CVAT does: {n}.")
            self.budget.spend()
            found, index, order = masks[track.label, identity], index_of[frame], z_order(shape)
            if index in found:
                mask, order = merge_masks([found[index].mask, mask]), max(order, found[index].z_order)
            found[index] = LayeredMask(mask, order)

    def _is_used(self, shape: CvatShape) -> bool:
        if shape.kind not in DRAWN:
            self.remarks.add(f"Shapes of the kind '{shape.kind}', which covers no area, left out: {{n}}.")
            return False
        if shape.kind == "box" and not shape.outside:
            if self.options.boxes == "skip":
                self.remarks.add(
                    "Boxes left out, as a box does not say which pixels are the object's (--boxes rectangle takes "
                    "all of them): {n}."
                )
                return False
            self.remarks.add("Boxes made filled rectangles, which also cover pixels that are not the object's: {n}.")
        return True

    def _identity(self, track: CvatTrack) -> str:
        if self.options.identity == TRACK_IDENTITY:
            return track.id
        if self.options.identity == GROUP_IDENTITY:
            value = "" if track.group == "0" else track.group
        else:
            values = [shape.attributes.get(self.options.identity, "") for shape in track.shapes]
            value = next((value for value in values if value), "")
        if not value:
            self.remarks.add(f"Tracks without '{self.options.identity}', which stay objects of their own: {{n}}.")
            return f"track {track.id}"
        return f"{self.options.identity} {value}"
