"""What must hold for any weights, any number of videos and any clip length."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genvis.errors import InputError
from genvis.model.outputs import TrackerState
from genvis.model.tracker.memory_bank import PrototypeMemory
from tests.model.tiny_models import (
    assert_close,
    random_frames,
    random_queries,
    shared_model,
    shared_tracker,
    tiny_model,
)

few = settings(max_examples=12, deadline=None)
KINDS = ["resnet", "swin", "vita", "minvis"]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_detected_alike_one_by_one_and_together(kind):
    model = shared_model(kind)
    pixel_values = model.prepare_frames(random_frames(1, 3, 50, 70))
    with torch.no_grad():
        together = model.detector(pixel_values, layers=2)
        for index in range(3):
            alone = model.detector(pixel_values[index : index + 1], layers=2)
            assert_close(alone.frame_queries, together.frame_queries[:, index : index + 1])
            assert_close(alone.features, together.features[index : index + 1])


@pytest.mark.parametrize("kind", ["resnet", "swin"])
def test_layers_are_the_last_ones_in_their_order(kind):
    model = shared_model(kind)
    pixel_values = model.prepare_frames(random_frames(1, 1, 32, 64))
    with torch.no_grad():
        everything = model.detector(pixel_values, layers=3).frame_queries
        for layers in (1, 2):
            assert torch.equal(model.detector(pixel_values, layers=layers).frame_queries, everything[-layers:])
    assert everything.shape == (3, 1, 5, 32)


@few
@given(
    batch=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    memory_read=st.sampled_from(["index", "global", "none"]),
    seed=st.integers(0, 99),
)
def test_the_tracker_treats_a_batch_as_each_video_alone(batch, lengths, memory_read, seed):
    tracker = shared_tracker(memory_read)
    clips = [random_queries(batch, length, 5, 32, seed=seed + index) for index, length in enumerate(lengths)]
    state: TrackerState | None = None
    alone: list[TrackerState | None] = [None] * batch
    with torch.no_grad():
        for clip in clips:
            output, state = tracker(clip, state)
            for video in range(batch):
                single, alone[video] = tracker(clip[video : video + 1], alone[video])
                assert_close(single.class_logits[:, 0], output.class_logits[:, video])
                assert_close(single.mask_embeddings[:, 0], output.mask_embeddings[:, video])
                assert_close(single.query_similarity[0], output.query_similarity[video])
                assert_close(single.frame_similarity[0], output.frame_similarity[video])


@pytest.mark.parametrize("kind", ["resnet", "swin", "vita"])
def test_the_network_treats_a_batch_as_each_video_alone(kind):
    model = shared_model(kind)
    frames = random_frames(2, 4, 40, 64)
    state, alone = None, [None, None]
    with torch.no_grad():
        for clip in frames.split(2, dim=1):
            prediction, state = model(clip, state)
            for video in range(2):
                single, alone[video] = model(clip[video : video + 1], alone[video])
                for together, one in zip(prediction, single, strict=True):
                    assert_close(one[0], together[video])


@few
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    memory_read=st.sampled_from(["index", "global"]),
    seed=st.integers(0, 99),
)
def test_clip_by_clip_equals_the_whole_recursion_at_once(lengths, memory_read, seed):
    tracker = shared_tracker(memory_read)
    clips = [random_queries(1, length, 5, 32, seed=seed + index) for index, length in enumerate(lengths)]
    state: TrackerState | None = None
    prototypes = tracker.query_features.weight[None]
    keys: list[torch.Tensor] = []
    values: list[torch.Tensor] = []
    nothing = prototypes.new_empty(1, 0, 6, 32)
    with torch.no_grad():
        for clip in clips:
            streamed, state = tracker(clip, state)
            memory_keys = torch.stack(keys, dim=1) if keys else nothing
            memory_values = torch.stack(values, dim=1) if values else nothing
            whole, prototypes, stored = tracker.step(clip, prototypes, memory_keys, memory_values)
            keys.append(stored[0])
            values.append(stored[1])
            assert_close(streamed.class_logits, whole.class_logits)
            assert_close(streamed.mask_embeddings, whole.mask_embeddings)
    assert len(state.memory) == len(lengths)


@few
@given(clips=st.integers(1, 6), cut=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_state_that_was_saved_and_restored_continues_exactly(tmp_path_factory, clips, cut, seed):
    tracker = shared_tracker()
    file = tmp_path_factory.mktemp("state") / "state.pt"
    straight = resumed = None
    with torch.no_grad():
        for index in range(clips):
            clip = random_queries(1, 2, 5, 32, seed=seed + index)
            expected, straight = tracker(clip, straight)
            actual, resumed = tracker(clip, resumed)
            assert torch.equal(actual.class_logits, expected.class_logits)
            assert torch.equal(actual.mask_embeddings, expected.mask_embeddings)
            if index + 1 == cut:
                memory = resumed.memory
                torch.save([resumed.instance_queries, memory.keys.clone(), memory.values.clone()], file)
                queries, keys, values = torch.load(file, weights_only=True)
                resumed = TrackerState(queries, PrototypeMemory(keys, values))


@few
@given(clips=st.integers(1, 20), spare=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_bounded_memory_that_holds_all_clips_equals_the_unbounded_one(clips, spare, seed):
    tracker = shared_tracker()
    unbounded = bounded = None
    with torch.no_grad():
        for index in range(clips):
            clip = random_queries(1, 1, 5, 32, seed=seed + index)
            expected, unbounded = tracker(clip, unbounded)
            actual, bounded = tracker(clip, bounded, memory_clips=clips + spare)
            assert torch.equal(actual.class_logits, expected.class_logits)
    assert len(bounded.memory) == len(unbounded.memory) == clips


def test_a_memory_bound_of_the_configuration_is_kept_and_tells():
    unbounded, bounded = tiny_model().tracker, tiny_model(memory_clips=2).tracker
    state = other = None
    with torch.no_grad():
        for index in range(4):
            clip = random_queries(1, 1, 5, 32, seed=index).float()
            expected, state = unbounded(clip, state)
            actual, other = bounded(clip, other)
            assert len(other.memory) == min(index + 1, 2)
            assert torch.equal(actual.class_logits, expected.class_logits) == (index <= 2)


@pytest.mark.parametrize("kind", ["resnet", "swin", "vita"])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_any_clip_length_runs(kind, length):
    with torch.no_grad():
        prediction, state = shared_model(kind)(random_frames(1, length, 33, 65))
        again, state = shared_model(kind)(random_frames(1, 1, 33, 65), state)
    assert prediction.class_logits.shape == again.class_logits.shape == (1, 6, 4)
    assert prediction.mask_embeddings.shape == (1, 6, 16)
    assert prediction.mask_features.shape == (1, length, 16, 16, 24)
    assert prediction.frame_queries.shape == (1, length, 5, 32)
    assert all(bool(tensor.isfinite().all()) for tensor in (*prediction, *again))


def test_minvis_predicts_each_frame_with_the_detectors_own_heads():
    model = shared_model("minvis")
    frames = random_frames(2, 3, 32, 64)
    with torch.no_grad():
        prediction = model.predict_frames(frames)
        layers = model.detector.predict_layers(model.detector(model.prepare_frames(frames), layers=2))
    assert prediction.class_scores.shape == (6, 5, 3)
    assert prediction.mask_embeddings.shape == (6, 5, 32)
    assert prediction.mask_features.shape == (6, 32, 8, 16)
    assert_close(prediction.class_scores, layers.class_logits[-1].softmax(dim=-1)[..., :-1])
    masks = torch.einsum("qc,chw->qhw", layers.mask_embeddings[-1, 4], layers.mask_features[4])
    assert_close(prediction.mask_logits(4), masks)
    assert_close(prediction.mask_logits(4, torch.tensor([3, 0])), masks[[3, 0]])


def test_a_genvis_model_runs_as_vita_and_as_minvis_with_its_own_weights():
    model = shared_model("resnet")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    vita, minvis = model.as_vita(encoder_window_size=0), model.as_minvis()
    frames = random_frames(1, 2, 32, 64)
    with torch.no_grad():
        assert_close(minvis.predict_frames(frames).class_scores, model.predict_frames(frames).class_scores)
        prediction, state = vita(frames)
        repeated, _ = vita(frames, state)
    assert_close(repeated.class_logits, prediction.class_logits)  # VITA takes nothing over from clip to clip.
    assert (vita.config.method, minvis.config.method, minvis.tracker) == ("vita", "minvis", None)
    assert vita.tracker.memory_reader is None
    assert not vita.training
    with torch.no_grad():
        next(vita.parameters()).zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_minvis_model_says_that_it_has_no_tracker():
    model = shared_model("minvis")
    with pytest.raises(InputError, match="predict_frames"):
        model(random_frames(1, 1, 32, 32))
    with pytest.raises(InputError, match="no tracker"):
        model.as_vita()


def test_the_gradient_reaches_every_parameter_of_the_tracker_through_two_clips():
    model = tiny_model()
    tracker = model.tracker
    state, loss = None, torch.zeros(())
    for index in range(3):
        output, state = tracker(random_queries(2, 2, 5, 32, seed=index).float(), state)
        loss = loss + sum(tensor.square().mean() for tensor in output if tensor is not None)
    (loss + tracker.mask_features(torch.randn(1, 32, 8, 8)).square().mean()).backward()
    gradients = {name: parameter.grad for name, parameter in tracker.named_parameters()}
    gradients.pop("memory_reader.memory_key.bias")  # It adds the same to all logits of a softmax.
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []


def test_occupancy_weighted_propagation_mixes_each_query_with_the_previous_one():
    tracker = shared_tracker()
    with torch.no_grad():
        _, before = tracker(random_queries(2, 1, 5, 32))
        output, after = tracker(random_queries(2, 1, 5, 32, seed=1), before)
        same, mixed = tracker(random_queries(2, 1, 5, 32, seed=1), before, occupancy_weighted=True)
    assert torch.equal(output.class_logits, same.class_logits)  # It changes what follows, not this clip.
    assert torch.equal(mixed.memory.keys, after.memory.keys)
    occupied = 1 - output.class_logits[-1].softmax(dim=-1)[..., -1:]
    assert_close(mixed.instance_queries, occupied * after.instance_queries + (1 - occupied) * before.instance_queries)


def test_released_queries_start_as_in_the_first_clip():
    tracker = shared_tracker()
    assert tracker.memory_reader is not None
    everything = torch.ones(len(tracker.first_queries), dtype=torch.bool)
    queries = random_queries(2, 1, 5, 32, seed=2)
    with torch.no_grad():
        expected, _ = tracker(queries)
        _, state = tracker(random_queries(2, 1, 5, 32))
        _, state = tracker(random_queries(2, 1, 5, 32, seed=1), state)
        found, after = tracker(queries, tracker.released(state, everything))
        assert_close(found.class_logits, expected.class_logits)
        one = everything.clone()
        one[1:] = False
        partly = tracker.released(state, one)
    assert torch.equal(partly.instance_queries[:, 1:], state.instance_queries[:, 1:])
    assert torch.equal(partly.instance_queries[:, 0], tracker.first_queries[:1].expand(2, -1))
    assert partly.memory.is_filled[0, :, 0].tolist() == [False, False]
    assert partly.memory.is_filled[0, :, 1].tolist() == [True, True]
    assert after.memory.is_filled[0, :, 1].tolist() == [False, False, True]


@pytest.mark.parametrize("memory_clips", [0, -1])
def test_a_memory_of_no_clip_is_an_error_not_the_default(memory_clips):
    with pytest.raises(InputError, match=f"memory_clips is {memory_clips}"):
        shared_model("resnet")(random_frames(1, 1, 32, 64), memory_clips=memory_clips)
    with pytest.raises(InputError, match=f"memory_clips is {memory_clips}"):
        shared_model("resnet").segment(random_frames(1, 1, 32, 64)[0], memory_clips=memory_clips)
