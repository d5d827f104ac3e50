"""``genvis models``: which pretrained models there are, what they know, and fetching them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cyclopts import App

from genvis.checkpoints.hub import (
    cached_snapshot,
    copy_snapshot,
    fetch_snapshot,
    hub_cache,
    is_hub_id,
    local_folder,
    megabytes,
)
from genvis.checkpoints.registry import DEFAULT_MODEL, RegistryEntry, entry_of, find_entry, registry, weights_elsewhere
from genvis.cli.common.option_types import AsJson, Out
from genvis.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from genvis.model.preprocessing import Preprocessing


app = App(name="models", help="List the pretrained models, or fetch or show one.")


@app.default
def list_models(*, json: AsJson = False) -> None:
    """List the pretrained models. `genvis models show NAME` shows one, `genvis models fetch NAME` fetches it.

    Args:
        json: Print JSON instead of a table.
    """
    from genvis.cli.common.console import Console, print_json

    if json:
        print_json([_as_json(entry) for entry in registry()])
        return
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(_table(registry()))
    print(
        f"\nUse one with `genvis predict VIDEO --weights NAME`; the default is {DEFAULT_MODEL}. AP is mask AP as the "
        f"authors publish it.\n`genvis models show NAME` shows one of them. Cache of the Hub: {hub_cache()}"
    )


@app.command
def fetch(names: list[str], *, out: Out | None = None) -> None:
    """Fetch models of the Hub into the local cache, so that they can be used without a network.

    Args:
        names: Names that `genvis models` lists, or Hub ids (owner/name).
        out: Also copy the model into this folder, to carry it to another machine. For one name only.
    """
    if out is not None and len(names) > 1:
        raise InputError(f"--out takes one model, not {len(names)}: fetch them one by one.")
    for name in names:
        folder = fetch_snapshot(_hub_id(name))
        if out is not None:
            copy_snapshot(folder, out)
            folder = out
        print(f"{name} is in {folder}")


def _hub_id(name: str) -> str:
    entry = find_entry(name)
    if entry is None and is_hub_id(name):
        return name
    entry = entry or entry_of(name)  # The latter raises.
    if entry.is_bundled:
        raise InputError(f"'{name}' is part of this package: there is nothing to fetch.")
    if entry.hub_id is None:
        raise weights_elsewhere(entry)
    return entry.hub_id


@app.command
def show(name: str, *, json: AsJson = False) -> None:
    """Show one model: categories, preprocessing, published accuracy, source and the line that uses it.

    Args:
        name: A name that `genvis models` lists, a Hub id, or a model folder.
        json: Print JSON instead of lines.
    """
    description = _description(name)
    if json:
        from genvis.cli.common.console import print_json

        print_json({key.replace(" ", "_"): value for key, value in description.items() if value})
        return
    for key, value in description.items():
        if value:
            print(f"{key + ':':<15} {value}")


def _description(name: str) -> dict[str, str]:
    """Return what is known of a model, by what it is; facts that are not known are empty."""
    folder = local_folder(name)
    entry = find_entry(name)
    if folder is None and entry is None:
        if is_hub_id(name):
            raise InputError(f"'{name}' is not in the cache ({hub_cache()}): run `genvis models fetch {name}` first.")
        entry_of(name)  # Raises.
    facts = {} if entry is None else _facts(entry)
    if folder is not None:
        from genvis.checkpoints.load import read_config
        from genvis.model.config import GenVISConfig

        config = read_config(folder, name=name)
        is_detector = isinstance(config, GenVISConfig) and config.method == "minvis"
        facts.setdefault("family", str((config.detector_config if is_detector else config).model_type))
        facts["categories"] = ", ".join(config.categories.names)
        facts["preprocessing"] = _resizing(config.preprocessing)
        facts["folder"] = str(folder)
        facts.setdefault("use", f"genvis predict VIDEO --weights {name}")
    return {"name": name, **facts}


def _resizing(preprocessing: "Preprocessing") -> str:
    """Return in words how frames are resized."""
    side, longest = preprocessing.short_side, preprocessing.max_size
    if preprocessing.rule == "square":
        return f"resized to {side}x{side} pixels, whatever their aspect"
    if preprocessing.rule == "longest_edge":
        return f"longer side {side} pixels, padded to a square"
    limit = f", longer side at most {longest}" if longest else ""
    manner = "padded" if preprocessing.fill == "pad" else "resized"
    return f"shorter side {side} pixels{limit}, {manner} to multiples of {preprocessing.divisor}"


def _facts(entry: RegistryEntry) -> dict[str, str]:
    from genvis.categories import known_categories

    names = known_categories(entry.categories).names if entry.categories else ()
    published = "" if entry.average_precision is None else f"{entry.average_precision:.1f} on {entry.measured_on}"
    return {
        "family": entry.family,
        "trained on": entry.trained_on,
        "categories": ", ".join(names) or f"{entry.num_categories}, named in the weights' folder",
        "published AP": published,
        "parameters": "" if entry.parameters is None else f"{entry.parameters:,}",
        "size": megabytes(entry.size_in_bytes),
        "licence": entry.licence or "not stated",
        "Hub id": entry.hub_id or "",
        "source": entry.source,
        "note": entry.note,
        "use": entry.usage,
    }


def _table(entries: Sequence[RegistryEntry]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("name", "family", "trained on", "classes", "AP", "measured on", "parameters", "size"):
        table.add_column(header, justify="right" if header in ("classes", "AP", "parameters", "size") else "left")
    table.add_column("licence")
    table.add_column("here")
    for entry in entries:
        table.add_row(
            entry.name,
            entry.family,
            entry.trained_on,
            str(entry.num_categories),
            "" if entry.average_precision is None else f"{entry.average_precision:.1f}",
            entry.measured_on,
            "" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M",
            megabytes(entry.size_in_bytes),
            entry.licence,
            _place(entry),
        )
    return table


def _place(entry: RegistryEntry) -> str:
    """Return where the weights are: in the package, in the cache, on the Hub, or elsewhere."""
    if entry.is_bundled:
        return "bundled"
    if entry.hub_id is None:
        return "by hand" if entry.has_weights else "no weights"
    return "cached" if cached_snapshot(entry.hub_id) else "on the Hub"


def _as_json(entry: RegistryEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "family": entry.family,
        "trained_on": entry.trained_on,
        "categories": entry.categories,
        "num_categories": entry.num_categories,
        "average_precision": entry.average_precision,
        "measured_on": entry.measured_on,
        "parameters": entry.parameters,
        "size_in_bytes": entry.size_in_bytes,
        "licence": entry.licence,
        "hub_id": entry.hub_id,
        "source": entry.source,
        "place": _place(entry),
        "usage": entry.usage,
        "note": entry.note,
        "is_default": entry.name == DEFAULT_MODEL,
    }
