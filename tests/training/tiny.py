"""A recipe that trains in seconds: a network of a few thousand weights on generated videos."""

from pathlib import Path
from typing import Any

from genvis.training.data_options import DataOptions, SourceOptions
from genvis.training.loss_options import LossOptions, LossWeights
from genvis.training.recipe import ModelOptions, OptimizerOptions, Recipe, RunOptions, Stage

CONFIG: dict[str, Any] = {
    "hidden_dim": 32,
    "mask_feature_size": 32,
    "num_attention_heads": 2,
    "dim_feedforward": 32,
    "encoder_layers": 1,
    "object_decoder_layers": 2,
    "num_instance_queries": 8,
    "min_size_test": 64,
    "max_size_test": 96,
    "detector": {
        "hidden_dim": 32,
        "feature_size": 32,
        "mask_feature_size": 32,
        "num_queries": 8,
        "num_attention_heads": 2,
        "encoder_layers": 1,
        "encoder_feedforward_dim": 32,
        "decoder_layers": 3,
        "dim_feedforward": 32,
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 8,
            "hidden_sizes": [8, 8, 16, 16],
            "depths": [1, 1, 1, 1],
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
    },
}


def tiny_recipe(output: Path, stage: Stage = "detector", **run: Any) -> Recipe:
    is_detector = stage == "detector"
    config = CONFIG | ({"method": "vita", "propagate_queries": False, "memory_read": "none"} if stage == "vita" else {})
    return Recipe(
        stage=stage,
        model=ModelOptions(config=config, label_set="ovis", freeze_batch_norm=not is_detector),
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
