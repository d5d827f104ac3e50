"""``genvis convert``: a published checkpoint, or a model folder, becomes a model folder."""

from pathlib import Path
from typing import Literal


def convert(
    checkpoint: Path,
    out: Path,
    *,
    categories: str | None = None,
    clip_length: int | None = None,
    heads: int | None = None,
    window: int = 6,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    overwrite: bool = False,
) -> None:
    """Turn a published GenVIS, VITA, Mask2Former or VidEoMT checkpoint into a model folder.

    The backbone, all widths and depths, the numbers of queries and of classes are read from the tensors. Every tensor
    is accounted for: if one is unknown, missing or misshapen, it is named and nothing is written. A model folder is
    taken too, to store it in another type.

    Args:
        checkpoint: The .pth file, or a model folder. Code inside a file is never run; one that holds any is refused.
        out: The folder to write: config.json and model.safetensors.
        categories: youtube_vis_2019, youtube_vis_2021, youtube_vis_2022, ovis or coco. Default: by the number of
            classes: 25 ovis, 40 youtube_vis_2021, 80 coco.
        clip_length: Frames of a clip at inference: 1 for an online model, 3 for the published semi-online models.
            Default: 1 for a .pth file; a model folder has it.
        heads: Attention heads of the tracker. Default: as many as the detector's (8 in all
            published models).
        window: Frames per attention window of a VITA model's object encoder.
        dtype: Type of the stored weights: float16 and bfloat16 take half the space. Models compute in float32 unless
            they are told otherwise.
        overwrite: Replace a model that is in OUT already.
    """
    import torch

    from genvis.checkpoints.infer_config import PublishedSettings
    from genvis.checkpoints.load import load
    from genvis.checkpoints.save import check_folder, save_model
    from genvis.errors import InputError

    check_folder(out, overwrite=overwrite)
    if checkpoint.is_dir():
        if categories is not None or heads is not None:
            raise InputError(f"'{checkpoint}' is a model folder, which has its categories and heads: give neither.")
        model = load(checkpoint)
        if clip_length is not None and clip_length < 1:
            raise InputError(f"clip_length is {clip_length}; a clip has 1 frame or more.")
        model.config.clip_length = clip_length or model.config.clip_length
    else:
        frames = 1 if clip_length is None else clip_length
        model = load(
            checkpoint,
            settings=PublishedSettings(
                num_attention_heads=heads, clip_length=frames, encoder_window_size=window, categories=categories
            ),
        )
    torch.nn.Module.to(model, dtype=getattr(torch, dtype))
    save_model(model, out, overwrite=overwrite)
    config = model.config
    kind = getattr(config, "method", config.model_type)
    print(
        f"{checkpoint}: {kind}, {model.num_parameters():,} parameters, {config.num_classes} classes "
        f"({config.categories_name or 'unnamed'}).\n"
        f"Wrote {out}; use it with `genvis predict VIDEO --weights {out}`."
    )
