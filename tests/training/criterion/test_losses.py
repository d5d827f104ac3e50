"""Costs and losses against their plain definitions, mask by mask."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from genvis.training.criterion import set_criterion
from genvis.training.criterion.hungarian_matching import pair_costs
from genvis.training.criterion.losses import classification_loss, identity_loss, mask_losses, similarity_loss
from genvis.training.criterion.points import GridPoints, RandomPoints, sample_at_points
from genvis.training.criterion.set_criterion import SetCriterion, SetPrediction
from genvis.training.criterion.targets import ObjectTargets, join_targets
from genvis.training.recipe.loss_options import LossOptions, LossWeights


def plain_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    mask = logits.sigmoid()
    return 1 - (2 * (mask * target).sum() + 1) / (mask.sum() + target.sum() + 1)


def test_matching_cost_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    scores, masks = torch.rand(4, 6), torch.randn(4, 30)
    labels, targets = torch.tensor([2, 0, 4]), torch.rand(3, 30)
    weights = LossWeights(classification=2.0, mask=5.0, dice=3.0)
    cost = pair_costs(scores, masks, labels=labels, targets=targets, weights=weights)
    for query in range(4):
        for thing in range(3):
            expected = (
                -2.0 * scores[query][labels[thing]]
                + 5.0 * F.binary_cross_entropy_with_logits(masks[query], targets[thing])
                + 3.0 * plain_dice(masks[query], targets[thing])
            )
            assert cost[query, thing] == pytest.approx(float(expected), rel=1e-5)


def test_classification_loss_weighs_no_object() -> None:
    logits, targets = torch.randn(2, 5, 4), torch.randint(0, 4, (2, 5))
    totals, weights = classification_loss(logits, targets, no_object=0.1)
    for layer in range(2):
        expected = F.cross_entropy(logits[layer], targets[layer], torch.tensor([1.0, 1.0, 1.0, 0.1]))
        torch.testing.assert_close(totals[layer] / weights[layer], expected)


def test_mask_losses_are_those_of_every_object() -> None:
    logits, targets = torch.randn(3, 20), torch.rand(3, 20)
    cross_entropy, dice = mask_losses(logits, targets)
    for place, (a, b) in enumerate(zip(logits, targets, strict=True)):
        torch.testing.assert_close(cross_entropy[place], F.binary_cross_entropy_with_logits(a, b))
        torch.testing.assert_close(dice[place], plain_dice(a, b))


def test_similarity_loss_pairs_everything_of_the_video() -> None:
    embeddings, objects = torch.randn(4, 8), torch.tensor([0, 1, 0, 1])
    expected = sum(
        F.binary_cross_entropy_with_logits(embeddings[i] @ embeddings[j], (objects[i] == objects[j]).float())
        for i in range(4)
        for j in range(4)
    )
    torch.testing.assert_close(similarity_loss(embeddings[None], objects[None]), expected)
    # A second video with fewer embeddings, filled up, adds its own pairs only.
    more, few = torch.cat([embeddings[:2], torch.randn(2, 8)]), torch.tensor([0, 1, -1, -1])
    alone = similarity_loss(more[None, :2], few[None, :2])
    both = similarity_loss(torch.stack([embeddings, more]), torch.stack([objects, few]))
    torch.testing.assert_close(both, expected + alone)
    assert similarity_loss(embeddings[None, :0], objects[None, :0]) == 0


def test_identity_loss_is_a_cross_entropy_for_every_pair() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(6, 8)
    objects, frames = torch.tensor([0, 1, 0, 1, 2, 0]), torch.tensor([0, 0, 1, 1, 1, 1])
    total, pairs = identity_loss(embeddings, objects, frames, temperature=0.2)
    cosines = F.cosine_similarity(embeddings[:, None], embeddings[None], dim=-1) / 0.2
    expected = []
    for i in range(6):
        for j in range(6):
            if objects[i] == objects[j] and frames[i] != frames[j]:
                candidates = [j, *(k for k in range(6) if objects[k] != objects[i])]
                expected.append(F.cross_entropy(cosines[i, candidates][None], torch.tensor([0])))
    assert pairs == len(expected) == 6  # Objects 0 (0-2, 0-5) and 1 (1-3) both ways; 2 and 5 are of one frame.
    torch.testing.assert_close(total, torch.stack(expected).sum())


def test_identity_loss_is_low_where_looks_tell_objects_apart() -> None:
    objects, frames = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    apart = torch.eye(4)[objects]
    alike = torch.ones(4, 4)
    assert identity_loss(apart, objects, frames, temperature=0.1)[0] < 1e-3
    # Nothing tells them apart: the pair is one of three that are as likely, for each of the four.
    total, _ = identity_loss(alike, objects, frames, temperature=0.1)
    torch.testing.assert_close(total, 4 * torch.tensor(3.0).log())


def test_identity_loss_of_nothing_is_zero_and_has_a_gradient() -> None:
    single = torch.randn(1, 8, requires_grad=True)
    total, pairs = identity_loss(single, torch.tensor([0]), torch.tensor([0]), temperature=0.1)
    total.backward()
    assert total == 0
    assert pairs == 0
    assert single.grad is not None
    assert single.grad.isfinite().all()


def test_points_are_read_at_pixel_centres() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    centres = GridPoints(2).shared(1, torch.device("cpu"))
    assert centres[0].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
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
    assert RandomPoints(count=10).shared(3, torch.device("cpu")).shape == (3, 10, 2)


class Example(NamedTuple):
    class_logits: torch.Tensor
    prediction: SetPrediction
    targets: ObjectTargets


def example(frames: int = 2) -> Example:
    """Two decoder layers, three detector layers, two videos; object 1 is not visible, the second video has none."""
    torch.manual_seed(3)
    logits, embeddings, features = (
        torch.randn(2, 3, 2, 6, 4),
        torch.randn(2, 3, 2, 6, 8),
        torch.randn(2, frames, 8, 8, 12),
    )
    bias = 3.0 * torch.randn(2, 3, 2, 6)
    masks = torch.rand(3, frames, 32, 48) > 0.6
    masks[1] = False
    none = torch.zeros(0, frames, 32, 48, dtype=torch.bool)
    targets = join_targets(
        [torch.tensor([0, 1, 2]), torch.zeros(0, dtype=torch.int64)], [masks, none], height=32, width=48
    )
    return Example(logits, SetPrediction(logits.softmax(-1)[..., :-1], embeddings, features, bias), targets)


def criterion(grid: int = 9) -> SetCriterion:
    return SetCriterion(LossOptions(fixed_grid=grid))


ASSIGNED = np.tile(np.array([4, 2, 0]), (6, 1))


def full_masks(prediction: SetPrediction) -> torch.Tensor:
    """Return the mask logits (S, L, Q, T, h, w) of the first video."""
    products = torch.einsum("slqc,tchw->slqthw", prediction.mask_embeddings[:, :, 0], prediction.mask_features[0])
    return products + prediction.mask_bias[:, :, 0, :, None, None, None]


@pytest.mark.parametrize("at_once", [1, 700, 2**22])
def test_costs_at_points_are_those_of_full_masks(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_criterion, "_LOGITS_AT_ONCE", at_once)
    _, prediction, targets = example()
    costs = criterion().costs(prediction, targets, np.array([0, 2]))
    maps = full_masks(prediction)
    where = GridPoints(9).shared(2, torch.device("cpu"))
    for s in range(2):
        for layer in range(3):
            for query in range(6):
                logits = sample_at_points(maps[s, layer, query].unsqueeze(1), where).flatten()
                wanted = sample_at_points(targets.masks[2].unsqueeze(1).float(), where).flatten()
                expected = pair_costs(
                    prediction.class_scores[s, layer, 0, query][None],
                    logits[None],
                    labels=torch.tensor([2]),
                    targets=wanted[None],
                    weights=LossWeights(),
                )
                assert costs[s * 3 + layer, query, 1] == pytest.approx(float(expected), rel=1e-4)
    assert criterion().costs(prediction, targets, np.zeros(0, np.int64)).shape == (6, 6, 0)


def test_each_video_is_compared_with_its_own_predictions() -> None:
    _, prediction, targets = example()
    scores, embeddings, features, bias = prediction
    swapped = SetPrediction(scores.flip(2), embeddings.flip(2), features.flip(0), bias.flip(2))
    moved = replace(targets, videos=1 - targets.videos)
    wanted = np.array([0, 2])
    np.testing.assert_allclose(
        criterion().costs(swapped, moved, wanted), criterion().costs(prediction, targets, wanted), rtol=1e-5
    )


def test_objects_that_are_not_visible_have_no_mask_loss_and_their_query_learns_no_object() -> None:
    class_logits, prediction, targets = example()
    losses = criterion().losses(class_logits, prediction, targets, ASSIGNED)
    classes = torch.full((2, 6), 3)
    classes[0, 4], classes[0, 0] = 0, 2
    totals, weights = classification_loss(class_logits, classes.expand(2, 3, 2, 6), no_object=LossWeights().no_object)
    torch.testing.assert_close(losses.classification, 2.0 * totals / weights)
    maps = full_masks(prediction)
    where = GridPoints(9).shared(2, torch.device("cpu"))
    for s in range(2):
        mask = dice = 0.0
        for layer in range(3):
            for query, thing in ((4, 0), (0, 2)):
                logits = sample_at_points(maps[s, layer, query].unsqueeze(1), where).flatten()
                wanted = sample_at_points(targets.masks[thing].unsqueeze(1).float(), where).flatten()
                mask += float(F.binary_cross_entropy_with_logits(logits, wanted))
                dice += float(plain_dice(logits, wanted))
        # Two visible objects, three detector layers.
        assert float(losses.mask[s]) == pytest.approx(5.0 * mask / 6, rel=1e-4)
        assert float(losses.dice[s]) == pytest.approx(5.0 * dice / 6, rel=1e-4)


def test_an_object_without_a_query_is_not_learned_from() -> None:
    class_logits, prediction, targets = example()
    assigned = ASSIGNED.copy()
    assigned[:, 0] = -1
    losses = criterion().losses(class_logits, prediction, targets, assigned)
    visible = replace(targets, in_frame=targets.in_frame & np.array([[False], [True], [True]]))
    fewer = criterion().losses(class_logits, prediction, visible, assigned)
    # The same terms, divided by two visible objects instead of one.
    torch.testing.assert_close(2.0 * losses.mask, fewer.mask)
    torch.testing.assert_close(losses.classification, fewer.classification)


def test_a_batch_without_objects_still_has_finite_losses_with_a_gradient() -> None:
    class_logits, prediction, targets = example()
    embeddings, bias = (part.clone().requires_grad_() for part in (prediction.mask_embeddings, prediction.mask_bias))
    empty = replace(targets, in_frame=np.zeros_like(targets.in_frame))
    losses = criterion(4).losses(
        class_logits, prediction._replace(mask_embeddings=embeddings, mask_bias=bias), empty, ASSIGNED
    )
    total = torch.cat(list(losses)).sum()
    total.backward()
    assert torch.isfinite(total)
    assert losses.mask.tolist() == [0.0, 0.0]
    # Several processes wait for the gradient of every weight.
    assert embeddings.grad is not None
    assert bias.grad is not None


def test_mixed_precision_rounds_neither_costs_nor_mask_losses() -> None:
    class_logits, prediction, targets = example()
    prediction = prediction._replace(mask_embeddings=200.0 * prediction.mask_embeddings)
    results = []
    for is_mixed in (False, True):
        with torch.autocast("cpu", torch.float16, enabled=is_mixed):
            costs = criterion(112).costs(prediction, targets, np.array([0, 2]))
            losses = criterion().losses(class_logits, prediction, targets, ASSIGNED)
        assert np.isfinite(costs).all()
        results.append((costs, losses.mask, losses.dice))
    for full, mixed in zip(*results, strict=True):
        np.testing.assert_array_equal(full, mixed)


def test_frames_are_matched_one_by_one() -> None:
    _, prediction, targets = example(frames=2)
    frames = targets.frame_by_frame()
    # Two frames of each of two videos as four videos of one frame.
    scores, embeddings, features, bias = prediction
    by_frame = SetPrediction(
        scores.repeat_interleave(2, dim=2),
        embeddings.repeat_interleave(2, dim=2),
        features.flatten(0, 1).unsqueeze(1),
        bias.repeat_interleave(2, dim=2),
    )
    matched = criterion().match_frames(by_frame, frames).reshape(6, 3, 2)
    assert (matched[:, 1] == -1).all()
    assert ((matched[:, [0, 2]] >= 0) & (matched[:, [0, 2]] < 6)).all()
    assert (matched[:, 0] != matched[:, 2]).all()
    alone = criterion().match_frames(
        SetPrediction(scores[:, :, :1], embeddings[:, :, :1], features[:1, 1:], bias[:, :, :1]),
        replace(targets.frames(1, 2), videos=np.zeros(3, np.int64)),
    )
    np.testing.assert_array_equal(matched[..., 1], alone)


def test_classes_of_an_untrained_head_do_not_count_in_the_matching() -> None:
    _, prediction, targets = example()
    wanted = np.array([0, 2])
    other = prediction._replace(class_scores=torch.rand_like(prediction.class_scores))
    blind = SetCriterion(LossOptions(fixed_grid=9), matches_classes=False)
    np.testing.assert_array_equal(blind.costs(prediction, targets, wanted), blind.costs(other, targets, wanted))
    assert (criterion().costs(prediction, targets, wanted) != criterion().costs(other, targets, wanted)).any()


def crowd(videos: int) -> Example:
    """Videos of 0, 1, 2, 3, 0, ... objects, of which every fifth is never visible."""
    torch.manual_seed(4)
    counts = [video % 4 for video in range(videos)]
    masks = [torch.rand(count, 2, 32, 48) > 0.6 for count in counts]
    for position, thing in enumerate(mask for part in masks for mask in part):
        if position % 5 == 4:
            thing[:] = False
    labels = [torch.randint(0, 3, (count,)) for count in counts]
    logits, embeddings = torch.randn(2, 3, videos, 6, 4), torch.randn(2, 3, videos, 6, 8)
    features, bias = torch.randn(videos, 2, 8, 8, 12), torch.randn(2, 3, videos, 6)
    targets = join_targets(labels, masks, height=32, width=48)
    return Example(logits, SetPrediction(logits.softmax(-1)[..., :-1], embeddings, features, bias), targets)


def costs_losses_and_gradients(case: Example) -> list[np.ndarray]:
    class_logits, prediction, targets = case
    leaves = [part.clone().requires_grad_() for part in prediction[1:]]
    prediction = SetPrediction(prediction.class_scores, *leaves)
    objects = np.flatnonzero(targets.visible)
    costs = criterion().costs(prediction, targets, objects)
    assigned = np.full((6, len(targets.visible)), -1)
    for video in np.unique(targets.videos):
        mine = np.flatnonzero(targets.videos == video)
        assigned[:, mine] = np.arange(len(mine))
    losses = criterion().losses(class_logits, prediction, targets, assigned)
    torch.cat(list(losses)).sum().backward()
    return [costs, *(part.detach().numpy() for part in losses), *(leaf.grad.numpy() for leaf in leaves)]


def test_videos_computed_together_are_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    case = crowd(11)
    found = []
    for at_once in (1, 2**11, 2**30):
        monkeypatch.setattr(set_criterion, "_LOGITS_AT_ONCE", at_once)
        found.append(costs_losses_and_gradients(case))
    for alone, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, alone, rtol=1e-4, atol=1e-6)


class Operations(TorchDispatchMode):
    """Counts what PyTorch is asked for: on a GPU each costs the processor some microseconds, whatever its size."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_four_times_the_videos_are_not_more_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_criterion, "_LOGITS_AT_ONCE", 2**30)
    counts = []
    for videos in (20, 80):
        case = crowd(videos)
        with Operations() as operations:
            costs_losses_and_gradients(case)
        counts.append(operations.count)
    assert counts[1] < 1.3 * counts[0]
