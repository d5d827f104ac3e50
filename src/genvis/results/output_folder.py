"""The folder of a video's result: everything that people, tools and a web page want to see."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genvis.errors import InputError
from genvis.files import atomic_folder, make_folder, write_json, write_text
from genvis.results.formats.mask_pngs import write_label_pngs
from genvis.results.formats.object_table import write_csv, write_parquet
from genvis.results.output_names import FILE_NAMES, PICTURES, OutputName, output_names
from genvis.results.types import VideoResult
from genvis.video.drawing.contact_sheet import ContactSheet
from genvis.video.drawing.instances import draw_instances
from genvis.video.sources.opening import Source, open_source
from genvis.video.sources.prefetch import prefetch
from genvis.video.sources.source import RGBImage
from genvis.video.writing.background_writer import BackgroundWriter
from genvis.video.writing.video_writer import video_writer


@dataclass(frozen=True, slots=True)
class SavedFiles:
    """Where the outputs are; None where one was not asked for or there was nothing to write.

    Attributes:
        folder: The folder.
        result: The result as JSON, for ``VideoResult.load``.
        youtube_vis: YouTube-VIS results.
        mots: MOTS text.
        pngs: Folder of the label maps.
        csv: A row per object and frame, as CSV.
        parquet: The same as Parquet.
        video: The annotated video.
        contact_sheet: The contact sheet.
    """

    folder: Path
    result: Path | None = None
    youtube_vis: Path | None = None
    mots: Path | None = None
    pngs: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    video: Path | None = None
    contact_sheet: Path | None = None

    def written(self) -> tuple[Path, ...]:
        """Return the outputs that are there, pictures first."""
        places = {name: getattr(self, name) for name in (*PICTURES, *FILE_NAMES)}
        return tuple(place for place in places.values() if place is not None)


def save_result(
    result: VideoResult,
    folder: str | Path,
    *,
    source: Source | None = None,
    outputs: Sequence[OutputName] | None = None,
    video_id: int = 1,
    progress: Callable[[int], None] | None = None,
) -> SavedFiles:
    """Write a result into a folder; every output appears whole or not at all.

    Args:
        result: The result.
        folder: Made if it does not exist; files of the same names are replaced.
        source: The video, to draw on for ``video`` and ``contact_sheet``: anything that ``open_source`` takes.
        outputs: Any of ``result`` (result.json), ``youtube_vis`` (youtube_vis.json), ``mots`` (mots.txt), ``pngs``
            (masks/, one label map per frame), ``csv`` and ``parquet`` (objects.csv, objects.parquet: one row per object
            and frame), ``video`` (annotated.mp4) and ``contact_sheet`` (contact_sheet.png).
            None for the two JSON files, and the two pictures if there is a source.
        video_id: The data set's id of the video, for ``youtube_vis``.
        progress: Called with the number of frames drawn so far.

    Returns:
        Where the files are.

    Raises:
        InputError: If an output is unknown, a picture is asked for without a source, the source is not the video of the
            result, the folder cannot be written, or the disk is full.
    """
    wanted = _wanted(outputs, has_source=source is not None)
    directory = make_folder(folder)
    places: dict[OutputName, Path] = {name: directory / FILE_NAMES[name] for name in wanted}
    if "result" in wanted:
        write_json(places["result"], result.to_json())
    if "youtube_vis" in wanted:
        write_json(places["youtube_vis"], result.to_youtube_vis(video_id))
    if "mots" in wanted:
        write_text(places["mots"], result.to_mots())
    if "pngs" in wanted:
        with atomic_folder(places["pngs"], overwrite=True) as pngs:
            write_label_pngs(result, pngs)
    if "csv" in wanted:
        write_csv(result, places["csv"])
    if "parquet" in wanted:
        write_parquet(result, places["parquet"])
    if source is not None and any(name in wanted for name in PICTURES):
        drawn = render_result(
            result,
            source,
            video=places.get("video"),
            contact_sheet=places.get("contact_sheet"),
            progress=progress,
        )
        if not drawn:
            places = {name: place for name, place in places.items() if name not in PICTURES}
    return SavedFiles(folder=directory, **places)


def remove_other_outputs(folder: Path, kept: Sequence[OutputName]) -> None:
    """Remove the outputs of an earlier run that are not among ``kept``, so that a folder never mixes two runs."""
    for name, file in FILE_NAMES.items():
        place = folder / file
        if name in kept or not place.exists():
            continue
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink()


def render_result(
    result: VideoResult,
    source: Source,
    *,
    video: Path | None = None,
    contact_sheet: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Draw a result on its video, one frame in memory at a time.

    Args:
        result: The result.
        source: The video; frames that the result does not know are left out.
        video: Where to write the annotated mp4.
        contact_sheet: Where to write the contact sheet PNG.
        progress: Called with the number of frames drawn so far.

    Returns:
        How many frames were drawn; with none, nothing is written.

    Raises:
        InputError: If the source is live or of another size.
        OutputError: If a file cannot be written.
    """
    positions = {stamp.index: position for position, stamp in enumerate(result.frames)}
    sheet = ContactSheet(title=sheet_title(result), frames=len(positions))
    drawn = 0
    with open_source(source) as frames, ExitStack() as stack:
        if frames.is_live:
            raise InputError(
                f"'{frames.name}' is live and cannot be read again to draw on: draw while it is segmented."
            )
        writer = video and stack.enter_context(BackgroundWriter(video_writer(video, frames), waiting=3))
        for frame in stack.enter_context(prefetch(frames, size=2)):
            if frame.index not in positions:
                continue
            if (frame.height, frame.width) != (result.height, result.width):
                raise InputError(
                    f"'{frames.name}' is {frame.width}x{frame.height}, but the result is of "
                    f"{result.width}x{result.height}: this is another video."
                )
            position = positions[frame.index]
            if writer:
                # The masks are decoded where they are drawn, so that those of waiting frames take no room.
                writer.write(partial(_drawn, result, position, frame.image), time=frame.time)
            if contact_sheet:
                tile = _drawn(result, position, sheet.fit(frame.image)) if sheet.wants_next else None
                sheet.add(tile, time=frame.time, index=frame.index)
            drawn += 1
            if progress is not None:
                progress(drawn)
            if drawn == len(positions):
                break
    if drawn and contact_sheet is not None:
        sheet.save(contact_sheet)
    return drawn


