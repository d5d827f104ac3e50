"""The tracker that reads places, joined with the bundled detector."""

from pathlib import Path

import torch
from experiments.join_tracker import joined_model

import genvis
from genvis.checkpoints.load import load_genvis


def test_the_joined_model_has_the_bundled_detector_and_is_saved_whole(tmp_path: Path) -> None:
    model, bundled = joined_model(), load_genvis("sprites-tiny")
    assert model.config.frame_reading == "claims"
    assert model.config.categories == bundled.config.categories
    for name, weight in bundled.detector.state_dict().items():
        assert torch.equal(model.detector.state_dict()[name], weight)
    model.save_pretrained(tmp_path / "joined")
    loaded = genvis.load(tmp_path / "joined")
    found, wanted = loaded.state_dict(), model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    # It learned: the weight of places is not what it began with.
    assert (model.tracker.decoder.layers[0].place_weight - 6).abs().max() > 0.1
