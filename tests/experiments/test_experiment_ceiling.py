"""The detector's masks joined by the truth: all that is missing to 100 is the detector's part."""

from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from experiments.ceiling import FoundMask, Track, evaluate_joined_by_truth, joined_by_truth
from experiments.evaluation import EvaluationPlan
from experiments.recordings import RecordedVideo, Recording
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from genvis.categories import known_categories
from genvis.masks import RLEMask
from genvis.model.detector.base import DetectorSizes, FrameDetector
from genvis.model.genvis import GenVIS
from genvis.model.outputs import DetectorOutput, FramePrediction
from genvis.model.preprocessing import Preprocessing

FRAMES, SIZE, QUERIES = 6, (32, 48), 5
PADDED = (32, 64)
LABELS = known_categories("ovis")


def true_masks() -> np.ndarray:
    """Return (2, T, H, W): one object that goes from left to right, one that is away in the middle."""
    masks = np.zeros((2, FRAMES, *SIZE), bool)
    for frame in range(FRAMES):
        masks[0, frame, 2:12, 4 * frame : 4 * frame + 10] = True
        if frame not in (2, 3):
            masks[1, frame, 18:30, 20:40] = True
    return masks


class Detector(FrameDetector):
    """Finds the objects by other queries in every frame.

    Args:
        missed: Frames in which the second object is not found.
        label: Of the first object.
    """

    def __init__(self, missed: tuple[int, ...] = (), label: int = 3) -> None:
        sizes = DetectorSizes(queries=QUERIES, query_dim=1, feature_dim=2, classes=len(LABELS.ids), layers=1)
        super().__init__(preprocessing=Preprocessing(short_side=SIZE[0]), sizes=sizes)
        self._missed, self._label = missed, label

    def forward(self, pixel_values: Tensor, *, layers: int = 1) -> DetectorOutput:
        raise NotImplementedError("The recording replaces it.")

    def predict(self, output: DetectorOutput, *, layer: int = -1) -> FramePrediction:
        parts = [self._predict(int(frame)) for frame in output.frame_queries[-1, :, 0, 0]]
        return FramePrediction(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def _predict(self, frame: int) -> tuple[Tensor, Tensor, Tensor]:
        maps = torch.from_numpy(true_masks()[:, frame]).float() * 8.0 - 4.0
        # Of the padded frame, as a detector's are.
        maps = F.pad(maps, (0, PADDED[1] - SIZE[1]), value=-4.0)
        embeddings = torch.zeros(QUERIES, 2)
        classes = torch.zeros(QUERIES, len(LABELS.ids) + 1)
        classes[:, -1] = 9.0
        for thing in range(2):
            query = (thing + 2 * frame) % QUERIES
            is_found = thing == 0 or frame not in self._missed
            embeddings[query, thing] = 1.0 if is_found else 0.0
            classes[query, (self._label, 7)[thing]] = 20.0
        return classes.softmax(dim=-1)[:, :-1], embeddings, maps


def video() -> RecordedVideo:
    queries = np.zeros((FRAMES, QUERIES, 4), np.float16)
    queries[..., 0] = np.arange(FRAMES)[:, None]
    masks: list[list[dict[str, Any] | None]] = [
        [RLEMask.encode(mask).to_coco() if mask.any() else None for mask in track] for track in true_masks()
    ]
    return RecordedVideo(queries, np.zeros((FRAMES, 1, 8, 16), np.float16), SIZE, [3, 7], masks)


def model(detector: Detector) -> GenVIS:
    return cast(GenVIS, SimpleNamespace(detector=detector, config=SimpleNamespace(categories=LABELS)))


def scores(detector: Detector, piece: int = 0) -> Any:
    return evaluate_joined_by_truth(model(detector), cast(Recording, [video()]), EvaluationPlan("any", 1, piece))


@pytest.mark.parametrize("piece", [0, 3])
def test_a_perfect_detector_loses_nothing(piece: int) -> None:
    found = scores(Detector(), piece)
    assert (found.ap, found.object_ap, found.switches) == pytest.approx((100.0, 100.0, 0), abs=1e-6)


def test_wrong_classes_and_missing_masks_are_the_detectors_part() -> None:
    wrong_class = scores(Detector(label=4))
    assert wrong_class.ap == pytest.approx(50.0, abs=1.0)
    assert wrong_class.object_ap == pytest.approx(100.0)
    missing = scores(Detector(missed=(0,)))
    assert 50.0 < missing.ap < 100.0
    assert missing.switches == 0


def test_a_mask_belongs_to_one_object_and_an_object_out_of_sight_has_none() -> None:
    tracks = joined_by_truth(model(Detector(missed=(1,))), video())
    masks = [track.entry()["segmentations"] for track in tracks]
    assert [[mask is not None for mask in track] for track in masks] == [
        [True] * 6,
        [True, False, False, False, True, True],
    ]
    np.testing.assert_array_equal(RLEMask.from_coco(masks[0][4]).decode(), true_masks()[0, 4])


def test_an_object_that_is_never_found_has_no_track() -> None:
    assert len(joined_by_truth(model(Detector(missed=tuple(range(6)))), video())) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6), st.integers(30, 200))
def test_a_track_keeps_the_masks_that_together_overlap_its_object_most(
    pairs: list[tuple[int, int]], pixels: int
) -> None:
    def overlap(chosen: list[tuple[int, int]]) -> float:
        track = Track(len(pairs), float(pixels))
        for frame, (shared, wrong) in enumerate(chosen):
            mask = np.zeros((8, 8), bool)
            mask.flat[: shared + wrong] = True
            track.add(frame, FoundMask(mask, np.ones(2, np.float32), 1.0, float(shared)))
        if chosen == pairs:
            assert track.without_harmful_masks().overlap() >= track.overlap()
            best.append(track.without_harmful_masks().overlap())
        return track.overlap()

    best: list[float] = []
    subsets = [list(some) for size in range(1, len(pairs) + 1) for some in combinations(pairs, size)]
    assert max(overlap(some) for some in subsets) == pytest.approx(best[0])
