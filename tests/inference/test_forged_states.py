"""States with a right checksum and wrong content: one sentence, or a run that goes on; never another error."""

import json

import pytest
import torch
from safetensors import safe_open

from genvis import InputError, VideoSegmenter
from genvis.checkpoints.load import load
from genvis.fingerprint import Fingerprint
from genvis.inference.state_file import write_state
from genvis.inference.video_run import STATE_FILE
from genvis.video.sources.source import Frame
from tests.tiny_families import save_tiny_family

VALUES = (None, -1, 10**30, 1e999, float("nan"), "word", [], [1], {}, [[-1, -1]], [[1, 1], [2, 1]], {"frame": [1]})


@pytest.fixture(scope="module")
def segmenters(tiny_models, tmp_path_factory):
    videomt = load(save_tiny_family(tmp_path_factory.mktemp("videomt"), "videomt"))
    made = {
        "videomt": VideoSegmenter(videomt),
        **{
            name: VideoSegmenter(tiny_models["r50"], resolution=64, tracker=name)
            for name in ("propagation", "memory", "queries", "clip_queries")
        },
    }
    for one in made.values():
        assert one.weights  # Hashed here, and not again for every forged state.
    return made


def frames_of(images, start):
    return [Frame(image=image, index=start + place, time=place / 10, name=str(place)) for place, image in images]


def state_of(path):
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        state = json.loads(file.metadata()["state"])
    return tensors, state["facts"], Fingerprint.from_json(state["fingerprint"], where=path, remedy="none")


def damaged_tensors(tensor):
    yield tensor[..., :0]
    yield tensor[:1] if len(tensor) > 1 else torch.cat([tensor, tensor])
    yield tensor[None]
    yield tensor.new_zeros(())
    yield torch.full_like(tensor, -7)
    yield torch.full_like(tensor, 10**6)
    if tensor.is_floating_point():
        yield torch.full_like(tensor, torch.nan)


def forgeries(tensors, facts):
    for name, tensor in tensors.items():
        yield {key: value for key, value in tensors.items() if key != name}, facts
        yield from (({**tensors, name: damaged}, facts) for damaged in damaged_tensors(tensor))
    for name in facts:
        yield tensors, {key: value for key, value in facts.items() if key != name}
        yield from ((tensors, {**facts, name: value}) for value in VALUES)
    for wrong in (None, [], "word"):
        yield tensors, wrong


def survives(work):
    """Return whether the state was refused, with one sentence."""
    try:
        work()
    except InputError as error:
        return "\n" not in str(error)
    return False


@pytest.mark.parametrize("name", ["videomt", "propagation", "memory", "queries", "clip_queries"])
def test_a_forged_session_is_one_sentence_or_goes_on(name, segmenters, golden_frames, tmp_path):
    segmenter, path = segmenters[name], tmp_path / "session"
    session = segmenter.open_session(score_threshold=0)
    session.step_clip(list(golden_frames[:2]))
    session.save(path)
    tensors, facts, fingerprint = state_of(path)
    refused = []
    for forged_tensors, forged_facts in forgeries(tensors, facts):
        write_state(path, forged_tensors, forged_facts, fingerprint=fingerprint)

        def work():
            resumed = segmenter.open_session(score_threshold=0, resume=path)
            resumed.step_clip(list(golden_frames[2:4]))

        refused.append(survives(work))
    assert sum(refused) > len(refused) / 2


@pytest.mark.parametrize("name", ["videomt", "memory"])
def test_a_forged_run_is_one_sentence_or_goes_on(name, segmenters, golden_frames, tmp_path):
    segmenter = segmenters[name]
    run = segmenter.start(name="video", folder=tmp_path)
    run.add(frames_of(enumerate(golden_frames[:2]), 0))
    run.save()
    run.close()
    tensors, facts, fingerprint = state_of(tmp_path / STATE_FILE)
    refused = []
    for forged_tensors, forged_facts in forgeries(tensors, facts):
        write_state(tmp_path / STATE_FILE, forged_tensors, forged_facts, fingerprint=fingerprint)

        def work():
            resumed = segmenter.start(name="video", folder=tmp_path)
            try:
                resumed.restore(remedy="none")
                resumed.add(frames_of(enumerate(golden_frames[2:3]), 2))
                resumed.result(segmenter.selection(detections=5))
            finally:
                resumed.close()

        refused.append(survives(work))
    assert sum(refused) > len(refused) / 2
