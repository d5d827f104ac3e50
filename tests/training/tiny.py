"""A recipe that trains in seconds: a network of a few thousand weights on generated videos."""

from pathlib import Path
from typing import Any

from genvis.training.recipe.data_options import DataOptions, SourceOptions
from genvis.training.recipe.loss_options import LossOptions, LossWeights
from genvis.training.recipe.recipe import ModelOptions, OptimizerOptions, Recipe, RunOptions, Stage
from tests.tiny_network import CONFIG


def tiny_recipe(output: Path, stage: Stage = "detector", **run: Any) -> Recipe:
    is_detector = stage == "detector"
    config = CONFIG | ({"method": "vita", "propagate_queries": False, "memory_read": "none"} if stage == "vita" else {})
    return Recipe(
        stage=stage,
        model=ModelOptions(config=config, categories="ovis", freeze_batch_norm=not is_detector),
        data=DataOptions(
            sources=[SourceOptions(height=64, width=64)],
            clips=1 if is_detector else 2,
            frame_range=6,
            batch_size=2,
            workers=0,
        ),
        optimizer=OptimizerOptions(learning_rate=1e-3, backbone_multiplier=1.0, clip_norm=1.0),
        loss=LossOptions(detector_layers=2, fixed_grid=8, weights=LossWeights()),
        run=RunOptions(
            **{
                "output": str(output),
                "max_steps": 3,
                "accelerator": "cpu",
                "devices": 1,
                "checkpoint_minutes": 0,
                "log_steps": 1,
                "tensorboard": False,
                **run,
            }
        ),
    )
