"""Annotation files of COCO instances: every image is a video of one frame."""

from pathlib import Path

from genvis.categories import Categories, coco_to, known_categories
from genvis.data.annotations.builder import AnnotationBuilder
from genvis.data.annotations.json_records import iterate_records
from genvis.data.annotations.video_annotations import VideoAnnotations


def load_coco(
    path: str | Path, categories: Categories | None = None, *, classes_of: str | None = None
) -> VideoAnnotations:
    """Read images, categories and objects, record by record.

    Args:
        path: The JSON file.
        categories: The classes of the model. Without it, the file's own categories in the order of their ids.
        classes_of: A video data set, for example ``"ovis"``: COCO's categories become those of that data set, and
            objects without a counterpart there are left out. Instead of `categories`.

    Returns:
        The annotations; every video has one frame.

    Raises:
        InputError: If the file cannot be read or contradicts itself, or if no map to `classes_of` is known.
    """
    mapping = None if classes_of is None else coco_to(classes_of)
    builder = AnnotationBuilder(Path(path))
    postponed = False
    for name, record in iterate_records(path, ("images", "categories", "annotations")):
        if name == "images":
            file_name = record.get("file_name") if isinstance(record, dict) else None
            builder.add_video(record, [file_name], kind="Image")
        elif name == "categories":
            builder.add_category(record)
        elif builder.has_videos:
            _add_annotation(builder, record, mapping)
        else:
            postponed = True
    if postponed and builder.has_videos:
        for _, record in iterate_records(path, ("annotations",)):
            _add_annotation(builder, record, mapping)
    if classes_of is not None:
        return builder.build(known_categories(classes_of), mapped_from=known_categories("coco"))
    return builder.build(categories)


def _add_annotation(builder: AnnotationBuilder, record: object, mapping: dict[int, int] | None) -> None:
    segmentation = record.get("segmentation") if isinstance(record, dict) else None
    builder.add_track(record, video_key="image_id", segmentations=[segmentation], mapping=mapping)
