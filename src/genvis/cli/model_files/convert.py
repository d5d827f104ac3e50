"""``genvis convert``: a published checkpoint, or any other model, becomes a model folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genvis.errors import InputError

if TYPE_CHECKING:
    from genvis.checkpoints.load import Network


def convert(
    checkpoint: str,
    out: Path,
    *,
    categories: str | None = None,
    clip_length: int | None = None,
    heads: int | None = None,
    window: int | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    overwrite: bool = False,
) -> None:
    """Turn a published GenVIS, VITA, Mask2Former or VidEoMT checkpoint into a model folder.

    The backbone, all widths and depths, the numbers of queries and of classes are read from the tensors. Every tensor
    is accounted for: if one is unknown, missing or misshapen, it is named and nothing is written. Any other model is
    taken too, to store it in another dtype.

    Args:
        checkpoint: The .pth file; or a model folder, a name that `genvis models` lists, or a Hub id. Code inside a file
            is never run; one that holds any is refused.
        out: The folder to write: config.json and model.safetensors.
        categories: youtube_vis_2019, youtube_vis_2021, youtube_vis_2022, ovis or coco. Default: by the number of
            classes: 25 ovis, 40 youtube_vis_2021, 80 coco.
        clip_length: Frames of a clip at inference: 1 for an online model, 3 for the published semi-online models.
            Default: 1 for a .pth file; other models have it in their config.json.
        heads: Attention heads of the tracker. Default: as many as the detector has (8 in all published models).
        window: Frames per attention window of a VITA model's object encoder. Default: 6.
        dtype: Type of the stored weights: float16 and bfloat16 take half the space. Models compute in float32 unless
            they are told otherwise.
        overwrite: Replace a model that is in OUT already.
    """
    from genvis.checkpoints.hub import check_name, is_published_file

    check_name(checkpoint)
    is_published = is_published_file(Path(checkpoint))
    if not is_published and (categories, heads, window) != (None, None, None):
        raise InputError(f"'{checkpoint}' has its categories, heads and window in its config.json: give none of them.")
    if clip_length is not None and clip_length < 1:
        raise InputError(f"clip_length is {clip_length}; a clip has 1 frame or more.")
    # The heavy libraries are loaded when all that can be refused at once was looked at.
    import torch

    from genvis.checkpoints.infer_config import PublishedSettings
    from genvis.checkpoints.load import load_network
    from genvis.checkpoints.save import check_folder, save_model

    check_folder(out, overwrite=overwrite)
    if is_published:
        settings = PublishedSettings(
            num_attention_heads=heads,
            clip_length=clip_length or 1,
            encoder_window_size=6 if window is None else window,
            categories=categories,
        )
        model = load_network(checkpoint, settings=settings)
    else:
        model = load_network(checkpoint)
        model.config.clip_length = clip_length or model.config.clip_length
    torch.nn.Module.to(model, dtype=getattr(torch, dtype))
    save_model(model, out, overwrite=overwrite)
    print(f"{checkpoint}: {_summary(model)}.\nWrote {out}; use it with `genvis predict VIDEO --weights {out}`.")


def _summary(model: "Network") -> str:
    config = model.config
    kind = getattr(config, "method", config.model_type)
    categories = config.categories_name or "unnamed"
    return f"{kind}, {model.num_parameters():,} parameters, {config.num_classes} classes ({categories})"
