"""Loading of published ``.pth`` checkpoints and of Mask2Former models as detectors, with every tensor accounted for."""

import pickle
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Mask2FormerForUniversalSegmentation

from genvis.checkpoints.published import rename_published
from genvis.checkpoints.shapes import Untold, config_from_tensors
from genvis.errors import InputError
from genvis.label_sets import LabelSet
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS


def load_published(path: str | Path, *, untold: Untold | None = None) -> GenVIS:
    """Load a published GenVIS, VITA or Mask2Former checkpoint.

    Args:
        path: A ``.pth`` file of ``torch.save``: a dictionary with the state dict under "model", or a state dict.
        untold: What the tensors cannot tell; None takes the published defaults.

    Returns:
        The model, in evaluation mode, on the CPU, in float32.

    Raises:
        InputError: If the file cannot be read, holds code, is of another model, or has unknown, missing or misshapen
            tensors, each of which is named.
    """
    file = Path(path)
    state = read_state_dict(file)
    config = config_from_tensors(state, untold=untold or Untold(), file=str(file))
    model = GenVIS(config).eval()
    renamed = rename_published(state)
    problems = [f"unknown: {name}" for name in renamed.unknown]
    expected = model.state_dict()
    for name, tensor in expected.items():
        given = renamed.tensors.get(name)
        if given is None:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"missing: the tensor for {name}")
        elif given.shape != tensor.shape:
            shapes = f"{tuple(given.shape)} instead of {tuple(tensor.shape)}"
            problems.append(f"misshapen: {renamed.origin[name]} is {shapes}")
    extra = sorted({renamed.origin[name] for name in renamed.tensors if name not in expected})
    problems += [f"unknown: {name}" for name in extra]
    if problems:
        raise InputError(f"{file} does not fit its own sizes ({len(problems)} tensors): {'; '.join(problems)}.")
    model.load_state_dict({**expected, **renamed.tensors})
    return model


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``torch.save`` file without running any code that it may hold.

    Raises:
        InputError: If the file is absent, damaged, holds anything but tensors and plain values, or no state dict.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"There is no file {file}.") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a folder, not a checkpoint file.") from None
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(file) or "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise InputError(
                f"{file} is refused: it holds Python objects besides tensors, which could run code when loaded; "
                "ask its author for a file with tensors only."
            ) from None
        raise InputError(f"{file} is no checkpoint of torch.save, or is damaged: fetch it again.") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file} cannot be read ({reason}); it may be truncated: fetch it again.") from None
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{file} holds no state dict: expected tensors by name, alone or under the key 'model'.")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}


def detector_from_mask2former(
    name_or_folder: str, *, config: GenVISConfig | None = None, labels: LabelSet | None = None
) -> GenVIS:
    """Return a model whose detector has the weights of a transformers Mask2Former; the rest is freshly initialised.

    Args:
        name_or_folder: A folder or Hub id, for example ``"facebook/mask2former-swin-large-coco-instance"``.
        config: Sizes of the tracker; None takes the published ones. Its detector is replaced.
        labels: The classes of the new model; None keeps those of the Mask2Former. Class heads of other labels are
            made anew.

    Raises:
        InputError: If nothing of that name can be loaded.
    """
    try:
        source = Mask2FormerForUniversalSegmentation.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise InputError(f"No Mask2Former could be loaded from '{name_or_folder}': {_first_line(error)}.") from None
    fields = (config or GenVISConfig()).to_dict()
    fields.update(detector=source.config.to_dict(), hidden_dim=source.config.hidden_dim, category_ids=None)
    fields.update(id2label=source.config.id2label, label2id=source.config.label2id)
    target_config = GenVISConfig(**fields)
    target = GenVIS(target_config if labels is None else target_config.with_labels(labels))
    state = {}
    for name, tensor in source.state_dict().items():
        if name.startswith("criterion.") or ".swin.layernorm." in name:
            continue
        ours = name.replace("model.pixel_level_module.decoder.mask_projection.", "mask_projection.")
        state[re.sub(r"^model\.", "mask2former.", ours)] = tensor
    if target_config.num_classes != target.config.num_classes or labels is not None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("class_predictor.")}
    missing, unexpected = target.detector.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.startswith("class_predictor.")]
    if missing or unexpected:
        raise InputError(f"'{name_or_folder}' does not fit: missing {missing or 'nothing'}, unknown {unexpected}.")
    return target


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def count_parameters(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
