"""How far every family of models, run by ONNX Runtime and OpenVINO, is from PyTorch on real videos.

    python benchmarks/export_equality.py VIDEO [VIDEO ...] --frames 20

The bundled model, and tiny networks of random weights of all families. Every video is gone through three times by
PyTorch and by the runtime, each with its own state: clip by clip in the tracker (greatest difference of the
probabilities of classes and masks, and the share of mask cells that change sides), in a live session and as a whole
(greatest difference of scores, other ids or classes, share of mask pixels that differ). At last the whole video is
interrupted in its middle and resumed, which must change nothing at all. The exit status is 1 if any probability or
score differs by more than 1e-4, an id or a class differs, or resuming changes something.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from genvis.checkpoints.load import load, load_network
from genvis.errors import InputError
from genvis.export.on_demand import run_by
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.results.types import FrameResult, VideoResult
from genvis.runtimes.runtime_names import RuntimeName
from genvis.video import Frame, open_source

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.tiny_families import FAMILIES, save_tiny_family
from tests.tiny_network import CONFIG

TOLERANCE = 1e-4
RUNTIMES: tuple[RuntimeName, ...] = ("onnxruntime", "openvino")
# Everything that a network says takes part, however unsure it is.
OPEN: dict[str, Any] = {"score_threshold": 0.0, "presence_threshold": 0.0, "overlaps": "keep"}


class Difference(NamedTuple):
    """Greatest differences of one network in one runtime on one video.

    Attributes:
        probabilities: Of classes, of being visible, and of masks, in the tracker.
        cells: Share of the cells of all masks that change sides there.
        scores: In a session and in the result of the whole video.
        pixels: Share of the pixels of all masks that differ in these.
        other: Frames and tracks with other ids or classes.
        is_resumed: Whether a run that was interrupted and resumed gives exactly the same result.
    """

    probabilities: float
    cells: float
    scores: float
    pixels: float
    other: int
    is_resumed: bool

    @property
    def is_equal(self) -> bool:
        """Whether all is within the tolerance."""
        return max(self.probabilities, self.scores) <= TOLERANCE and not self.other and self.is_resumed


def tiny_genvis(_: Path) -> GenVIS:
    torch.manual_seed(0)
    model = GenVIS(GenVISConfig(**CONFIG)).eval()
    torch.nn.init.normal_(model.tracker.heads.class_predictor.weight, std=0.3)
    return model


def networks() -> dict[str, Callable[[Path], Any]]:
    """Return what makes each network in a folder."""

    def family(name: str) -> Callable[[Path], Any]:
        return lambda folder: load_network(save_tiny_family(folder, name))

    return {
        "sprites-tiny": lambda _: load("sprites-tiny"),
        "GenVIS, tiny": tiny_genvis,
        **{f"{name}, tiny": family(name) for name in FAMILIES},
    }


def tracked_difference(setups: Sequence[VideoSegmenter], frames: Sequence[Frame]) -> tuple[float, float]:
    """Return the greatest difference of probabilities in the tracker, and the share of mask cells that change sides."""
    states: list[Any] = [None, None]
    greatest, changed, cells = 0.0, 0, 0
    for clip in setups[0].clips(frames):
        answers = []
        for place, setup in enumerate(setups):
            answer, states[place] = setup.tracker.track(setup.prepare(clip).pixel_values, states[place])
            assert answer is not None
            answers.append(answer)
        ours, theirs = answers
        if not torch.equal(ours.track_ids, theirs.track_ids):
            return float("inf"), 1.0
        pairs = [(ours.presence, theirs.presence), (ours.mask_logits.sigmoid(), theirs.mask_logits.sigmoid())]
        # Evidence is probabilities or, in networks whose logits are averaged, logits.
        logits = setups[0].tracker.score_rule.evidence == "mean_logits"
        evidence = [one.class_evidence.softmax(-1) if logits else one.class_evidence for one in answers]
        for one, other in (*pairs, evidence):
            greatest = max(greatest, float((one - other).abs().max()))
        changed += int(((ours.mask_logits > 0) != (theirs.mask_logits > 0)).sum())
        cells += ours.mask_logits.numel()
    return greatest, changed / cells


class Compared:
    """Adds up how far frames of two results are apart."""

    def __init__(self) -> None:
        self.scores = 0.0
        self.other = self._changed = self._pixels = 0

    @property
    def pixels(self) -> float:
        """Share of the pixels of all masks that differ."""
        return self._changed / max(self._pixels, 1)

    def add(self, one: FrameResult, other: FrameResult) -> None:
        """Take the next frame."""
        first, second = ({each.id: each for each in frame} for frame in (one, other))
        self.other += len(first.keys() ^ second.keys())
        for number in first.keys() & second.keys():
            ours, theirs = first[number], second[number]
            self.other += ours.label_id != theirs.label_id
            self.scores = max(self.scores, abs(ours.score - theirs.score))
            self._changed += int((ours.mask != theirs.mask).sum())
            self._pixels += int((ours.mask | theirs.mask).sum())


def compared_sessions(setups: Sequence[VideoSegmenter], frames: Sequence[Frame]) -> Compared:
    compared = Compared()
    streams = [setup.segment_stream(frames, session=setup.open_session(**OPEN)) for setup in setups]
    for one, other in zip(*streams, strict=True):
        compared.add(one, other)
    return compared


def whole_video(setup: VideoSegmenter, frames: Sequence[Frame], *, folder: Path | None = None) -> VideoResult:
    """Return the result of all frames; with a folder, of a run that is given up in the middle and resumed."""
    clips = list(setup.clips(frames))
    options: dict[str, Any] = {"name": "video", "overlaps": "keep", "presence_threshold": 0.0, "folder": folder}
    run = setup.start(**options)
    for number, clip in enumerate(clips):
        if folder is not None and number == len(clips) // 2:
            run.save()
            run.close()
            run = setup.start(**options)
            run.restore(remedy="")
        run.add(clip)
    result = run.result(setup.selection())
    run.close()
    return result


def compare_on(model: Any, other: Any, frames: Sequence[Frame], *, folder: Path) -> Difference:
    """Return how far a model in a runtime is from the model itself on a video."""
    setups = [VideoSegmenter(one) for one in (model, other)]
    probabilities, cells = tracked_difference(setups, frames)
    session = compared_sessions(setups, frames)
    ours, theirs = (whole_video(setup, frames) for setup in setups)
    whole = Compared()
    for one, another in zip(ours, theirs, strict=True):
        whole.add(one, another)
    return Difference(
        probabilities=probabilities,
        cells=cells,
        scores=max(session.scores, whole.scores),
        pixels=max(session.pixels, whole.pixels),
        other=session.other + whole.other,
        is_resumed=whole_video(setups[1], frames, folder=folder) == theirs,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=20, help="of each video, from its beginning")
    parser.add_argument("--networks", nargs="*", choices=list(networks()), default=list(networks()))
    parser.add_argument("--runtimes", nargs="*", choices=RUNTIMES, default=RUNTIMES)
    options = parser.parse_args()
    videos = {}
    for path in options.videos:
        with open_source(path) as source:
            videos[path.stem] = list(islice(source, options.frames))
        if not videos[path.stem]:
            raise InputError(f"'{path}' has no frame.")
    print("| network | runtime | video | probabilities | mask cells | scores | mask pixels | other ids | resumed |")
    print("|---|---|---|---|---|---|---|---|---|")
    all_equal = True
    for name in options.networks:
        for runtime in options.runtimes:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                model = networks()[name](folder / "model").requires_grad_(False)
                other = run_by(networks()[name](folder / "other"), runtime)
                for video, frames in videos.items():
                    found = compare_on(model, other, frames, folder=folder / f"run of {video}")
                    all_equal &= found.is_equal
                    print(
                        f"| {name} | {runtime} | {video} | {found.probabilities:.1e} | {found.cells:.1e} | "
                        f"{found.scores:.1e} | {found.pixels:.1e} | {found.other} | "
                        f"{'equal' if found.is_resumed else 'DIFFERS'} |",
                        flush=True,
                    )
    return 0 if all_equal else 1


if __name__ == "__main__":
    sys.exit(main())
