"""A network of a few thousand weights."""

from typing import Any

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
