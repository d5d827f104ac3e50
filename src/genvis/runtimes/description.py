"""``model.json``: what an exported model is, for this package and for programs without it."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from genvis.errors import InputError
from genvis.files import read_json_object, require_file, write_text
from genvis.json_values import is_text, shown, whole_number
from genvis.runtimes.runtime_names import DESCRIPTION_FILE, GraphFormat

_FORMAT, _VERSION = "genvis export", 2
_LARGEST_JSON = 16_000_000  # Bytes.

ExportFamily = Literal["genvis", "videomt"]
"""``genvis``: a frame-level detector, with or without a tracker of its queries. ``videomt``: one graph for both."""


@dataclass(frozen=True)
class GraphFile:
    """Graph of an export.

    Attributes:
        file: Name of its file in the folder.
        inputs: Shape of each input; a text is a length that may be any.
        outputs: Shape of each output.
        data: Names of files beside it that hold its weights.
    """

    file: str
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    data: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ExportDescription:
    """Content of ``model.json`` that running the export needs.

    Attributes:
        name: Of the model that was exported, for messages.
        family: Which kind of network it is.
        graph_format: How the graphs are stored.
        graphs: By name: ``detector`` and perhaps ``tracker``, or ``step``.
        input_size: Height and width that the network's input has.
        sizes: Of the detector's outputs, fields of a `DetectorSizes`; None for VidEoMT.
        first_queries: File of the queries of the first clip, (Q, C) float32 (NumPy); None without a tracker.
        config: The model's configuration.
    """

    name: str
    family: ExportFamily
    graph_format: GraphFormat
    graphs: dict[str, GraphFile]
    input_size: tuple[int, int]
    sizes: dict[str, Any] | None
    first_queries: str | None
    config: dict[str, Any]

    def files(self, folder: Path) -> list[Path]:
        """Return all files of the export except ``model.json``, in the order of their names."""
        names = [name for graph in self.graphs.values() for name in (graph.file, *graph.data)]
        return [folder / name for name in sorted({*names, *([self.first_queries] if self.first_queries else [])})]


def write_description(folder: Path, description: ExportDescription, *, facts: dict[str, Any]) -> None:
    """Write ``model.json``.

    Args:
        folder: Of the export.
        description: What running it needs.
        facts: What else people and other programs want to know, as JSON values.

    Raises:
        OutputError: If it cannot be written.
    """
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, **asdict(description), **facts}
    document["config"] = document.pop("config")  # Long, and for this package: at the end.
    text = json.dumps(document, indent=1)
    # Lists without lists in them on one line each: shapes, categories.
    text = re.sub(r"\[[^\[\]{}]*\]", lambda match: json.dumps(json.loads(match[0])), text)
    write_text(folder / DESCRIPTION_FILE, text + "\n")


def read_description(folder: Path) -> ExportDescription:
    """Read and check ``model.json``.

    Raises:
        InputError: If it is missing, damaged, of another version, or names a file that is not in the folder.
    """
    path = folder / DESCRIPTION_FILE
    if require_file(path).stat().st_size > _LARGEST_JSON:
        raise InputError(f"'{path}' is larger than {_LARGEST_JSON // 1_000_000} MB, which no description is.")
    document = read_json_object(path, expected="the description of an exported model")
    if document.get("format") != _FORMAT or document.get("version") != _VERSION:
        raise InputError(f"'{path}' describes no export of this version: export the model again.")
    try:
        description = _description(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"'{path}' is damaged ({shown(str(error))}): export the model again.") from None
    for file in description.files(folder):
        require_file(file)
    return description


def _description(document: dict[str, Any]) -> ExportDescription:
    family, graph_format, sizes = document["family"], document["graph_format"], document["sizes"]
    if family not in get_args(ExportFamily) or graph_format not in get_args(GraphFormat):
        raise ValueError(f"family {shown(family)}, graph_format {shown(graph_format)}")
    graphs = {str(name): _graph(entry) for name, entry in document["graphs"].items()}
    if set(graphs) not in ({"detector"}, {"detector", "tracker"}, {"step"}) or ("step" in graphs) != (
        family == "videomt"
    ):
        raise ValueError(f"graphs {shown(sorted(graphs))}")
    if (document["first_queries"] is None) == ("tracker" in graphs):
        raise ValueError("first_queries")
    if not is_text(document["name"]) or not isinstance(document["config"], dict):
        raise ValueError("name or config")
    height, width = (_length(side) for side in document["input_size"])
    return ExportDescription(
        name=document["name"],
        family=family,
        graph_format=graph_format,
        graphs=graphs,
        input_size=(height, width),
        sizes=None if family == "videomt" else _sizes(sizes),
        first_queries=None if document["first_queries"] is None else _plain(document["first_queries"]),
        config=document["config"],
    )


def _graph(entry: dict[str, Any]) -> GraphFile:
    inputs, outputs = (
        {str(name): [side if is_text(side) else _length(side) for side in shape] for name, shape in entry[kind].items()}
        for kind in ("inputs", "outputs")
    )
    return GraphFile(_plain(entry["file"]), inputs, outputs, [_plain(name) for name in entry["data"]])


def _sizes(entry: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(entry["query_index_has_meaning"], bool):
        raise ValueError("query_index_has_meaning")
    lengths = {name: _length(entry[name]) for name in ("queries", "query_dim", "feature_dim", "classes", "layers")}
    return {**lengths, "query_index_has_meaning": entry["query_index_has_meaning"]}


def _length(value: Any) -> int:
    number = whole_number(value)
    if number is None or not 1 <= number <= 1_000_000:
        raise ValueError(f"{shown(value)} is no length")
    return number


def _plain(name: Any) -> str:
    """Return a file name; one with a folder in it could point anywhere."""
    if not is_text(name) or not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise ValueError(f"{shown(name)} is no plain file name")
    return name
