"""Annotation files of YouTube-VIS 2019, 2021 and 2022 and of OVIS, and any file in the same format."""

from pathlib import Path

from genvis.categories import Categories
from genvis.data.annotations.builder import AnnotationBuilder
from genvis.data.annotations.json_records import iterate_records
from genvis.data.annotations.video_annotations import VideoAnnotations


def load_youtube_vis(path: str | Path, categories: Categories | None = None) -> VideoAnnotations:
    """Read videos, categories and tracks, record by record.

    Masks may be polygons, compressed or uncompressed RLE, or null. "length", "id" and "iscrowd" of an
    annotation may be absent, ids may have gaps, and a file without annotations has videos without tracks.

    Args:
        path: The JSON file.
        categories: The classes of the model. Without it, the file's own categories in the order of their ids.

    Returns:
        The annotations, with OVIS' occlusion levels where the file has them.

    Raises:
        InputError: If the file cannot be read or contradicts itself; the text names the record.
    """
    builder = AnnotationBuilder(Path(path))
    postponed = False
    for name, record in iterate_records(path, ("videos", "categories", "annotations")):
        if name == "videos":
            builder.add_video(record, record.get("file_names") if isinstance(record, dict) else None)
        elif name == "categories":
            builder.add_category(record)
        elif builder.has_videos:
            _add_annotation(builder, record)
        else:
            # Sorted keys put the annotations first, but masks need the sizes of the videos.
            postponed = True
    if postponed and builder.has_videos:
        for _, record in iterate_records(path, ("annotations",)):
            _add_annotation(builder, record)
    return builder.build(categories)


def file_categories(path: str | Path) -> Categories:
    """Return the categories of an annotation file (video or COCO) in the order of their ids, without its annotations.

    Raises:
        InputError: If the file cannot be read or has no categories.
    """
    builder = AnnotationBuilder(Path(path))
    for _, record in iterate_records(path, ("categories",)):
        builder.add_category(record)
    return builder.categories()


def _add_annotation(builder: AnnotationBuilder, record: object) -> None:
    fields = record if isinstance(record, dict) else {}
    builder.add_track(
        record, video_key="video_id", segmentations=fields.get("segmentations"), occlusion=fields.get("occlusion")
    )
