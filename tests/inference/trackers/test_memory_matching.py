"""Memory matching as a tracker of models: clips, sessions, whole videos, and every detector family."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import genvis
from genvis.errors import InputError
from genvis.inference.segmenter import VideoSegmenter
from genvis.inference.trackers.frame_association import FrameDetections, FrameTracks
from genvis.inference.trackers.matching_options import MemoryMatchingOptions
from genvis.inference.trackers.memory_matching import NO_MASK, MemoryMatching, clip_of_frames
from tests.tiny_families import save_tiny_family

# A random network is sure of nothing: with these, every query counts.
EVERYTHING = MemoryMatchingOptions(
    detection_threshold=0, birth_score=0, nms_iou=1, match_threshold=0.9, confirmed_after=1
)


def segmenter_of(model: Any, **options: Any) -> VideoSegmenter:
    return VideoSegmenter(model, tracker="memory", matching=EVERYTHING, resolution=64, **options)


def seen(results: Any) -> list[list[tuple[Any, ...]]]:
    return [[(one.id, one.label_id, round(one.score, 5), one.mask.tobytes()) for one in result] for result in results]


def open_all(segmenter: VideoSegmenter, **options: Any) -> Any:
    return segmenter.open_session(score_threshold=0, presence_threshold=0, overlaps="keep", **options)


@settings(max_examples=8, deadline=None)
@given(cuts=st.sets(st.integers(1, 7)))
def test_any_split_into_clips_gives_the_same_tracks(cuts: set[int], tiny_models: Any, golden_frames: Any) -> None:
    segmenter = segmenter_of(tiny_models["r50"])
    tracker = segmenter.tracker

    def followed(bounds: list[int]) -> tuple[list[Any], dict[str, torch.Tensor]]:
        state, frames = None, []
        for start, stop in pairwise(bounds):
            clip, state = tracker.track(segmenter.prepare(list(golden_frames[start:stop])).pixel_values, state)
            assert clip is not None
            for logits in clip.mask_logits:
                found = (logits > 0).flatten(1).any(dim=1)
                frames.append((clip.track_ids[found].tolist(), (logits[found] > 0).flatten(1).sum(dim=1).tolist()))
        return frames, tracker.state_tensors(state)

    one_by_one, expected = followed(list(range(9)))
    split, state = followed([0, *sorted(cuts), 8])
    assert any(ids for ids, _ in one_by_one)
    assert split == one_by_one
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cut", [1, 5])
def test_a_saved_session_continues_exactly(cut: int, tiny_model: Any, golden_frames: Any, tmp_path: Path) -> None:
    segmenter = segmenter_of(tiny_model)
    whole = open_all(segmenter)
    expected = [whole.step(frame) for frame in golden_frames]
    assert any(len(result) for result in expected)
    first = open_all(segmenter)
    before = [first.step(frame) for frame in golden_frames[:cut]]
    first.save(tmp_path / "camera.session")
    second = open_all(segmenter_of(tiny_model), resume=tmp_path / "camera.session")
    after = [second.step(frame) for frame in golden_frames[cut:]]
    assert seen(before + after) == seen(expected)
    with pytest.raises(InputError, match="belongs to another session"):
        open_all(VideoSegmenter(tiny_model, tracker="memory", resolution=64), resume=tmp_path / "camera.session")


def test_whole_video_and_session_agree_on_ids_and_masks(tiny_model: Any, golden_frames: Any) -> None:
    segmenter = segmenter_of(tiny_model)
    live = list(segmenter.segment_stream(golden_frames, session=open_all(segmenter)))
    whole = segmenter.segment(golden_frames, detections=1000, overlaps="keep", one_label_each=True)
    assert len(whole.tracks) > 1
    for position in range(8):
        assert {one.mask.tobytes() for one in live[position]} == {one.mask.tobytes() for one in whole.frame(position)}
    together = [{one.id for one in result} for result in live]
    assert len(set.union(*together)) == len({track.id for track in whole.tracks})


def test_a_session_s_memory_is_bounded_by_the_options(tiny_model: Any, golden_frames: Any, tmp_path: Path) -> None:
    options = MemoryMatchingOptions(
        detection_threshold=0, birth_score=0, match_threshold=10, keep_frames=2, keep_unconfirmed=2, max_tracks=6
    )
    session = open_all(VideoSegmenter(tiny_model, tracker="memory", matching=options, resolution=64))
    sizes = []
    for step in range(24):
        session.step(golden_frames[step % 8])
        session.save(tmp_path / "session")
        sizes.append((tmp_path / "session").stat().st_size)
    # Nothing ever matches: a hundred tracks came and went.
    assert max(sizes[8:]) <= max(sizes[:8]) + 512
    ids = [one.id for one in session.step(golden_frames[0])]
    assert ids
    assert min(ids) > 24


@pytest.mark.parametrize("family", ["mask2former", "eomt", "rf_detr"])
def test_every_detector_is_tracked_by_memory_unless_asked_otherwise(family: str, tmp_path: Path) -> None:
    model = genvis.load(save_tiny_family(tmp_path / family, family))
    frames = np.random.default_rng(0).integers(0, 256, (5, 72, 96, 3), np.uint8)
    segmenter = VideoSegmenter(model, matching=EVERYTHING)
    assert isinstance(segmenter.tracker, MemoryMatching)
    result = segmenter.segment(frames, detections=50, overlaps="keep", presence_threshold=0)
    assert result.tracks
    assert all(0 <= track.score <= 1 for track in result.tracks)
    assert any(len(one) for one in segmenter.segment_stream(frames, session=open_all(segmenter)))
    assert VideoSegmenter(model, tracker="queries").tracker_name == "queries"


def test_options_of_matching_need_the_tracker_that_has_them(tiny_model: Any) -> None:
    with pytest.raises(InputError, match="for the tracker 'memory', not 'queries'"):
        VideoSegmenter(tiny_model, tracker="queries", matching=EVERYTHING)
    plain = VideoSegmenter(tiny_model, tracker="memory").settings()
    assert plain["matching"] != segmenter_of(tiny_model).settings()["matching"]


def test_a_state_with_another_bank_is_refused(tiny_model: Any, golden_frames: Any) -> None:
    segmenter = segmenter_of(tiny_model)
    _, state = segmenter.tracker.track(segmenter.prepare(list(golden_frames[:1])).pixel_values, None)
    other = MemoryMatching(tiny_model.detector, MemoryMatchingOptions(bank_size=3))
    with pytest.raises(InputError, match="bank_size of 10 instead of 3"):
        other.state_from_tensors(segmenter.tracker.state_tensors(state))


def test_a_clip_holds_the_tracks_of_its_frames() -> None:
    def frame(
        probabilities: list[list[float]], ids: list[int], chosen: list[int]
    ) -> tuple[FrameDetections, FrameTracks]:
        scores = torch.tensor(probabilities)
        masks = torch.arange(len(scores), dtype=torch.float32)[:, None, None].expand(-1, 2, 2)
        return (
            FrameDetections(torch.zeros(len(scores), 4), scores, masks),
            FrameTracks(track_ids=torch.tensor(ids), detections=torch.tensor(chosen)),
        )

    first = frame([[0.2, 0.6], [0.8, 0.1]], ids=[7, 3], chosen=[1, 0])
    second = frame([[0.4, 0.4], [0.0, 0.0], [0.3, 0.7]], ids=[3], chosen=[2])
    clip = clip_of_frames([first[0], second[0]], [first[1], second[1]])
    assert clip.track_ids.tolist() == [3, 7]
    assert clip.observations.tolist() == [2, 1]
    torch.testing.assert_close(clip.class_evidence, torch.tensor([[0.25, 0.65], [0.8, 0.1]]))
    torch.testing.assert_close(clip.presence, torch.tensor([0.7, 0.8]))
    assert clip.mask_logits[:, :, 0, 0].tolist() == [[0.0, 1.0], [2.0, NO_MASK]]
