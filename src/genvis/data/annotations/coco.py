"""Annotation files of COCO instances: every image is a video of one frame."""

from pathlib import Path

from genvis.categories import LabelSet, coco_to
from genvis.categories import label_set as known_label_set
from genvis.data.annotations.builder import AnnotationBuilder
from genvis.data.annotations.json_records import iterate_records
from genvis.data.annotations.video_annotations import VideoAnnotations


def load_coco(
    path: str | Path, label_set: LabelSet | None = None, *, classes_of: str | None = None
) -> VideoAnnotations:
    """Read images, categories and objects, record by record.

    Args:
        path: The JSON file.
        label_set: The classes of the model. Without it, the file's own categories in the order of their ids.
        classes_of: A video data set, for example ``"ovis"``: COCO's categories become those of that data set, and
            objects without a counterpart there are left out. Instead of `label_set`.

    Returns:
        The annotations; every video has one frame.

    Raises:
        InputError: If the file cannot be read or contradicts itself, or if no map to `classes_of` is known.
    """
    categories = None if classes_of is None else coco_to(classes_of)
    builder = AnnotationBuilder(Path(path))
    postponed = False
    for name, record in iterate_records(path, ("images", "categories", "annotations")):
        if name == "images":
            file_name = record.get("file_name") if isinstance(record, dict) else None
            builder.add_video(record, [file_name], kind="Image")
        elif name == "categories":
            builder.add_category(record)
        elif builder.has_videos:
            _add_annotation(builder, record, categories)
        else:
            postponed = True
    if postponed and builder.has_videos:
        for _, record in iterate_records(path, ("annotations",)):
            _add_annotation(builder, record, categories)
    if classes_of is not None:
        return builder.build(known_label_set(classes_of), mapped_from=known_label_set("coco"))
    return builder.build(label_set)


def _add_annotation(builder: AnnotationBuilder, record: object, categories: dict[int, int] | None) -> None:
    segmentation = record.get("segmentation") if isinstance(record, dict) else None
    builder.add_track(record, video_key="image_id", segmentations=[segmentation], categories=categories)
