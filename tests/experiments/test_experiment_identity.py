"""Recognising objects: clear cases are recognised, equal ones are not, and only where there is a choice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from experiments.identity import Detected, detected_objects, recognised
from torch.nn import functional as F

from tests.experiments.test_experiment_ceiling import FRAMES, PADDED, Detector, video


def _video(queries: list[list[list[float]]], places: list[list[int]], found: list[list[bool]]) -> Detected:
    masks = F.one_hot(torch.tensor(places), 8).float()
    return Detected(F.normalize(torch.tensor(queries), dim=-1), masks, np.array(found))


CAT, DOG = [1.0, 0.0], [0.0, 1.0]


def test_objects_that_look_different_are_recognised_by_their_queries() -> None:
    video = _video([[CAT, DOG]] * 3, [[0, 1], [1, 0], [0, 1]], [[True, True]] * 3)
    shares = recognised([video], gap=1)
    assert shares == (4, 0.5, 1.0, 0.0, 1.0)  # They change places in each frame.
    assert recognised([video], gap=2) == (2, 0.5, 1.0, 1.0, 1.0)


def test_objects_are_found_in_frames_whose_sides_are_no_multiples_of_the_padding() -> None:
    # That detector's masks are as large as the padded frames; so must its features be.
    recorded = replace(video(), stride4_features=np.zeros((FRAMES, 1, *PADDED), np.float16))
    found = detected_objects(Detector(), recorded)
    assert found.found.tolist() == [[True, frame not in (2, 3)] for frame in range(FRAMES)]


def test_look_alikes_are_recognised_by_their_place() -> None:
    alike = [[1.0, 0.1], [1.0, 0.1]]
    shares = recognised([_video([alike] * 2, [[3, 5], [3, 5]], [[True, True]] * 2)], gap=1)
    assert (shares.query, shares.place, shares.both) == (0.5, 1.0, 1.0)


def test_one_object_alone_or_one_that_is_not_detected_is_no_question() -> None:
    alone = _video([[CAT]] * 2, [[0]] * 2, [[True]] * 2)
    hidden = _video([[CAT, DOG]] * 2, [[0, 1]] * 2, [[True, True], [True, False]])
    assert recognised([alone, hidden], gap=1).pairs == 0
    assert recognised([alone], gap=1).query == pytest.approx(0.0)
