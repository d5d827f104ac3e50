"""Export of a model as a folder that is complete and verified, or is not there."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor

from genvis import __version__
from genvis.categories import Categories
from genvis.errors import InputError
from genvis.export.onnx_files import OPSET, WeightType, require_exporter, write_graph
from genvis.export.traced_networks import TracedDetector, TracedNetwork, TracedTracker, TracedVidEoMT
from genvis.export.verification import ExportDiffers, OutputDifference, differences
from genvis.files import atomic_folder
from genvis.fingerprint import tensors_stamp
from genvis.model.genvis import GenVIS
from genvis.model.preprocessing import Preprocessing
from genvis.model.tracker.videomt import VidEoMT
from genvis.runtimes.description import ExportDescription, read_description, write_description
from genvis.runtimes.exported_model import ExportFolder
from genvis.runtimes.runtime_names import DESCRIPTION_FILE, GraphFormat
from genvis.video import open_source

FIRST_QUERIES_FILE = "first_queries.npy"
# In words, for programs without this package.
_SCORING = {
    "genvis": "Query q is one object through the whole video. The softmax of class_logits, without its last class 'no "
    "object', is a class probability. The score of a query and class is its greatest probability over all clips, times "
    "the mean of the sigmoid of the query's mask logits, resized to 'resized', inside its masks over all frames. The "
    "first clip takes first_queries.npy and a memory of one place that is not filled; each clip gives the queries of "
    "the next, and a key and a value for the memory.",
    "videomt": "Query q is one object through the whole video. The score of a query and class is the softmax of the "
    "mean of class_logits over all frames; the last class is 'no object'. Each frame gives the state of the next; the "
    "first frame takes zeros, and has_state 0.",
    "detector": "class_scores are probabilities of one frame. Which queries of two frames are one object is for a "
    "matching to say, for example of frame_queries by their cosine.",
}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export, and for which frames.

    Attributes:
        graph_format: How graphs are stored.
        height: Of the frames of the videos, in pixels.
        width: Of the frames.
        resolution: Frames are resized so that the shorter side has this many pixels; None takes the model's.
        weights: How weights are stored; the arithmetic is in float32.
        source: A video or image whose frames the export is verified on; None takes the bundled clip.
        overwrite: Replace an export that is there already.

    Raises:
        InputError: If a size is below 1.
    """

    graph_format: GraphFormat = "onnx"
    height: int = 720
    width: int = 1280
    resolution: int | None = None
    weights: WeightType = "float32"
    source: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        folder: Where it is.
        input_size: Height and width of the network's input.
        files: Names of all files with their sizes in bytes.
        differences: To PyTorch, on real frames.
    """

    folder: Path
    input_size: tuple[int, int]
    files: dict[str, int]
    differences: list[OutputDifference]

    def table(self) -> Table:
        """Return the table of differences that the command prints."""
        table = Table(title="differences to PyTorch", title_justify="left")
        for column in ("output", "greatest difference", "greatest value"):
            table.add_column(column, justify="left" if column == "output" else "right")
        for one in self.differences:
            table.add_row(one.output, f"{one.greatest:.1e}", f"{one.largest:.3g}")
        return table


def export_model(model: GenVIS | VidEoMT, folder: Path, options: ExportOptions, *, name: str) -> ExportReport:
    """Write a model's graphs and description, and verify them; the folder appears when all is well.

    Args:
        model: On the CPU, in float32. Its weights are rounded where they are stored in a lower precision.
        folder: Where the export goes.
        options: Format, sizes, weights.
        name: Of the model, for the description.

    Raises:
        InputError: If the folder is taken, the model is one that cannot be exported, or a frame cannot be read.
        MissingExtraError: If a library is not installed.
        ExportDiffers: If the graphs do not compute what the model computes.
        OutputError: If the folder cannot be written.
    """
    require_exporter(options.graph_format)
    if isinstance(model, GenVIS) and model.config.method == "vita":
        raise InputError("A VITA model sees the whole video at once, which no graph of a clip can: export a GenVIS.")
    if folder.is_dir() and options.overwrite and not (folder / DESCRIPTION_FILE).is_file() and any(folder.iterdir()):
        raise InputError(f"'{folder}' holds something else than an export: name another folder.")
    model.eval().requires_grad_(False)
    round_weights(model, options.weights)
    config = deepcopy(model.config)
    preprocessing: Preprocessing = config.preprocessing
    if options.resolution is not None:
        preprocessing = preprocessing.with_resolution(options.resolution)
        config.min_size_test = preprocessing.short_side
        config.max_size_test = preprocessing.max_size or config.max_size_test
    frames = torch.stack(list(islice(_frames(options), 2 * config.clip_length)))
    clips = preprocessing.normalize(preprocessing.resize(frames)).split(config.clip_length)
    height, width = clips[0].shape[-2:]
    with atomic_folder(folder, overwrite=options.overwrite) as partial:
        graphs = {
            key: write_graph(network, partial, key, graph_format=options.graph_format, weights=options.weights)
            for key, network in _networks(model, height=height, width=width).items()
        }
        has_tracker = "tracker" in graphs
        if has_tracker:
            assert isinstance(model, GenVIS)
            assert model.tracker is not None
            np.save(partial / FIRST_QUERIES_FILE, model.tracker.first_queries.numpy())
        description = ExportDescription(
            name=name,
            family="videomt" if isinstance(model, VidEoMT) else "genvis",
            graph_format=options.graph_format,
            graphs=graphs,
            input_size=(height, width),
            sizes=None if isinstance(model, VidEoMT) else asdict(model.detector.sizes),
            first_queries=FIRST_QUERIES_FILE if has_tracker else None,
            config=json.loads(config.to_json_string()),
        )
        facts = _facts(model, preprocessing, options)
        write_description(partial, description, facts=facts)
        found = _verified(model, partial, config, clips)
        facts["verification"] = {
            "frames": len(frames),
            "of": "the bundled clip" if options.source is None else options.source.name,
            "differences": [asdict(one) for one in found],
        }
        write_description(partial, description, facts=facts)
        files = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
    return ExportReport(folder, (height, width), files, found)


def _networks(model: GenVIS | VidEoMT, *, height: int, width: int) -> dict[str, TracedNetwork]:
    """Return the networks of a model by the names of their graphs."""
    if isinstance(model, VidEoMT):
        return {"step": TracedVidEoMT(model, height=height, width=width).eval()}
    networks: dict[str, TracedNetwork] = {"detector": TracedDetector(model.detector, height=height, width=width).eval()}
    if model.tracker is not None:
        sizes = model.detector.sizes
        channels = sizes.query_dim + model.tracker.places
        tracker = TracedTracker(model.tracker, frame_queries=sizes.queries, query_dim=channels)
        networks["tracker"] = tracker.eval()
    return networks


def _verified(model: GenVIS | VidEoMT, folder: Path, config: Any, clips: Sequence[Tensor]) -> list[OutputDifference]:
    """Run the export as it will be run, beside the model.

    Raises:
        ExportDiffers: If a difference is not small.
    """
    exported = ExportFolder(folder, read_description(folder)).model(config)
    found = differences(model, exported, clips)
    for one in found:
        if not one.is_small:
            raise ExportDiffers(
                f"The exported graphs differ from PyTorch by up to {one.greatest:.2g} in {one.output}, so nothing was "
                "written: run the model with PyTorch, and report this with the name of the model."
            )
    return found


@torch.no_grad()
def round_weights(model: torch.nn.Module, weights: WeightType) -> None:
    """Round all weights of a model to a precision, in place; they stay float32.

    Raises:
        InputError: If a weight is too large for it.
    """
    if weights == "float32":
        return
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            rounded = tensor.to(getattr(torch, weights)).to(tensor.dtype)
            if not bool(rounded.isfinite().all()):
                raise InputError(f"The weight {name} has values beyond {weights}: store the weights as bfloat16.")
            tensor.copy_(rounded)


def _frames(options: ExportOptions) -> Iterator[Tensor]:
    """Deliver real frames, (3, h, w) uint8 at the size of the videos, again from the beginning after the last."""
    with resources.as_file(resources.files("genvis") / "assets" / "demo.mp4") as clip:
        while True:
            with open_source(options.source or clip) as source:
                for frame in source:
                    size = (options.width, options.height)
                    image = Image.fromarray(frame.image).resize(size, Image.Resampling.BILINEAR)
                    yield torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _facts(model: GenVIS | VidEoMT, preprocessing: Preprocessing, options: ExportOptions) -> dict[str, Any]:
    """Return what people, and programs without this package, want to know."""
    config = model.config
    categories: Categories = config.categories
    family = "videomt" if isinstance(model, VidEoMT) else "detector" if model.tracker is None else "genvis"
    frame = [options.height, options.width]
    stamp = tensors_stamp(model.state_dict(), name="weights")
    libraries = ("torch", "transformers", "onnx", "onnxscript", "openvino")
    return {
        "preprocessing": {
            **asdict(preprocessing),
            "frame": frame,
            "resized": list(preprocessing.resized_size(*frame)),
            "how": "Resize the RGB frame bilinearly to 'resized', subtract 'mean' and divide by 'std' (0..255), pad "
            "with zeros on the right and bottom to 'input_size', and order it (frames, 3, height, width), float32.",
        },
        "masks": {
            "how": "Mask logits at a quarter of 'input_size' are mask_embeddings times features, plus mask_bias where "
            "there is one; above 0 is inside. Resize them bilinearly to 'input_size', cut the padding off, resize to "
            "the frame.",
        },
        "categories": {"name": categories.name, "ids": list(categories.ids), "names": list(categories.names)},
        "scoring": {
            "how": _SCORING[family],
            "detections": config.detections_per_video,
            "clip_length": config.clip_length,
            "memory_clips": getattr(config, "memory_clips", None),
        },
        "weights": {"sha256": stamp.digest, "stored_as": options.weights},
        "versions": {
            "genvis": __version__,
            "opset": OPSET,
            **{library: metadata.version(library) for library in libraries if _is_installed(library)},
        },
    }


def _is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True
