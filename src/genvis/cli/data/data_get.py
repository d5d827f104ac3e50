"""``genvis data get``: where public data sets are, and laying out what was downloaded."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from genvis.cli.common.option_types import AsJson
from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.data.known.known_datasets import KnownDataset
    from genvis.data.known.layout import LaidOutSplit


def get(
    name: str | None = None,
    *,
    downloaded: Path | None = None,
    folder: Path | None = None,
    copy: bool = False,
    check: Annotated[bool, Parameter(negative="--no-check")] = True,
    json: AsJson = False,
) -> int:
    """Say where a public data set can be had and under which terms, and lay out and check what you downloaded.

    Nothing is downloaded: the makers of these data sets ask for your consent first. Exit status 1 if something is
    missing or wrong.

    Args:
        name: ytvis_2019, ytvis_2021, ytvis_2022, ovis, coco, lvvis or burst; without it, all are listed.
        downloaded: The folder with the archives that you downloaded, or with what they hold.
        folder: The folder of the data set. Default: datasets/NAME, where the bundled recipes look.
        copy: Copy files instead of linking them.
        check: Also check every mask of what was laid out, as `genvis data check` does.
        json: Print JSON.
    """
    from genvis.cli.common.console import Console, print_json
    from genvis.cli.common.progress_line import live_progress
    from genvis.data.known.known_datasets import dataset_named, known_datasets
    from genvis.data.known.layout import lay_out, look

    if name is None:
        if downloaded is not None:
            raise InputError("Name the data set that was downloaded: genvis data get NAME --downloaded FOLDER.")
        if json:
            print_json([_facts(dataset) for dataset in known_datasets()])
        else:
            _print_all(known_datasets())
        return 0
    dataset = dataset_named(name)
    folder = folder or Path("datasets") / dataset.name
    counts: dict[str, dict[str, int]] = {}
    if downloaded is None:
        splits = look(dataset, folder)
    else:
        with live_progress() as progress:
            splits = lay_out(dataset, downloaded, folder, copy=copy, progress=progress)
        if check:
            counts = _checked(splits)
    if json:
        print_json(
            _facts(dataset) | {"folder": str(folder), "here": [_split(split) for split in splits], "check": counts}
        )
    else:
        _print_one(dataset, folder, splits, counts, console=Console(highlight=False))
    is_wrong = any(split.problems for split in splits) or any(found["error"] for found in counts.values())
    return int(downloaded is not None and is_wrong)


def _checked(splits: "tuple[LaidOutSplit, ...]") -> dict[str, dict[str, int]]:
    """Return how many errors, warnings and notes the annotations of each split have."""
    from genvis.cli.common.progress_line import live_progress
    from genvis.data.check.check_result import check_annotations
    from genvis.data.check.findings import Severity

    counts = {}
    for split in splits:
        if split.annotations is not None and split.has_masks:
            with live_progress() as progress:
                found = check_annotations(split.annotations, split.images, progress=progress).findings
            counts[split.name] = {severity.value: found.count(severity) for severity in Severity}
    return counts


def _print_all(datasets: "tuple[KnownDataset, ...]") -> None:
    from rich.table import Table

    from genvis.cli.common.console import Console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("name", "data set", "categories", "page"):
        table.add_column(header, justify="right" if header == "categories" else "left", overflow="fold")
    for dataset in datasets:
        table.add_row(dataset.name, dataset.title, f"{dataset.categories:,}", dataset.page)
    Console().print(table)
    print("\n`genvis data get NAME` says how to get one of them.")


def _print_one(
    dataset: "KnownDataset",
    folder: Path,
    splits: "tuple[LaidOutSplit, ...]",
    counts: dict[str, dict[str, int]],
    *,
    console: Any,
) -> None:
    from rich.text import Text

    console.print(Text(dataset.title, style="bold"))
    facts = {
        "page": dataset.page,
        "terms": dataset.terms,
        "download": dataset.download,
        "note": dataset.note,
        "recipes": dataset.recipes or "none bundled; `genvis data prepare` writes them for its training file",
        "folder": str(folder),
    }
    for key, value in facts.items():
        console.print(Text.assemble((f"{key + ':':<10}", "dim"), value), soft_wrap=True)
    for split in splits:
        if split.annotations is not None:
            found = counts.get(split.name)
            checked = "" if found is None else f"; check: {found['error']:,} errors, {found['warning']:,} warnings"
            console.print(
                f"{split.name}: {split.videos:,} videos or images, {split.frames:,} frames, "
                f"{split.frames - split.missing:,} of them here{checked}",
                soft_wrap=True,
            )
        for problem in split.problems:
            console.print(Text(problem, style="yellow"), soft_wrap=True)
    if not any(split.annotations for split in splits):
        console.print(f"Then: genvis data get {dataset.name} --downloaded FOLDER", soft_wrap=True)


def _facts(dataset: "KnownDataset") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(dataset)


def _split(split: "LaidOutSplit") -> dict[str, Any]:
    return {
        "name": split.name,
        "annotations": None if split.annotations is None else str(split.annotations),
        "images": None if split.images is None else str(split.images),
        "videos": split.videos,
        "expected": split.expected,
        "frames": split.frames,
        "missing": split.missing,
        "problems": split.problems,
    }
