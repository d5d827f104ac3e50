"""``genvis demo``: what the package does, on a bundled clip with a bundled model."""

from pathlib import Path

from genvis.cli.common.option_types import AsJson, Out
from genvis.cli.predict import EMOJI_MODEL


def demo(
    *, out: Out = Path("genvis-demo"), weights: str = EMOJI_MODEL, device: str = "auto", json: AsJson = False
) -> int:
    """Segment the bundled clip with the bundled model, and say where the outputs are.

    The clip is made of emoji animals that cross, hide each other and come back (OpenMoji, CC BY-SA 4.0); the model was
    trained on such clips, so it is no judge of your own videos: for those, give `genvis predict` other weights.
    Tracks that score at least 0.8 are kept.

    Args:
        out: Folder for the outputs; those of an earlier demo are replaced.
        weights: Another model to try on the clip.
        device: auto, cpu, cuda, mps ...
        json: Print a line of JSON instead of the table.
    """
    from importlib.resources import as_file, files

    from genvis.cli.common.console import Console
    from genvis.cli.common.prediction_loop import PredictionLoop
    from genvis.files import make_folder
    from genvis.inference.jobs import PredictionOptions
    from genvis.inference.model_loading import load_model
    from genvis.inference.segmenter import VideoSegmenter

    make_folder(out)
    segmenter = VideoSegmenter(load_model(weights, device=device))
    # The small model offers further tracks for the same animals, with lower scores.
    options = PredictionOptions(overwrite=True, score_threshold=0.8)
    console = Console(stderr=json)
    loop = PredictionLoop(segmenter=segmenter, out=out, options=options, console=console, as_json=json)
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip:
        return loop.run([clip])
