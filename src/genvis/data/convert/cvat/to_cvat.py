"""Videos with tracks as "CVAT for video 1.1": tracks of polygons, which CVAT's editor can change.

Masks in tracks break a task in CVAT's editor, so that every part of an object becomes a track of polygons; those of one
object have its id as their group.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from genvis.data.convert.cvat.part_tracks import Keyframe, follow_parts, keyframes
from genvis.data.convert.tracks import ConvertedDataset, ConvertedTrack, ConvertedVideo, Remarks
from genvis.errors import InputError
from genvis.files import atomic_file, make_folder

# What XML 1.0 allows in a text.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(
    dataset: ConvertedDataset,
    path: Path,
    *,
    tolerance: float = 0.98,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[str, ...]:
    """Write videos as "CVAT for video 1.1".

    Read back with groups as objects, each mask has at least this IoU with the one that was written. Masks of different
    objects may still overlap: all have the same z-order.

    Args:
        dataset: The videos.
        path: The XML file of the only video, or the folder for one of each. They appear when they are complete.
        tolerance: Lowest IoU of a mask with the polygons that stand for it, above 0 and up to 1. Less gives fewer
            corners and keyframes.
        progress: Called with the number of objects written, and their total.

    Returns:
        Sentences about what could not be kept.

    Raises:
        InputError: If the tolerance is impossible, or one file was named for several videos.
    """
    if not 0 < tolerance <= 1:
        raise InputError(f"--tolerance is {tolerance}; it is an IoU, above 0 and up to 1.")
    is_file = path.suffix.lower() == ".xml"
    if is_file and len(dataset.videos) != 1:
        raise InputError(f"'{path}' is one file, but there are {len(dataset.videos)} videos; name a folder.")
    remarks = Remarks()
    total = sum(len(video.tracks) for video in dataset.videos)
    done = 0
    for video in dataset.videos:
        target = path if is_file else path / f"{video.name}.xml"
        make_folder(target.parent)
        with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8") as file:
            writer = _VideoWriter(file, video, {entry.id: entry.name for entry in dataset.categories})
            writer.begin()
            ids = [track.id for track in video.tracks]
            # A group is a number from 1 in CVAT; 0 stands for none.
            usable = len(set(ids)) == len(ids) and all(0 < identifier < 1 << 31 for identifier in ids)
            for position, track in enumerate(video.tracks, start=1):
                writer.add(track, track.id if usable else position, tolerance, remarks)
                done += 1
                progress(done, total)
            writer.end()
    return remarks.sentences()


@dataclass
class _VideoWriter:
    """Writer of one XML file."""

    file: TextIO
    video: ConvertedVideo
    names: dict[int, str]
    tracks: int = 0

    def begin(self) -> None:
        """Write what describes the task: its frames as CVAT counts them, its labels, the size of the frames."""
        video = self.video
        step = _step(video.numbers)
        size = (video.numbers[-1] - video.numbers[0]) // step + 1
        labels = "".join(
            f"        <label><name>{_text(name)}</name><type>any</type><attributes></attributes></label>\n"
            for name in dict.fromkeys(self.names.values())
        )
        self.file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
            f"      <name>{_text(video.name)}</name>\n"
            f"      <size>{size}</size>\n"
            "      <mode>interpolation</mode>\n"
            f"      <start_frame>{video.numbers[0]}</start_frame>\n"
            f"      <stop_frame>{video.numbers[-1]}</stop_frame>\n"
            f"      <frame_filter>{f'step={step}' if step > 1 else ''}</frame_filter>\n"
            f"      <labels>\n{labels}      </labels>\n"
            f"      <original_size><width>{video.width}</width><height>{video.height}</height></original_size>\n"
            f"      <source>{_text(video.name)}</source>\n    </task>\n  </meta>\n"
        )

    def add(self, track: ConvertedTrack, group: int, tolerance: float, remarks: Remarks) -> None:
        """Write one object as a track for each of its parts."""
        if track.crowd:
            remarks.add("Crowds, which CVAT does not know, left out: {n}.")
            return
        parts = follow_parts(track.masks, tolerance=tolerance)
        remarks.add(
            "Objects of several parts, which are tracks of one group (from-cvat needs --identity group): {n}.",
            len(parts) > 1,
        )
        for part in parts:
            shapes = keyframes(part, length=len(self.video.numbers), tolerance=tolerance)
            label = _quoted(self.names[track.category_id])
            self.file.write(f'  <track id="{self.tracks}" label={label} source="file" group_id="{group}">\n')
            self.file.writelines(_shape(shape, self.video.numbers[shape.position]) for shape in shapes)
            self.file.write("  </track>\n")
            self.tracks += 1

    def end(self) -> None:
        """Write the end of the file."""
        self.file.write("</annotations>\n")


def _step(numbers: tuple[int, ...]) -> int:
    """Return every how many frames of the source there is one; 1 where that changes."""
    steps = {second - first for first, second in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else 1


def _shape(shape: Keyframe, frame: int) -> str:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in shape.polygon.tolist())
    attributes = f'frame="{frame}" keyframe="1" outside="{int(shape.outside)}" occluded="0"'
    return f'    <polygon {attributes} points="{points}" z_order="0"></polygon>\n'


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _quoted(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
