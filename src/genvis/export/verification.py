"""Verification of an export: its outputs on real frames beside those of PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genvis.errors import GenVISError
from genvis.model.genvis import GenVIS
from genvis.model.outputs import FramePrediction
from genvis.model.tracker.videomt import VidEoMT
from genvis.runtimes.exported_model import ExportedGenVIS, ExportedVidEoMT

TOLERANCE = 1e-3
"""Greatest difference of a probability, of a class or of a mask's pixel, in an export that counts as the same."""


class ExportDiffers(GenVISError):
    """An exported graph that does not compute what the model computes."""


@dataclass(frozen=True)
class OutputDifference:
    """How far an output is from that of PyTorch.

    Attributes:
        output: Which one.
        greatest: Greatest difference of its numbers.
        largest: Greatest magnitude of its numbers in PyTorch, for comparison.
        is_probability: Whether it is one, to which `TOLERANCE` applies.
    """

    output: str
    greatest: float
    largest: float
    is_probability: bool = False

    @property
    def is_small(self) -> bool:
        """Whether it is within the tolerance."""
        limit = TOLERANCE if self.is_probability else TOLERANCE * max(1.0, self.largest)
        return self.greatest <= limit  # False for what is not a number.


@torch.inference_mode()
def differences(
    model: GenVIS | VidEoMT, exported: ExportedGenVIS | ExportedVidEoMT, clips: Sequence[Tensor]
) -> list[OutputDifference]:
    """Run both over the clips of a video, each with the state that it left itself.

    Args:
        model: In evaluation mode, on the CPU, in float32.
        exported: What was made of it.
        clips: Pixel values (T, 3, H, W) of consecutive clips; two show propagation and memory.
    """
    if isinstance(model, VidEoMT):
        assert isinstance(exported, ExportedVidEoMT)
        pairs = _of_videomt(model, exported, clips)
    else:
        assert isinstance(exported, ExportedGenVIS)
        pairs = _of_genvis(model, exported, clips)
    result = []
    for output, both in pairs.items():
        greatest = max(float((ours - theirs).abs().max()) for theirs, ours in both)
        largest = max(float(theirs.abs().max()) for theirs, _ in both)
        result.append(OutputDifference(output, greatest, largest, is_probability=output.endswith("probabilities")))
    return result


_Pairs = dict[str, list[tuple[Tensor, Tensor]]]


def _of_videomt(model: VidEoMT, exported: ExportedVidEoMT, clips: Sequence[Tensor]) -> _Pairs:
    pairs: _Pairs = {}
    states: list[Any] = [None, None]
    for clip in clips:
        outputs = [model.step(clip, states[0]), exported.network.step(clip, states[1])]
        states = [output.state for output in outputs]
        _note(pairs, "class probabilities", *(output.class_logits.softmax(dim=-1) for output in outputs))
        _note(pairs, "mask probabilities", *(output.mask_logits.sigmoid() for output in outputs))
        _note(pairs, "queries", *states)
    return pairs


def _of_genvis(model: GenVIS, exported: ExportedGenVIS, clips: Sequence[Tensor]) -> _Pairs:
    pairs: _Pairs = {}
    states: list[Any] = [None, None]
    for clip in clips:
        detected = [model.detector(clip), exported.detector(clip)]
        predicted = [part.predict(one) for part, one in zip((model.detector, exported.detector), detected, strict=True)]
        _note(pairs, "frame queries", *(one.frame_queries[-1] for one in detected))
        _note(pairs, "features", *(one.features for one in detected))
        _note(pairs, "detector's class probabilities", *(one.class_scores for one in predicted))
        _note(pairs, "detector's mask probabilities", *map(_mask_probabilities, predicted))
        if model.tracker is None or exported.tracker is None:
            continue
        outputs = []
        trackers, detectors = (model.tracker, exported.tracker), (model.detector, exported.detector)
        for place, (tracker, detector, one) in enumerate(zip(trackers, detectors, detected, strict=True)):
            output, states[place] = tracker(tracker.tokens(detector, one)[None], states[place])
            outputs.append((output, tracker.mask_logits(output, one.features).sigmoid()))
        _note(pairs, "class probabilities", *(output.class_logits[-1].softmax(dim=-1) for output, _ in outputs))
        _note(pairs, "mask probabilities", *(masks for _, masks in outputs))
        _note(pairs, "queries", *(state.instance_queries for state in states))
        _note(pairs, "memory", *(state.memory.values for state in states))
    return pairs


def _mask_probabilities(prediction: FramePrediction) -> Tensor:
    return torch.stack([prediction.mask_logits(frame) for frame in range(len(prediction.class_scores))]).sigmoid()


def _note(pairs: _Pairs, output: str, theirs: Tensor, ours: Tensor) -> None:
    if theirs.numel():
        pairs.setdefault(output, []).append((theirs.float(), ours.float()))
