"""The 20 published models by name: 12 of GenVIS (paper, Tables 1 to 3) and the 8 of VITA from which they start.

Only what defines the network and its inference is here; how each was trained is in `genvis.training.recipes`.
"""

from typing import Any, Literal

from genvis.errors import InputError

_DATA = {"ytvis19": "youtube_vis_2019", "ytvis21": "youtube_vis_2021", "ovis": "ovis", "coco": "coco"}
_STAGES = ["stage1", "stage2", "stage3", "stage4"]

SwinSize = Literal["tiny", "small", "base", "large"]
# Embedding width, depths, heads and window of the four sizes (Swin Transformer, section 3.3; base and large at 384).
_SWIN: dict[str, tuple[int, list[int], list[int], int]] = {
    "tiny": (96, [2, 2, 6, 2], [3, 6, 12, 24], 7),
    "small": (96, [2, 2, 18, 2], [3, 6, 12, 24], 7),
    "base": (128, [2, 2, 18, 2], [4, 8, 16, 32], 12),
    "large": (192, [2, 2, 18, 2], [6, 12, 24, 48], 12),
}


def resnet50_backbone() -> dict[str, Any]:
    """Return the backbone configuration of ResNet-50, with the stride in the 3x3 convolution."""
    return {
        "model_type": "resnet",
        "embedding_size": 64,
        "hidden_sizes": [256, 512, 1024, 2048],
        "depths": [3, 4, 6, 3],
        "layer_type": "bottleneck",
        "out_features": _STAGES,
    }


def swin_backbone(size: SwinSize) -> dict[str, Any]:
    """Return the backbone configuration of Swin-T, -S, -B or -L.

    Raises:
        InputError: If the size is unknown.
    """
    if size not in _SWIN:
        raise InputError(f"There is no Swin '{size}'; choose from {', '.join(_SWIN)}.")
    width, depths, heads, window = _SWIN[size]
    return {
        "model_type": "swin",
        "embed_dim": width,
        "depths": depths,
        "num_heads": heads,
        "window_size": window,
        "drop_path_rate": 0.3,
        "out_features": _STAGES,
    }


def recipe_names() -> tuple[str, ...]:
    """Return the names of all published models."""
    genvis = [
        f"{data}-{backbone}-{mode}"
        for data in ("ytvis19", "ytvis21", "ovis")
        for backbone in ("r50", "swinl")
        for mode in ("online", "semi-online")
    ]
    vita = [f"vita-{data}-{backbone}" for data in _DATA for backbone in ("r50", "swinl")]
    return (*genvis, *vita)


def recipe_fields(name: str) -> dict[str, Any]:
    """Return the fields of `GenVISConfig` of a published model, and ``categories``, the name of its categories.

    Raises:
        InputError: If there is no model of that name.
    """
    if name not in recipe_names():
        raise InputError(f"There is no recipe '{name}'; choose from {', '.join(recipe_names())}.")
    is_vita = name.startswith("vita-")
    data, backbone, *mode = name.removeprefix("vita-").split("-", maxsplit=2)
    is_large = backbone == "swinl"
    fields: dict[str, Any] = {
        "categories": _DATA[data],
        "detector": {
            "backbone_config": swin_backbone("large") if is_large else resnet50_backbone(),
            "num_queries": 200 if is_large else 100,
        },
        "num_instance_queries": 100,
        "min_size_test": {"coco": 800}.get(data, 448 if is_large else 360),
        "detections_per_video": {"ovis": 20, "coco": 100}.get(data, 10),
    }
    if is_vita:
        # The COCO stage trains on single images, with global attention (reference recipes: enc_window_size 0).
        window = 0 if data == "coco" else 6
        fields |= {"method": "vita", "encoder_window_size": window, "propagate_queries": False, "memory_read": "none"}
    else:
        fields |= {"clip_length": 3 if mode == ["semi-online"] else 1}
    return fields
