"""Join the bundled model's detector with the tracker that reads places: `python -m experiments.join_tracker FOLDER`."""

import argparse
from pathlib import Path

from safetensors.torch import load_file

from genvis.checkpoints.load import load_genvis
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS

CLAIMS_TRACKER = Path(__file__).parent / "claims_tracker.safetensors"
"""Weights that `genvis train experiments/claims_tracker.yaml` made, without those of the detector."""


def joined_model() -> GenVIS:
    """Return the bundled model with that tracker instead of its own, in evaluation mode."""
    bundled = load_genvis("sprites-tiny")
    claims = {"frame_reading": "claims", "memory_read": "none", "propagation": "occupancy"}
    model = GenVIS(GenVISConfig(**{**bundled.config.to_dict(), **claims}))
    detector = {name: one for name, one in bundled.state_dict().items() if name.startswith("detector.")}
    model.load_state_dict({**detector, **load_file(CLAIMS_TRACKER)})
    return model.eval()


def main() -> None:
    """Write the model to a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the model, for `genvis predict --weights FOLDER`")
    joined_model().save_pretrained(parser.parse_args().folder)


if __name__ == "__main__":
    main()
