"""``genvis export``: a model as graphs for ONNX Runtime or OpenVINO."""

from pathlib import Path
from typing import Literal

from genvis.errors import InputError


def export(
    model: str,
    out: Path,
    *,
    format: Literal["onnx", "openvino"] = "onnx",
    height: int = 720,
    width: int = 1280,
    resolution: int | None = None,
    weights_dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    source: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Export a model to run without PyTorch: graphs, and model.json that says what goes in and what comes out.

    GenVIS becomes two graphs, detector and tracker; VidEoMT one; a detector one, whose objects matching follows.
    The graphs are run beside PyTorch on real frames, and the folder appears only if they compute the same.
    `genvis predict VIDEO --weights OUT` runs an export, with sessions, --resume and all else.

    Args:
        model: A name that `genvis models` lists, a model folder, a published .pth file, or a Hub id.
        out: The folder to write.
        format: onnx (for ONNX Runtime, and OpenVINO reads it too) or openvino.
        height: Height of the frames of your videos. Graphs are for one size of the network's input.
        width: Width of the frames of your videos.
        resolution: Frames are resized so that the shorter side has this many pixels. Default: the model's.
        weights_dtype: Type of the stored weights: float16 and bfloat16 take half the space. The arithmetic is float32.
        source: A video or image to verify the export on. Default: the bundled clip.
        overwrite: Replace an export that is in OUT already.
    """
    from genvis.checkpoints.hub import check_name
    from genvis.cli.common.console import Console
    from genvis.export.onnx_files import require_exporter

    check_name(model)
    require_exporter(format)
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' exists already: name another folder, or say --overwrite to replace an export.")
    # The heavy libraries are loaded when all that can be refused at once was looked at.
    from genvis.checkpoints.load import load_network
    from genvis.export.export_model import ExportOptions, export_model

    options = ExportOptions(
        graph_format=format,
        height=height,
        width=width,
        resolution=resolution,
        weights=weights_dtype,
        source=source,
        overwrite=overwrite,
    )
    report = export_model(load_network(model), out, options, name=model)
    console = Console()
    console.print(report.table())
    rows, columns = report.input_size
    console.print(
        f"Wrote {out} for videos of {width}x{height}, which the network sees padded to {columns}x{rows}: "
        f"{', '.join(f'{name} ({size / 1e6:.1f} MB)' for name, size in report.files.items())}.\n"
        f"Run it with `genvis predict VIDEO --weights {out}`.",
        highlight=False,
        soft_wrap=True,
    )
