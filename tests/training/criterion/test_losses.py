"""Costs and losses against their plain definitions, mask by mask."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from genvis.training.criterion import set_criterion
from genvis.training.criterion.losses import classification_loss, mask_losses, similarity_loss
from genvis.training.criterion.matching_cost import matching_cost
from genvis.training.criterion.points import GridPoints, RandomPoints, sample_at_points
from genvis.training.criterion.set_criterion import SetPrediction, match_frames, set_losses, video_costs
from genvis.training.criterion.targets import ObjectTargets
from genvis.training.recipe.loss_options import LossWeights


def plain_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    mask = logits.sigmoid()
    return 1 - (2 * (mask * target).sum() + 1) / (mask.sum() + target.sum() + 1)


def test_matching_cost_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 6), torch.randn(4, 30)
    labels, targets = torch.tensor([2, 0, 4]), torch.rand(3, 30)
    weights = LossWeights(classification=2.0, mask=5.0, dice=3.0)
    cost = matching_cost(logits, masks, labels=labels, targets=targets, weights=weights)
    for query in range(4):
        for thing in range(3):
            expected = (
                -2.0 * logits[query].softmax(0)[labels[thing]]
                + 5.0 * F.binary_cross_entropy_with_logits(masks[query], targets[thing])
                + 3.0 * plain_dice(masks[query], targets[thing])
            )
            assert cost[query, thing] == pytest.approx(float(expected), rel=1e-5)


def test_classification_loss_weighs_no_object() -> None:
    logits, targets = torch.randn(2, 5, 4), torch.randint(0, 4, (2, 5))
    total, weight = classification_loss(logits, targets, no_object=0.1)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), torch.tensor([1.0, 1.0, 1.0, 0.1]))
    torch.testing.assert_close(total / weight, expected)


def test_mask_losses_sum_over_objects() -> None:
    logits, targets = torch.randn(3, 20), torch.rand(3, 20)
    cross_entropy, dice = mask_losses(logits, targets)
    torch.testing.assert_close(cross_entropy, 3 * F.binary_cross_entropy_with_logits(logits, targets))
    torch.testing.assert_close(dice, sum(plain_dice(a, b) for a, b in zip(logits, targets, strict=True)))


def test_similarity_loss_pairs_everything_of_the_video() -> None:
    embeddings, objects = torch.randn(4, 8), torch.tensor([0, 1, 0, 1])
    expected = sum(
        F.binary_cross_entropy_with_logits(embeddings[i] @ embeddings[j], (objects[i] == objects[j]).float())
        for i in range(4)
        for j in range(4)
    )
    torch.testing.assert_close(similarity_loss(embeddings, objects), expected)
    assert similarity_loss(embeddings[:0], objects[:0]) == 0


def test_points_are_read_at_pixel_centres() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    centres = GridPoints(2).shared(torch.device("cpu"))
    assert centres.tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    points = torch.tensor([[[0.5 / 4, 0.5 / 3], [3.5 / 4, 2.5 / 3], [1.0 / 4, 0.5 / 3]]])
    assert sample_at_points(image, points).flatten().tolist() == pytest.approx([0.0, 11.0, 0.5], abs=1e-5)


def test_loss_points_are_mostly_uncertain() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-10, 10, 64).expand(2, 64, 64)
    points = RandomPoints(count=400, oversample_ratio=3.0, importance_ratio=0.75).uncertain(ramp)
    assert points.shape == (2, 400, 2)
    near = ((points[..., 0] - 0.5).abs() < 0.14).float().mean()
    # The 25% most uncertain candidates lie within 1/8 of the middle; they are three quarters of the points.
    assert near > 0.75
    assert RandomPoints(count=10).shared(torch.device("cpu")).shape == (10, 2)


def example(frames: int = 2) -> tuple[SetPrediction, list[ObjectTargets]]:
    torch.manual_seed(3)
    logits, embeddings, features = (
        torch.randn(2, 3, 2, 6, 4),
        torch.randn(2, 3, 2, 6, 8),
        torch.randn(2, frames, 8, 8, 12),
    )
    prediction = SetPrediction(logits, embeddings, features, mask_bias=3.0 * torch.randn(2, 3, 2, 6))
    masks = torch.rand(3, frames, 32, 48) > 0.6
    masks[1] = False
    empty = ObjectTargets(torch.zeros(0, dtype=torch.int64), torch.zeros(0, frames, 32, 48, dtype=torch.bool))
    return prediction, [ObjectTargets(torch.tensor([0, 1, 2]), masks), empty]


def full_masks(prediction: SetPrediction) -> torch.Tensor:
    """Return the mask logits (S, L, Q, T, h, w) of the first video."""
    products = torch.einsum("slqc,tchw->slqthw", prediction.mask_embeddings[:, :, 0], prediction.mask_features[0])
    return products + prediction.biases[:, :, 0, :, None, None, None]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("at_once", [1, 700, 2**22])
def test_costs_at_points_are_those_of_full_masks(has_bias: bool, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_criterion, "_LOGITS_AT_ONCE", at_once)
    prediction, targets = example()
    prediction = prediction if has_bias else prediction._replace(mask_bias=None)
    grid = GridPoints(9)
    costs = video_costs(prediction, 0, targets[0], points=grid, weights=LossWeights())
    maps = full_masks(prediction)
    where = grid.shared(torch.device("cpu")).expand(2, -1, -1)
    for s in range(2):
        for layer in range(3):
            for query in range(6):
                logits = sample_at_points(maps[s, layer, query].unsqueeze(1), where).flatten()
                wanted = sample_at_points(targets[0].masks[2].unsqueeze(1).float(), where).flatten()
                expected = matching_cost(
                    prediction.class_logits[s, layer, 0, query][None],
                    logits[None],
                    labels=torch.tensor([2]),
                    targets=wanted[None],
                    weights=LossWeights(),
                )
                assert costs[s * 3 + layer, query, 2] == pytest.approx(float(expected), rel=1e-4)
    assert (costs[..., 1] == 0).all()


def test_objects_out_of_sight_have_no_mask_loss_and_their_query_learns_no_object() -> None:
    prediction, targets = example()
    assigned = [np.tile(np.array([4, 2, 0]), (6, 1)), np.zeros((6, 0), dtype=np.int64)]
    losses = set_losses(prediction, targets, assigned, points=GridPoints(9), weights=LossWeights())
    classes = torch.full((2, 6), 3)
    classes[0, 4], classes[0, 0] = 0, 2
    for s in range(2):
        total, weight = classification_loss(
            prediction.class_logits[s], classes.expand(3, 2, 6), no_object=LossWeights().no_object
        )
        torch.testing.assert_close(losses.classification[s], 2.0 * total / weight)
    maps = full_masks(prediction)
    where = GridPoints(9).shared(torch.device("cpu")).expand(2, -1, -1)
    for s in range(2):
        mask = dice = 0.0
        for layer in range(3):
            for query, thing in ((4, 0), (0, 2)):
                logits = sample_at_points(maps[s, layer, query].unsqueeze(1), where).flatten()
                wanted = sample_at_points(targets[0].masks[thing].unsqueeze(1).float(), where).flatten()
                mask += float(F.binary_cross_entropy_with_logits(logits, wanted))
                dice += float(plain_dice(logits, wanted))
        # Two visible objects, three detector layers.
        assert float(losses.mask[s]) == pytest.approx(5.0 * mask / 6, rel=1e-4)
        assert float(losses.dice[s]) == pytest.approx(5.0 * dice / 6, rel=1e-4)


def test_a_batch_without_objects_still_has_finite_losses_with_a_gradient() -> None:
    prediction, targets = example()
    embeddings, bias = (part.clone().requires_grad_() for part in (prediction.mask_embeddings, prediction.biases))
    empty = [targets[1], targets[1]]
    losses = set_losses(
        prediction._replace(mask_embeddings=embeddings, mask_bias=bias),
        empty,
        [np.zeros((6, 0), dtype=np.int64)] * 2,
        points=GridPoints(4),
        weights=LossWeights(),
    )
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert losses.mask.tolist() == [0.0, 0.0]
    # Several processes wait for the gradient of every weight.
    assert embeddings.grad is not None
    assert bias.grad is not None


def test_mixed_precision_rounds_neither_costs_nor_mask_losses() -> None:
    prediction, targets = example()
    prediction = prediction._replace(mask_embeddings=200.0 * prediction.mask_embeddings)
    assigned = [np.tile(np.array([4, 2, 0]), (6, 1)), np.zeros((6, 0), dtype=np.int64)]
    results = []
    for is_mixed in (False, True):
        with torch.autocast("cpu", torch.float16, enabled=is_mixed):
            costs = video_costs(prediction, 0, targets[0], points=GridPoints(112), weights=LossWeights())
            losses = set_losses(prediction, targets, assigned, points=GridPoints(9), weights=LossWeights())
        assert np.isfinite(costs).all()
        results.append((costs, losses.mask, losses.dice))
    for full, mixed in zip(*results, strict=True):
        np.testing.assert_array_equal(full, mixed)


def test_frames_are_matched_one_by_one() -> None:
    prediction, targets = example(frames=1)
    matched = match_frames(prediction, targets, points=GridPoints(9), weights=LossWeights())
    assert [rows.shape for rows in matched] == [(6, 3), (6, 0)]
    assert (matched[0][:, 1] == -1).all()
    assert ((matched[0][:, [0, 2]] >= 0) & (matched[0][:, [0, 2]] < 6)).all()
    assert (matched[0][:, 0] != matched[0][:, 2]).all()
