"""``genvis data convert``: other annotation formats to YouTube-VIS files, and back."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from genvis.cli.common.option_types import Words
from genvis.cli.common.progress_line import live_progress
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.data.annotations.video_annotations import VideoAnnotations
    from genvis.data.convert.tracks import ConvertedDataset


def from_cvat(
    *files: Path,
    images: Path | None = None,
    video: list[Path] | None = None,
    boxes: Literal["skip", "rectangle"] = "skip",
    identity: str = "track",
    overwrite: bool = False,
) -> None:
    """Turn exports of CVAT, as "CVAT for video 1.1", into one YouTube-VIS file.

    Polygons, masks and ellipses become masks; the labels become the categories. With --video, the annotated frames of
    the video file are written into the image folder, so that the result can be trained on.

    Args:
        *files: The exported zip files of tasks, jobs or projects, or the annotations.xml in them; the last file is
            the YouTube-VIS file (JSON) to write.
        images: The image folder that file names start from. Without it, names are made up.
        video: The video file that was annotated; its frames are written into a folder of --images. With several
            tasks, give it once for each, under the name that it had in CVAT or in the order of the tasks.
        boxes: What becomes of boxes, which do not say which pixels are the object's: left out, or filled rectangles.
        identity: What tells objects apart: "track", "group", or the name of an attribute. CVAT exports masks as tracks
            of one frame each, so that masks need a group or an attribute.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.cvat.from_cvat import CvatOptions, read_cvat

    if len(files) < 2:
        raise InputError("Name the export and the file to write: genvis data convert from-cvat EXPORT.zip OUTPUT.json.")
    *exports, output = files
    _refuse_existing(output, overwrite)
    options = CvatOptions(images, tuple(video or ()), boxes, identity)
    with live_progress() as progress:
        dataset = read_cvat(exports, options, partial(progress, "Writing frames"))
    _write(dataset, output)


def from_coco(
    input: Path,
    output: Path,
    *,
    identity: str | None = None,
    crowds: Literal["auto", "object", "keep"] = "auto",
    overwrite: bool = False,
) -> None:
    """Turn a COCO file of video frames, whose annotations have track ids, into a YouTube-VIS file.

    Images of the same video_id, or else of the same folder, are a video.

    Args:
        input: The COCO file (JSON).
        output: The YouTube-VIS file (JSON) to write.
        identity: The key of the track id in the annotations or their attributes. Without it, track_id, instance_id
            and tracking_id are looked for.
        crowds: What becomes of masks with iscrowd 1: "object" takes them as objects, "keep" as crowds, which are not
            trained on; "auto" takes them as objects where every mask is marked so, as in CVAT's export of masks.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.coco_tracks import read_coco_tracks

    _refuse_existing(output, overwrite)
    _write(read_coco_tracks(input, identity=identity, crowds=crowds), output)


def from_indexed_png(
    input: Path,
    output: Path,
    *,
    images: Path | None = None,
    meta: Path | None = None,
    void: int = 255,
    overwrite: bool = False,
) -> None:
    """Turn folders of indexed PNG files, as DAVIS and YouTube-VOS have them, into a YouTube-VIS file.

    The palette index of a pixel is its object.

    Args:
        input: The folder with a folder of PNG files for each video, or the one above.
        output: The YouTube-VIS file (JSON) to write.
        images: The image folder (JPEGImages), to look for the real names of the images.
        meta: The file with the objects' categories: meta.json of YouTube-VOS or davis_semantics.json. Without it,
            meta.json is looked for; without any, all objects are of the category "object".
        void: The index that stands for no object; -1 for none.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.indexed_png import read_indexed_png

    _refuse_existing(output, overwrite)
    with live_progress() as progress:
        dataset = read_indexed_png(
            input, images=images, meta=meta, void=void, progress=partial(progress, "Reading videos")
        )
    _write(dataset, output)


def from_burst(input: Path, output: Path, *, overwrite: bool = False) -> None:
    """Turn an annotation file of BURST into a YouTube-VIS file.

    File names start from the folder of the split's images (frames/train, ...), which has a folder for each source of
    TAO.

    Args:
        input: all_classes.json of a split.
        output: The YouTube-VIS file (JSON) to write.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.burst import read_burst

    _refuse_existing(output, overwrite)
    _write(read_burst(input), output)


def from_yolo(input: Path, output: Path, *, splits: Words | None = None, overwrite: bool = False) -> None:
    """Turn a YOLO segmentation data set (data.yaml, images, labels) into a YouTube-VIS file.

    Labels with track ids, as Ultralytics writes those of a tracked video, make videos. Other images become videos of
    one frame, of which training makes pseudo videos. File names start from the folder of the data set.

    Args:
        input: The folder of the data set, or its data.yaml.
        output: The YouTube-VIS file (JSON) to write.
        splits: Which of train, val and test to read. Default: all that there are.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.yolo import read_yolo

    _refuse_existing(output, overwrite)
    with live_progress() as progress:
        dataset = read_yolo(input, splits=splits, progress=partial(progress, "Reading images"))
    _write(dataset, output)


