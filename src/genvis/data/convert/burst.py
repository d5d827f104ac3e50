"""Videos with tracks from BURST's annotation files."""

from pathlib import Path
from typing import Any

from genvis.data.convert.tracks import Category, ConvertedDataset, ConvertedTrack, ConvertedVideo, Remarks, unique_names
from genvis.errors import InputError
from genvis.files import read_json_object
from genvis.json_values import whole_number
from genvis.masks import MaskError, RLEMask, read_mask

_REMEDY = "take all_classes.json of a split of BURST's annotations, complete"


def is_burst(content: dict[str, Any]) -> bool:
    """Whether the content of a file is of BURST's kind."""
    return isinstance(content.get("sequences"), list) and "videos" not in content


def read_burst(path: Path) -> ConvertedDataset:
    """Read an annotation file of BURST.

    Args:
        path: ``all_classes.json`` of a split. File names then start from the folder of the split's images, which has a
            folder for each of TAO's sources, and in it one for each video.

    Returns:
        The annotated frames; categories keep LVIS' ids. Only categories that occur are kept.

    Raises:
        InputError: If the file is of another kind or damaged.
    """
    content = read_json_object(path, expected="an object with 'sequences' and 'categories'")
    if not is_burst(content) or not isinstance(content.get("categories"), list):
        raise InputError(f"'{path}' has no lists 'sequences' and 'categories': {_REMEDY}.")
    remarks = Remarks()
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        folders = [f"{entry['dataset']}/{entry['seq_name']}" for entry in content["sequences"]]
        videos = tuple(
            _video(entry, name, folder, path)
            for entry, name, folder in zip(content["sequences"], unique_names(folders), folders, strict=True)
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{path}' is damaged ({type(error).__name__}: {str(error)[:80]}): {_REMEDY}.") from None
    used = sorted({track.category_id for video in videos for track in video.tracks})
    unknown = [identifier for identifier in used if identifier not in names]
    if unknown:
        raise InputError(f"'{path}' has objects of the category {unknown[0]}, which it does not define: {_REMEDY}.")
    remarks.add("BURST does not annotate every object: what is not annotated counts as background in training.")
    return ConvertedDataset(
        tuple(Category(identifier, names[identifier]) for identifier in used), videos, remarks.sentences()
    )


def _video(entry: dict[str, Any], name: str, folder: str, path: Path) -> ConvertedVideo:
    height, width = whole_number(entry["height"]), whole_number(entry["width"])
    if height is None or width is None:
        raise InputError(f"The sequence '{name}' of '{path}' has no height and width: {_REMEDY}.")
    masks: dict[str, dict[int, RLEMask]] = {}
    for frame, found in enumerate(entry["segmentations"]):
        for track, value in found.items():
            try:
                mask = read_mask({"size": [height, width], "counts": value["rle"]}, height=height, width=width)
            except MaskError as error:
                raise InputError(f"Track {track} of '{name}' in '{path}', frame {frame}: {error}.") from None
            if mask is not None:
                masks.setdefault(track, {})[frame] = mask
    tracks = tuple(
        ConvertedTrack(int(track), int(entry["track_category_ids"][track]), found) for track, found in masks.items()
    )
    files = tuple(f"{folder}/{Path(str(image)).name}" for image in entry["annotated_image_paths"])
    return ConvertedVideo(name, height, width, files, tracks)
