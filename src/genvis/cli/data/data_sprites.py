"""``genvis data sprites``: make a data set of generated videos."""

from pathlib import Path
from typing import Literal

from genvis.cli.common.option_types import Words


def sprites(
    output: Path,
    *,
    videos: int = 20,
    length: int | None = None,
    height: int = 96,
    width: int = 160,
    difficulty: Literal["easy", "normal", "hard", "occluded", "returning"] = "normal",
    min_objects: int | None = None,
    max_objects: int | None = None,
    occlusion: float | None = None,
    look_alikes: float | None = None,
    max_absence: int | None = None,
    split: Literal["train", "validation", "novel"] = "train",
    categories: Words | None = None,
    seed: int = 0,
    backgrounds: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Make videos of emoji sprites that cross, hide one another, leave and come back, with exact masks.

    Writes JPEG frames and a YouTube-VIS annotation file with OVIS' 25 categories. The same arguments make the same
    videos. The sprites are OpenMoji's (CC BY-SA 4.0; the credit is written beside the frames).

    Args:
        output: The folder to make.
        videos: Number of videos.
        length: Frames of a video; if not given, the difficulty's own (36, 48 or 72).
        height: Height of the frames, pixels.
        width: Width of the frames, pixels.
        difficulty: The preset: number and size of objects, occlusion, look-alikes, absences, light.
        min_objects: Fewest objects of a video, instead of the preset's (1, 2 or 4).
        max_objects: Most objects of a video, instead of the preset's (3, 6 or 10).
        occlusion: How often an object heads for another one, 0 to 1, instead of the preset's (0.15, 0.45 or 0.7).
        look_alikes: How often a further object is a look-alike of an earlier one, 0 to 1, instead of the preset's
            (0.1, 0.35 or 0.65).
        max_absence: Most frames that an object stays away, instead of the preset's (none, 20 or 45).
        split: Validation shows the glyphs in styles that training lacks; novel has glyphs that training lacks, too.
        categories: Categories that the objects are of, by OVIS' names, joined by commas: Cat,Giant_panda. All 25 if
            not given.
        seed: Another seed, other videos.
        backgrounds: A folder of pictures to use instead of the generated backgrounds.
        overwrite: Replace a folder that this command has made before.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from genvis.cli.common.console import Console
    from genvis.data.sprites.dataset import SpriteVideos
    from genvis.data.sprites.difficulty import difficulty_named
    from genvis.data.sprites.sprite_export import export_sprites

    level = difficulty_named(difficulty).changed(
        min_objects=min_objects,
        max_objects=max_objects,
        occlusion=occlusion,
        look_alikes=look_alikes,
        max_absence=max_absence,
    )
    dataset = SpriteVideos(
        videos,
        height=height,
        width=width,
        length=length,
        difficulty=level,
        split=split,
        seed=seed,
        category_names=categories or (),
        backgrounds=backgrounds,
    )
    total = videos * dataset.length
    columns = (
        TextColumn("sprites"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TextColumn("{task.fields[rate]:.0f} frames/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sprites", total=total, rate=0.0)

        def advance() -> None:
            progress.update(task, advance=1, rate=progress.tasks[task].speed or 0.0)

        annotations = export_sprites(dataset, output, overwrite=overwrite, on_frame=advance)
    print(f"{videos} videos, {total} frames: {annotations}")
    print(f"frames: {annotations.parent / 'frames'}")