def from_mots(
    input: Path, output: Path, *, images: Path | None = None, labels: Path | None = None, overwrite: bool = False
) -> None:
    """Turn MOTS annotations, text or PNG files, into a YouTube-VIS file.

    Args:
        input: A folder of text files, one text file, or a folder with a folder of PNG files for each video.
        output: The YouTube-VIS file (JSON) to write.
        images: The image folder, to look for the real names and the number of the images.
        labels: A text file with the name of class k in line k. Without it, labels.txt is looked for; without any,
            class 1 is "car" and class 2 "pedestrian".
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.mots import read_mots

    _refuse_existing(output, overwrite)
    with live_progress() as progress:
        dataset = read_mots(input, images=images, labels=labels, progress=partial(progress, "Reading videos"))
    _write(dataset, output)


def to_coco(input: Path, output: Path, *, overwrite: bool = False) -> None:
    """Turn a result, or a YouTube-VIS or OVIS file, into a COCO file with an image for each frame and track ids.

    Args:
        input: The folder of a result, its result.json, or a YouTube-VIS or OVIS file (JSON).
        output: The COCO file (JSON) to write.
        overwrite: Replace an existing file.
    """
    from genvis.data.convert.coco_tracks import write_coco_tracks

    _refuse_existing(output, overwrite)
    annotations = _annotations(input)
    _report(annotations, output, write_coco_tracks(annotations, output))


def to_indexed_png(input: Path, output: Path) -> None:
    """Turn a result, or a YouTube-VIS or OVIS file, into indexed PNG files, as DAVIS and YouTube-VOS have them.

    Args:
        input: The folder of a result, its result.json, or a YouTube-VIS or OVIS file (JSON).
        output: The folder to make: Annotations/VIDEO/FRAME.png and meta.json.
    """
    from genvis.data.convert.indexed_png import write_indexed_png

    annotations = _annotations(input)
    with live_progress() as progress:
        remarks = write_indexed_png(annotations, output, partial(progress, "Writing videos"))
    _report(annotations, output, remarks)


def to_mots(input: Path, output: Path) -> None:
    """Turn a result, or a YouTube-VIS or OVIS file, into text files of MOTS.

    Args:
        input: The folder of a result, its result.json, or a YouTube-VIS or OVIS file (JSON).
        output: The folder to make: VIDEO.txt, labels.txt and seqmap.txt.
    """
    from genvis.data.convert.mots import write_mots

    annotations = _annotations(input)
    with live_progress() as progress:
        remarks = write_mots(annotations, output, partial(progress, "Writing videos"))
    _report(annotations, output, remarks)


def to_youtube_vis(input: Path, output: Path, *, overwrite: bool = False) -> None:
    """Turn a result into a YouTube-VIS file; `genvis data append` writes the frames as images too.

    Args:
        input: The folder of a result, or its result.json.
        output: The YouTube-VIS file (JSON) to write.
        overwrite: Replace an existing file.
    """
    from genvis.results.formats.converted import tracks_of_result
    from genvis.results.formats.genvis_json import load

    _refuse_existing(output, overwrite)
    _write(tracks_of_result(load(input)), output)


def to_cvat(input: Path, output: Path, *, tolerance: float = 0.98, overwrite: bool = False) -> None:
    """Turn a result, or a YouTube-VIS or OVIS file, into "CVAT for video 1.1": tracks of polygons to correct in CVAT.

    Create the task in CVAT from the same video, upload the file there as "CVAT 1.1", and export it in the same format;
    `from-cvat --identity group` reads it.

    Args:
        input: The folder of a result, its result.json, or a YouTube-VIS or OVIS file (JSON).
        output: The XML file of one video, or the folder for one of each video.
        tolerance: Lowest IoU of a mask with its polygons. Less gives fewer corners and keyframes; 1 keeps every pixel.
        overwrite: Replace existing files.
    """
    from genvis.data.convert.cvat.to_cvat import write_cvat

    _refuse_existing(output, overwrite)
    dataset = _result_or_annotations(input)
    with live_progress() as progress:
        remarks = write_cvat(dataset, output, tolerance=tolerance, progress=partial(progress, "Writing objects"))
    _print_dataset(dataset, output, remarks)


def to_csv(input: Path, output: Path, *, overwrite: bool = False) -> None:
    """Turn a result, or a YouTube-VIS or OVIS file, into a CSV table: one row for each object and frame.

    The columns are those of `genvis predict --outputs csv`; times and scores of annotations are empty ("nan").

    Args:
        input: The folder of a result, its result.json, or a YouTube-VIS or OVIS file (JSON).
        output: The CSV file to write.
        overwrite: Replace an existing file.
    """
    from genvis.files import make_folder
    from genvis.results.formats.genvis_json import load
    from genvis.results.formats.object_table import annotation_rows, object_rows, write_rows

    _refuse_existing(output, overwrite)
    dataset = _result_or_annotations(input)
    make_folder(output.parent)
    write_rows(object_rows(load(input)) if _is_result(input) else annotation_rows(dataset), output)
    _print_dataset(dataset, output, ())


app = App(name="convert", help="Turn other annotation formats into YouTube-VIS files, and back.")
for verb in (
    from_cvat,
    from_coco,
    from_indexed_png,
    from_mots,
    from_burst,
    from_yolo,
    to_cvat,
    to_youtube_vis,
    to_coco,
    to_indexed_png,
    to_mots,
    to_csv,
):
    app.command(verb)


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if output.exists() and not overwrite:
        raise InputError(f"'{output}' exists already; remove it, name another file, or add --overwrite.")


def _annotations(path: Path) -> "VideoAnnotations":
    """Return the annotations of a file, or those that a result makes."""
    from genvis.results.exporting import annotations_of_result
    from genvis.results.formats.genvis_json import load

    return annotations_of_result(load(path)) if _is_result(path) else _load(path)


def _load(path: Path) -> "VideoAnnotations":
    from genvis.data.annotations.youtube_vis import load_youtube_vis

    return load_youtube_vis(path)


def _result_or_annotations(path: Path) -> "ConvertedDataset":
    from genvis.data.convert.annotation_tracks import tracks_of_annotations
    from genvis.results.formats.converted import tracks_of_result
    from genvis.results.formats.genvis_json import load

    if _is_result(path):
        return tracks_of_result(load(path))
    return tracks_of_annotations(_load(path))


def _is_result(path: Path) -> bool:
    from genvis.results.formats.genvis_json import holds_result

    return path.is_dir() or holds_result(path)


def _write(dataset: "ConvertedDataset", output: Path) -> None:
    from genvis.data.convert.youtube_vis_writing import write_youtube_vis

    write_youtube_vis(dataset, output)
    _print_dataset(dataset, output, dataset.remarks)


def _print_dataset(dataset: "ConvertedDataset", output: Path, remarks: tuple[str, ...]) -> None:
    names = {category.id: category.name for category in dataset.categories}
    tracks = [names[track.category_id] for video in dataset.videos for track in video.tracks]
    masks = sum(len(track.masks) for video in dataset.videos for track in video.tracks)
    frames = sum(len(video.file_names) for video in dataset.videos)
    _print_outcome(output, videos=len(dataset.videos), frames=frames, masks=masks, tracks=tracks, remarks=remarks)


def _report(annotations: "VideoAnnotations", output: Path, remarks: tuple[str, ...]) -> None:
    labels = annotations.categories.names
    _print_outcome(
        output,
        videos=len(annotations),
        frames=len(annotations.file_names),
        masks=sum(int(annotations.present(index).sum()) for index in range(len(annotations))),
        tracks=[labels[track.label] for index in range(len(annotations)) for track in annotations.tracks(index)],
        remarks=remarks,
    )


def _print_outcome(
    output: Path, *, videos: int, frames: int, masks: int, tracks: list[str], remarks: tuple[str, ...]
) -> None:
    from collections import Counter

    from rich.text import Text

    from genvis.cli.common.console import Console

    console = Console(highlight=False)
    console.print(Text(str(output), style="bold"), soft_wrap=True)
    numbers = {"video": videos, "frame": frames, "object": len(tracks), "mask": masks}
    console.print(", ".join(f"{number:,} {word}{'s' * (number != 1)}" for word, number in numbers.items()))
    if tracks:
        by_category = ", ".join(f"{name} {count:,}" for name, count in Counter(tracks).most_common())
        console.print(Text(f"Objects by category: {by_category}"))
    for remark in remarks:
        console.print(Text.assemble(("note  ", "cyan"), remark))
