"""Occupancy-weighted propagation as an option of inference."""

from typing import Any

import pytest
import torch

from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.tracker.occupancy import occupancy_mixture


def test_a_query_is_renewed_as_far_as_it_holds_an_object(tiny_model: Any, golden_frames: Any) -> None:
    plain = VideoSegmenter(tiny_model, resolution=64)
    weighted = VideoSegmenter(tiny_model, resolution=64, occupancy_weighted=True)
    assert weighted.settings() == {**plain.settings(), "occupancy_weighted": True}
    first = plain.prepare(list(golden_frames[:2])).pixel_values
    clip, state = plain.tracker.track(first, None)
    same, mixed = weighted.tracker.track(first, None)
    assert clip is not None
    assert same is not None
    torch.testing.assert_close(clip.mask_logits, same.mask_logits)
    learned = tiny_model.tracker.query_features.weight[None]
    occupied = 1 - clip.presence[None, :, None]
    torch.testing.assert_close(mixed.instance_queries, torch.lerp(state.instance_queries, learned, occupied))
    assert not torch.equal(mixed.instance_queries, state.instance_queries)
    logits = torch.stack([clip.presence, 1 - clip.presence], dim=-1).log()[None]
    torch.testing.assert_close(
        mixed.instance_queries, occupancy_mixture(state.instance_queries, learned, logits), rtol=1e-4, atol=1e-5
    )


def test_sessions_keep_the_option(tiny_model: Any, golden_frames: Any) -> None:
    def masks(**options: Any) -> list[bytes]:
        segmenter = VideoSegmenter(tiny_model, resolution=64, **options)
        session = segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep")
        return [one.mask.tobytes() for frame in golden_frames for one in session.step(frame)]

    assert masks() != masks(occupancy_weighted=True)


def test_it_needs_propagation(tiny_model: Any) -> None:
    with pytest.raises(InputError, match="for the tracker 'propagation', not 'memory'"):
        VideoSegmenter(tiny_model, tracker="memory", occupancy_weighted=True)
