"""The published models: how many numbers they learn, and that they build and run."""

import pytest
import torch

from genvis import GenVIS, GenVISConfig
from tests.model.tiny_models import random_frames


def count(model: torch.nn.Module, *, batch_norm: bool) -> int:
    """Parameters of the batch norms of the backbone, or all others."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    inside = sum(parameter.numel() for norm in norms for parameter in norm.parameters())
    return inside if batch_norm else sum(parameter.numel() for parameter in model.parameters()) - inside


@pytest.mark.parametrize("mode", ["online", "semi-online"])
def test_the_r50_model_of_youtube_vis_2021_has_the_published_number_of_parameters(mode):
    with torch.device("meta"):
        model = GenVIS(GenVISConfig.from_recipe(f"ytvis21-r50-{mode}"))
    assert count(model, batch_norm=False) == 57_398_226
    # In the published implementation the scales and shifts of the batch norms are frozen buffers, not parameters.
    assert count(model, batch_norm=True) == 53_120


def test_vita_is_genvis_without_the_four_projections_of_the_memory():
    with torch.device("meta"):
        genvis, vita = (GenVIS(GenVISConfig.from_recipe(name)) for name in ("ytvis21-r50-online", "vita-ytvis21-r50"))
    assert count(genvis, batch_norm=False) - count(vita, batch_norm=False) == 4 * (256 * 256 + 256)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ytvis21-r50-online", "ovis-swinl-online"])
def test_a_published_size_runs_on_one_frame_on_the_cpu(name):
    config = GenVISConfig.from_recipe(name)
    model = GenVIS(config).eval()
    frames = random_frames(1, 1, 360, 640)
    with torch.inference_mode():
        prediction, state = model(frames)
    classes = config.num_classes
    assert prediction.class_logits.shape == (1, 100, classes + 1)
    assert prediction.mask_embeddings.shape == (1, 100, 256)
    assert prediction.mask_features.shape == (1, 1, 256, 96, 160)
    assert prediction.frame_queries.shape == (1, 1, config.detector_config.num_queries, 256)
    assert all(bool(tensor.isfinite().all()) for tensor in prediction)
    assert len(state.memory) == 1
