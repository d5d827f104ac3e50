"""``genvis data``: check, convert, split, prepare and generate data sets."""

from pathlib import Path

from cyclopts import App

from genvis.cli.data.data_conversions import app as conversions
from genvis.cli.data.data_sprites import sprites
from genvis.errors import InputError


def check(
    file: Path,
    *,
    images: Path | None = None,
    contact_sheet: Path = Path("contact_sheet.png"),
    json: Path | None = None,
    decode_images: bool = False,
    examples: int = 3,
) -> int:
    """Say in plain words everything that is wrong with an annotation file and its images, and draw a contact sheet.

    Reads YouTube-VIS, OVIS and COCO instances files. Errors make the exit status 1; warnings and notes do not.

    Args:
        file: The annotation file (JSON).
        images: The folder that the file names start from. Without it the images are not checked.
        contact_sheet: The picture to draw: frames with their masks, one colour per object.
        json: Also write the findings to this file, for programs.
        decode_images: Decode every image to the last pixel: slow, but finds damage within an image.
        examples: How many places to show for each kind of problem.
    """
    from genvis.cli.common.console import Console
    from genvis.cli.common.progress_line import live_progress
    from genvis.data.check.check_report import print_report, write_json
    from genvis.data.check.check_result import check_annotations
    from genvis.data.check.example_frames import draw_contact_sheet

    if examples < 1:
        raise InputError(f"--examples is {examples}; at least one place must be shown.")
    console = Console()
    with live_progress() as progress:
        result = check_annotations(file, images, decode_images=decode_images, most_examples=examples, progress=progress)
    print_report(result, console)
    if json is not None:
        write_json(result, json)
    drawn = draw_contact_sheet(result.records, images, contact_sheet)
    if drawn:
        console.print(f"Contact sheet with {drawn} frames: {contact_sheet}", highlight=False, soft_wrap=True)
    return 0 if result.passed else 1


def split(file: Path, *, validation: float = 0.1, seed: int = 0, output: Path | None = None) -> None:
    """Split an annotation file by video into a training set and a validation set.

    The parts have the categories in shares as like as possible. Videos that share images stay together. The same seed
    gives the same split.

    Args:
        file: The YouTube-VIS or OVIS file (JSON).
        validation: The share of the videos for the validation set.
        seed: Another seed, another split.
        output: The folder for NAME_train.json and NAME_validation.json; that of the file if not given.
    """
    from rich.table import Table
    from rich.text import Text

    from genvis.cli.common.console import Console
    from genvis.data.split import split_annotations

    result = split_annotations(file, validation=validation, seed=seed, output=output)
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


def prepare(
    file: Path,
    *,
    images: Path = Path("images"),
    init: str = "",
    validation: float = 0.1,
    seed: int = 0,
    name: str | None = None,
) -> None:
    """Get an annotation file of your own ready for training: split it, and write the recipes of its stages.

    Writes NAME_train.json, NAME_validation.json, NAME_detector.yaml and NAME_genvis.yaml beside the file. A single
    video cannot be split: all of it is trained on, and nothing is measured.

    Args:
        file: The YouTube-VIS or OVIS file (JSON).
        images: The folder that the file names start from.
        init: Weights to start from; always to be given. A model folder, a name of `genvis models`, a published .pth
            file, or a Hub id, of a GenVIS or of a detector: a Mask2Former such as
            facebook/mask2former-swin-tiny-coco-instance learns your classes first; an EoMT or RF-DETR stays frozen.
        validation: The share of the videos for the validation set.
        seed: Another seed, another split.
        name: Of the recipes and the runs; that of the file if not given.
    """
    from genvis.data.split import split_annotations
    from genvis.files import read_json_object
    from genvis.training.recipe.own_videos import plan_own_recipes, write_own_recipes

    if not init:
        raise InputError(
            "Name the weights to start from, with --init: a model folder, a name of `genvis models`, a published .pth "
            "file, or a Hub id such as facebook/mask2former-swin-tiny-coco-instance."
        )
    recipes = plan_own_recipes(name=name or file.stem, images=images, init=init, folder=file.parent)
    videos = read_json_object(file, expected="an object with 'videos', 'annotations' and 'categories'").get("videos")
    train, out = file, None
    if isinstance(videos, list) and len(videos) == 1:
        print("One video cannot be split: all of it is trained on, and no AP is measured.")
    else:
        result = split_annotations(file, validation=validation, seed=seed)
        train, out = result.train.path, result.validation.path
        print(f"{result.train.videos:,} videos to train on, {result.validation.videos:,} to validate on.")
    write_own_recipes(recipes, train=train, validation=out)
    model = f"runs/{recipes.name}-genvis/model"
    print("\n".join(["Now run", *(f"  genvis train {recipe}" for recipe in recipes.files)]))
    print(f"  genvis predict VIDEO --weights {model} -o out")


app = App(name="data", help="Check, convert, split, prepare or generate data sets.")
for verb in (check, conversions, split, prepare, sprites):
    app.command(verb)
