"""``genvis convert``: a published checkpoint becomes a model folder."""

from pathlib import Path


def convert(
    checkpoint: Path,
    out: Path,
    *,
    labels: str | None = None,
    clip_length: int = 1,
    heads: int | None = None,
    window: int = 6,
    overwrite: bool = False,
) -> None:
    """Turn a published GenVIS, VITA or Mask2Former checkpoint into a folder that from_pretrained loads.

    The backbone, all widths and depths, the numbers of queries and of classes are read from the tensors. Every tensor
    is accounted for: if one is unknown, missing or misshapen, it is named and nothing is written.

    Args:
        checkpoint: The .pth file. Code inside it is never run; a file that holds any is refused.
        out: The folder to write: config.json and model.safetensors.
        labels: Label set of the classes: youtube_vis_2019, youtube_vis_2021, youtube_vis_2022, ovis or coco. Default:
            by the number of classes: 25 ovis, 40 youtube_vis_2021, 80 coco.
        clip_length: Frames of a clip at inference: 1 for an online model, 3 for the published semi-online models.
        heads: Attention heads. Default: as many as the pixel decoder's tensors tell (8 in all published models).
        window: Frames per attention window of a VITA model's object encoder.
        overwrite: Replace a model that is in OUT already.
    """
    from genvis.checkpoints import Untold, load_published
    from genvis.checkpoints.pretrained import without_progress_bars
    from genvis.errors import InputError

    if (out / "config.json").exists() and not overwrite:
        raise InputError(f"{out} holds a model already: choose another folder or add --overwrite true.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: choose a folder.")
    untold = Untold(num_attention_heads=heads, clip_length=clip_length, encoder_window_size=window, labels=labels)
    model = load_published(checkpoint, untold=untold)
    try:
        with without_progress_bars():
            model.save_pretrained(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): choose another folder.") from None
    config = model.config
    backbone = config.detector_config.backbone_config.model_type
    print(
        f"{checkpoint}: {config.method}, {backbone} backbone, {model.num_parameters():,} parameters, "
        f"{config.num_classes} classes ({config.label_set_name or 'unnamed'}), "
        f"{config.num_instance_queries} identities.\n"
        f"Wrote {out}; use it with `genvis predict VIDEO --weights {out}`."
    )


COMPONENTS = convert
