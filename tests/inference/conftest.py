from pathlib import Path

import numpy as np
import pytest

from genvis.checkpoints.load import load_genvis

GOLDEN = Path(__file__).parents[1] / "golden" / "inference"


@pytest.fixture(scope="session")
def golden_folder():
    return GOLDEN


@pytest.fixture(scope="session")
def golden_frames():
    """(8, 96, 144, 3) uint8 RGB."""
    return np.load(GOLDEN / "video.npz")["frames"]


@pytest.fixture(scope="session")
def tiny_models():
    return {name: load_genvis(GOLDEN / f"genvis_{name}_tiny.pth") for name in ("r50", "swin")}


@pytest.fixture
def tiny_model(tiny_models):
    return tiny_models["r50"]
