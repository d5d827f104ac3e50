"""``genvis data``: check, convert, split and generate data sets."""

from pathlib import Path

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
    from rich.console import Console

    from genvis.data.check.contact_sheet import draw_contact_sheet
    from genvis.data.check.report import checking_progress, print_report, write_json
    from genvis.data.check.result import check_annotations

    if examples < 1:
        raise InputError(f"--examples is {examples}; at least one place must be shown.")
    console = Console()
    with checking_progress() as progress:
        result = check_annotations(file, images, decode_images=decode_images, most_examples=examples, progress=progress)
    print_report(result, console)
    if json is not None:
        write_json(result, json)
    drawn = draw_contact_sheet(result.records, images, contact_sheet)
    if drawn:
        console.print(f"Contact sheet with {drawn} frames: {contact_sheet}", highlight=False, soft_wrap=True)
    return 0 if result.passed else 1


COMPONENTS = {"check": check}
