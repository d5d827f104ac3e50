"""``genvis data merge``: several annotation files become one data set."""

from pathlib import Path

from genvis.cli.common.option_types import AsJson
from genvis.errors import InputError


def merge(*files: Path, images: list[Path] | None = None, overwrite: bool = False, json: AsJson = False) -> None:
    """Merge YouTube-VIS, OVIS and COCO instances files into one YouTube-VIS file.

    Categories of the same name become one. A COCO image becomes a video of one frame, of which training makes pseudo
    videos.

    Args:
        *files: The annotation files (JSON); the last one is the file to write.
        images: The folder that the file names start from: once, or once for each file in their order. File names of
            the merged file start from the folder that all of them are in, which is printed.
        overwrite: Replace an existing file.
        json: Print the numbers as JSON.
    """
    from rich.text import Text

    from genvis.cli.common.console import Console, print_json
    from genvis.data.merge import merge_annotations

    if len(files) < 2:
        raise InputError("Name the files to merge and the file to write: genvis data merge A.json B.json OUTPUT.json.")
    *sources, output = files
    if output.exists() and not overwrite:
        raise InputError(f"'{output}' exists already; remove it, name another file, or add --overwrite.")
    merged = merge_annotations(sources, output, images=tuple(images or ()))
    if json:
        print_json(merged.to_json())
        return
    console = Console(highlight=False)
    console.print(Text(str(output), style="bold"), soft_wrap=True)
    stills = f" ({merged.stills:,} of them single images)" if merged.stills else ""
    objects = sum(merged.tracks_of_category.values())
    console.print(f"{merged.videos:,} videos{stills}, {merged.frames:,} frames, {objects:,} objects")
    counts = sorted(merged.tracks_of_category.items(), key=lambda item: -item[1])
    console.print(Text("Objects by category: " + ", ".join(f"{name} {count:,}" for name, count in counts)))
    if merged.images is not None:
        console.print(Text(f"Its file names start from {merged.images}"), soft_wrap=True)
    for remark in merged.remarks:
        console.print(Text.assemble(("note  ", "cyan"), remark))
