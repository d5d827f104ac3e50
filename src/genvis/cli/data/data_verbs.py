"""``genvis data``: check, convert, merge, split, prepare and generate data sets."""

from pathlib import Path

from cyclopts import App

from genvis.cli.common.option_types import AsJson
from genvis.cli.data.data_append import append
from genvis.cli.data.data_conversions import app as conversions
from genvis.cli.data.data_get import get
from genvis.cli.data.data_merge import merge
from genvis.cli.data.data_prepare import prepare
from genvis.cli.data.data_sprites import sprites
from genvis.errors import InputError


def check(
    file: Path,
    *,
    images: Path | None = None,
    contact_sheet: Path = Path("contact_sheet.png"),
    json: AsJson = False,
    decode_images: bool = False,
    examples: int = 3,
) -> int:
    """Say in plain words everything that is wrong with an annotation file and its images, and draw a contact sheet.

    Reads YouTube-VIS, OVIS and COCO instances files. Errors make the exit status 1; warnings and notes do not.

    Args:
        file: The annotation file (JSON).
        images: The folder that the file names start from. Without it the images are not checked.
        contact_sheet: The picture to draw: frames with their masks, one colour per object.
        json: Print the findings as JSON instead of text.
        decode_images: Decode every image to the last pixel: slow, but finds damage within an image.
        examples: How many places to show for each kind of problem.
    """
    from genvis.cli.common.console import Console, print_json
    from genvis.cli.common.progress_line import live_progress
    from genvis.data.check.check_report import print_report, to_json
    from genvis.data.check.check_result import check_annotations
    from genvis.data.check.example_frames import draw_contact_sheet

    if examples < 1:
        raise InputError(f"--examples is {examples}; at least one place must be shown.")
    console = Console(stderr=json)
    with live_progress() as progress:
        result = check_annotations(file, images, decode_images=decode_images, most_examples=examples, progress=progress)
    if json:
        print_json(to_json(result))
    else:
        print_report(result, console)
    drawn = draw_contact_sheet(result.records, images, contact_sheet)
    if drawn:
        console.print(f"Contact sheet with {drawn} frames: {contact_sheet}", highlight=False, soft_wrap=True)
    return 0 if result.passed else 1


def split(
    file: Path, *, validation: float = 0.1, seed: int = 0, output: Path | None = None, json: AsJson = False
) -> None:
    """Split an annotation file by video into a training set and a validation set.

    The parts have the categories in shares as like as possible. Videos that share images stay together. The same seed
    gives the same split.

    Args:
        file: The YouTube-VIS or OVIS file (JSON).
        validation: The share of the videos for the validation set.
        seed: Another seed, another split.
        output: The folder for NAME_train.json and NAME_validation.json; that of the file if not given.
        json: Print the numbers as JSON instead of a table.
    """
    from rich.table import Table
    from rich.text import Text

    from genvis.cli.common.console import Console, print_json
    from genvis.data.split import split_annotations

    result = split_annotations(file, validation=validation, seed=seed, output=output)
    if json:
        print_json(result.to_json())
        return
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("")
    for name in ("train", "validation", "validation, %"):
        table.add_column(name, justify="right")
    train, out = result.train, result.validation
    rows = [("videos", train.videos, out.videos), ("frames", train.frames, out.frames)]
    rows += [
        (f"tracks of {name}", count, out.tracks_of_category[name]) for name, count in train.tracks_of_category.items()
    ]
    empty = 0
    for name, kept, held in rows:
        if kept + held:
            table.add_row(Text(name), f"{kept:,}", f"{held:,}", f"{100 * held / (kept + held):.0f}")
        else:
            empty += 1
    console.print(table)
    if empty:
        console.print(f"Categories without tracks: {empty}.")
    if result.missing:
        console.print(
            Text(f"Not in the validation set, as there are too few: {', '.join(result.missing)}.", style="yellow")
        )
    if result.untrained:
        console.print(Text(f"In the validation set only: {', '.join(result.untrained)}.", style="yellow"))
    console.print(Text(f"{train.path}\n{out.path}"), soft_wrap=True)


app = App(name="data", help="Get, check, convert, merge, split, prepare or generate data sets.")
for verb in (get, check, conversions, merge, append, split, prepare, sprites):
    app.command(verb)
