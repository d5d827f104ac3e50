"""Results as label maps, a PNG per frame."""

from pathlib import Path

from genvis.results.types import VideoResult
from genvis.video.writing.label_png import MAX_INDEX, safe_name, write_label_png


def write_label_pngs(result: VideoResult, folder: Path) -> list[Path]:
    """Write the label map of every frame as PNG, pixel value = track id, 0 = background.

    PNGs are indexed with the tracks' colours, as in DAVIS; if a track id exceeds 255, all PNGs of the video are
    16-bit grey instead, as in MOTS. Overlaps go to the higher score.

    Args:
        result: The result.
        folder: An existing folder; files are named after the frames.

    Returns:
        The files, in order.

    Raises:
        InputError: If a track id exceeds 65,535.
        OutputError: If the folder cannot be written, or the disk is full.
    """
    indexed = all(track.id <= MAX_INDEX for track in result.tracks)
    files = []
    for frame in result:
        files.append(folder / f"{safe_name(frame.stamp.name)}.png")
        write_label_png(files[-1], frame.label_map(), indexed=indexed)
    return files
