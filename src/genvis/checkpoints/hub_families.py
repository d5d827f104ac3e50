"""A Mask2Former of transformers, from a folder or the Hub, as the frame-level detector of a new model."""

import re
from pathlib import Path
from typing import Any, cast

from transformers import Mask2FormerForUniversalSegmentation

from genvis.categories import Categories
from genvis.checkpoints.load import announce_hub, is_hub_id, without_progress_bars
from genvis.errors import InputError
from genvis.model.config import DetectorConfig, GenVISConfig
from genvis.model.genvis import GenVIS


def detector_from_mask2former(
    name_or_folder: str | Path, *, config: GenVISConfig | None = None, labels: Categories | None = None
) -> GenVIS:
    """Return a model whose detector has the weights of a transformers Mask2Former; the rest is freshly initialised.

    Args:
        name_or_folder: A folder or Hub id, for example ``"facebook/mask2former-swin-large-coco-instance"``.
        config: Sizes of the tracker; None takes the published ones. Its detector is replaced.
        labels: The classes of the new model; None keeps those of the Mask2Former. Class heads of other labels are
            made anew.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If nothing of that name can be loaded, it is another kind of model, or it does not fit ``config``.
    """
    source = _load(str(name_or_folder))
    fields = (config or GenVISConfig()).to_dict()
    fields.update(detector=source.config.to_dict(), hidden_dim=source.config.hidden_dim, category_ids=None)
    fields.update(id2label=source.config.id2label, label2id=source.config.label2id, categories_name="")
    target_config = GenVISConfig(**fields)
    has_same_labels = labels is None or labels.names == target_config.categories.names
    target = GenVIS(target_config if labels is None else target_config.with_labels(labels)).eval()
    state = {}
    for name, tensor in source.state_dict().items():
        is_class_head = name.startswith("class_predictor.")
        if name.startswith("criterion.") or ".swin.layernorm." in name or (is_class_head and not has_same_labels):
            continue
        ours = name.replace("model.pixel_level_module.decoder.mask_projection.", "mask_projection.")
        state[re.sub(r"^model\.", "mask2former.", ours)] = tensor
    missing, unexpected = target.detector.load_state_dict(state, strict=False)
    if not has_same_labels:
        missing = [name for name in missing if not name.startswith("class_predictor.")]
    if missing or unexpected:
        raise InputError(f"'{name_or_folder}' does not fit: missing {missing or 'nothing'}, unknown {unexpected}.")
    return target


def _load(name: str) -> Mask2FormerForUniversalSegmentation:
    is_folder = Path(name).is_dir()
    if not is_folder:
        if not is_hub_id(name):
            raise InputError(f"There is no Mask2Former '{name}': give a folder or a Hub id (owner/name).")
        announce_hub(name)
    elif not Path(name, "config.json").is_file():
        raise InputError(f"{name} is no model folder: it has no config.json.")
    try:
        kind = DetectorConfig.get_config_dict(name)[0].get("model_type")
        if kind != "mask2former":
            raise InputError(f"'{name}' holds a model of type '{kind}': give a Mask2Former.")
        with without_progress_bars(enabled=is_folder):
            loaded: Any = Mask2FormerForUniversalSegmentation.from_pretrained(
                name, config=DetectorConfig.from_pretrained(name), output_loading_info=True
            )
    except InputError:
        raise
    except Exception as error:  # transformers, safetensors and the Hub raise many kinds for an unusable model.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"No Mask2Former could be loaded from '{name}': {reason}.") from error
    source, information = loaded
    absent = sorted(name for name in information["missing_keys"] if not name.startswith("criterion."))
    if absent:
        raise InputError(f"The weights of '{name}' do not fit its config.json; missing: {', '.join(absent)}.")
    return cast(Mask2FormerForUniversalSegmentation, source)