def _drawn(result: VideoResult, position: int, image: RGBImage) -> RGBImage:
    """Draw one frame of a result, as `FrameResult.draw` does; masks of its size are decoded within their boxes only."""
    if image.shape[:2] != (result.height, result.width):
        return result.frame(position).draw(image)
    shown = [(track, mask) for track in result.tracks if (mask := track.masks[position]) is not None]
    return draw_instances(
        image,
        masks=[mask for _, mask in shown],
        ids=[track.id for track, _ in shown],
        labels=[track.label for track, _ in shown],
        scores=[track.score for track, _ in shown],
    )


def sheet_title(result: VideoResult) -> str:
    """Return the first line of a result's contact sheet."""
    counts: dict[str, int] = {}
    for track in result.tracks:
        counts[track.label] = counts.get(track.label, 0) + 1
    objects = ", ".join(f"{count} {label}" for label, count in counts.items()) or "no objects"
    return f"{result.name}   {result.width}x{result.height}, {len(result)} frames   {objects}"


def _wanted(outputs: Sequence[str] | None, *, has_source: bool) -> tuple[OutputName, ...]:
    if outputs is None:
        return ("result", "youtube_vis", *(PICTURES if has_source else ()))
    for name in outputs:
        if name in PICTURES and not has_source:
            raise InputError(f"The output '{name}' needs the source of the video to draw on.")
    return output_names(outputs)
