"""Contrastive loss between clips: low where an object looks like itself in other clips, over all clips and frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genvis.model.outputs import TrackerOutput
from genvis.training.criterion.losses import identity_loss
from genvis.training.criterion.set_criterion import SetCriterion
from genvis.training.criterion.targets import ObjectTargets, join_targets
from genvis.training.criterion.tracker_criterion import TrackerCriterion
from genvis.training.recipe.loss_options import LossOptions
from genvis.training.run.run import build_data, build_module
from genvis.training.run.run_identity import run_fingerprint
from tests.training.tiny import tiny_recipe

T, Q, Q_F, C = 2, 4, 5, 8


def _targets(visible: Tensor) -> ObjectTargets:
    """Return two videos, of two objects and one, each visible as said in the frames of a clip."""
    masks = visible[:, :, None, None].expand(-1, -1, 8, 8).clone()
    return join_targets([torch.tensor([0, 1]), torch.tensor([1])], [masks[:2], masks[2:]], height=8, width=8)


def _criterion(targets: ObjectTargets) -> TrackerCriterion:
    options = LossOptions(identity=0.5, fixed_grid=4, detector_layers=1)
    return TrackerCriterion(SetCriterion(options), videos=targets.videos, decoder_layers=1, detector_layers=1)


def _clip(query_similarity: Tensor, frame_similarity: Tensor) -> TrackerOutput:
    random = torch.Generator().manual_seed(1)
    return TrackerOutput(
        class_logits=torch.randn(1, 2, Q, 3, generator=random),
        mask_embeddings=torch.randn(1, 2, Q, 6, generator=random),
        frame_similarity=frame_similarity,
        query_similarity=query_similarity,
    )


def test_it_is_the_identity_loss_of_all_that_is_matched_in_all_clips() -> None:
    random = torch.Generator().manual_seed(0)
    visible = torch.tensor([[[True, True], [True, False], [True, True]], [[True, True], [False, False], [False, True]]])
    held = np.array([[0, 1, 3], [2, 4, 1]])  # The frame query of each object in the frames of a clip, (clips, N).
    criterion = _criterion(_targets(visible[0]))
    rows: list[Tensor] = []
    objects, moments = [], []
    for clip in range(2):
        targets = _targets(visible[clip])
        frames, queries = torch.randn(2, T, Q_F, C, generator=random), torch.randn(2, Q, C, generator=random)
        held_in = np.where(targets.in_frame, held[clip][:, None], -1)[None]
        losses = criterion(
            _clip(queries, frames), nn.Conv2d(6, 6, 1), torch.randn(2, T, 6, 2, 2, generator=random), held_in, targets
        )
        assert "identity" not in losses
        for thing, video in enumerate(targets.videos):
            for frame in np.flatnonzero(targets.in_frame[thing]):
                rows.append(frames[video, frame, held[clip, thing]])
                objects.append(thing)
                moments.append(clip * T + frame)
            if targets.visible[thing]:
                rows.append(queries[video, criterion.assigned[0, thing]])
                objects.append(thing)
                moments.append(100 + clip)
    assert criterion.assigned.shape == (1, 3)
    total, pairs = identity_loss(torch.stack(rows), torch.tensor(objects), torch.tensor(moments))
    torch.testing.assert_close(criterion.identity(), 0.5 * total / pairs)


@pytest.mark.parametrize("agreement", [0.0, 1.0])
def test_it_is_lower_where_objects_look_like_themselves_in_other_clips(agreement: float) -> None:
    """Every object has a direction of its own, which all its queries share as far as they agree."""
    visible = torch.ones(3, T, dtype=torch.bool)
    targets = _targets(visible)
    random = torch.Generator().manual_seed(0)
    found = []
    for agrees in (agreement, 0.5):
        criterion = _criterion(targets)
        for _ in range(3):
            # Whichever query holds which object: those of a video are all of one direction, and the videos differ.
            own = torch.eye(C)[:2, None].expand(-1, Q, -1)
            queries = agrees * own + (1 - agrees) * torch.randn(2, Q, C, generator=random)
            frames = agrees * own[:, None, :1] + (1 - agrees) * torch.randn(2, T, Q_F, C, generator=random)
            held = np.tile(np.array([[0], [1], [0]]), T)[None]
            features = torch.randn(2, T, 6, 2, 2, generator=random)
            criterion(_clip(queries, frames), nn.Conv2d(6, 6, 1), features, held, targets)
        found.append(float(criterion.identity()))
    assert (found[0] < found[1]) == (agreement == 1)


@pytest.mark.filterwarnings("ignore")
def test_a_step_has_it_once_and_the_similarities_learn_from_it(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "genvis")
    module = build_module(recipe)
    data = build_data(recipe, module)
    batch = data.collate_items([data.stream[0], data.stream[1]])
    torch.manual_seed(0)
    plain = module.losses(batch)
    before = run_fingerprint(recipe, module.model).to_json()
    recipe.loss.identity = 0.5
    recipe.data.clips = 4
    module = build_module(recipe)
    torch.manual_seed(0)
    losses = module.losses(batch)
    assert losses.keys() - plain.keys() == {"identity"}
    assert "loss.identity" not in str(before)
    assert "loss.identity" in str(run_fingerprint(recipe, module.model).to_json())
    assert losses["identity"] > 0
    losses["identity"].backward()
    tracker = module.model.tracker
    assert tracker is not None
    for head in (tracker.query_similarity, tracker.frame_similarity):
        assert head.weight.grad is not None
        assert head.weight.grad.any()


def test_one_object_alone_has_no_other_and_no_loss() -> None:
    embeddings = torch.randn(3, C, requires_grad=True)
    total, pairs = identity_loss(embeddings, torch.zeros(3, dtype=torch.int64), torch.arange(3), temperature=0.1)
    total.backward()
    assert total == 0
    assert pairs == 6
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
