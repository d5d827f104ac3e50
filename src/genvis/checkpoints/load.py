"""The front door: a model by its name, whatever kind of name it is and whichever family it belongs to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig, ResNetConfig, ResNetModel, SwinConfig, SwinModel

from genvis.checkpoints.bounds import check_fields
from genvis.checkpoints.build import build_config, build_network
from genvis.checkpoints.hub import find_folder, is_published_file, model_files, require_model_folder
from genvis.checkpoints.hub_families import (
    DETECTOR_FAMILIES,
    check_divisor,
    detector_config,
    detector_from_hub,
    hub_categories,
    is_unused,
)
from genvis.checkpoints.infer_config import PublishedSettings
from genvis.checkpoints.model_folder import ModelFolder
from genvis.checkpoints.published_files import load_published
from genvis.errors import InputError
from genvis.model.config import GenVISConfig
from genvis.model.genvis import GenVIS
from genvis.model.tracker.videomt import VidEoMT, VidEoMTConfig
from genvis.runtimes.description import read_description
from genvis.runtimes.exported_model import ExportedGenVIS, ExportedVidEoMT, ExportFolder
from genvis.runtimes.runtime_names import DESCRIPTION_FILE, RuntimeName, is_export
from genvis.storage.addresses import is_remote, without_credentials
from genvis.storage.fetching import FetchCache, fetched_folder, remote_file

Network = GenVIS | VidEoMT
Model = Network | ExportedGenVIS | ExportedVidEoMT
ModelConfig = GenVISConfig | VidEoMTConfig


def load(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    settings: PublishedSettings | None = None,
    runtime: RuntimeName | None = None,
) -> Model:
    """Load a pretrained model, or the folder of an export.

    Args:
        name: As in `load_network`; or a folder that ``genvis export`` wrote.
        dtype: Of the network. Weights may be stored in another; CPUs compute fastest in float32. Exports compute in
            float32 always.
        settings: As in `load_network`.
        runtime: Which library runs an export; None takes the one of its format. Others are run by PyTorch.

    Returns:
        The model, in evaluation mode, on the CPU. A detector that comes without a tracker is a `GenVIS` whose
        ``tracker`` is None. Exports are an `ExportedGenVIS` or an `ExportedVidEoMT`, which `VideoSegmenter` takes too.

    Raises:
        InputError: As `load_network`; or if an export is damaged, or asked for another dtype.
        MissingExtraError: If the runtime of an export is not installed.
    """
    folder = Path(name)
    if not is_export(folder):
        return load_network(name, dtype=dtype, settings=settings)
    if dtype != torch.float32:
        raise InputError(f"'{name}' is an export, which computes in float32: leave the dtype out.")
    description = read_description(folder)
    check_fields(description.config, file=str(folder / DESCRIPTION_FILE))
    config_class = VidEoMTConfig if description.family == "videomt" else GenVISConfig
    config = build_config(config_class, description.config, name=str(name))
    return ExportFolder(folder, description, runtime=runtime).model(config).eval()


def load_network(
    name: str | Path, *, dtype: torch.dtype = torch.float32, settings: PublishedSettings | None = None
) -> Network:
    """Load a pretrained model as a network of PyTorch.

    Args:
        name: Tried in this order: a published ``.pth`` file of GenVIS, VITA, Mask2Former or VidEoMT; a model folder; a
            bundled model, for example ``"sprites-tiny"``; a name that ``genvis models`` lists; a Hub id ``owner/name``.
            A file or folder in a store (``s3://bucket/model``) is fetched first.
            Folders and Hub models may be of any supported family: ``model_type`` of their ``config.json`` decides.
        dtype: Of the network. Weights may be stored in another; CPUs compute fastest in float32.
        settings: Settings of a ``.pth`` file that cannot be inferred from its tensors; None takes the published ones.

    Returns:
        The model, in evaluation mode, on the CPU. A detector that comes without a tracker is a `GenVIS` whose
        ``tracker`` is None.

    Raises:
        InputError: If there is no such model, it is not cached and the Hub cannot be reached, its configuration is out
            of bounds, its tensors do not fit it one by one, or it is an export.
    """
    if is_remote(name):
        return _load_from_store(str(name), dtype=dtype, settings=settings)
    path = Path(name)
    if is_export(path):
        raise InputError(f"'{name}' is an export, which only runs: give the model that it was made of.")
    if is_published_file(path):
        model = load_published(path, settings=settings)
        nn.Module.to(model, dtype=dtype)  # The typed `to`: transformers' own only adds a guard for quantised models.
        return model
    if settings is not None:
        raise InputError(f"'{name}' is no .pth file: its settings are in its config.json.")
    folder = ModelFolder.read(find_folder(str(name)), name=str(name))
    family = _family(folder)
    return family.load(folder, family.config(folder), dtype)


def _load_from_store(address: str, *, dtype: torch.dtype, settings: PublishedSettings | None) -> Network:
    """Load a model folder, or a published file, that is fetched into the cache first."""
    if Path(without_credentials(address)).suffix in (".pth", ".pt"):
        with FetchCache().fetched(remote_file(address)) as path:
            return load_network(path, dtype=dtype, settings=settings)
    with fetched_folder(address, model_files) as folder:
        require_model_folder(folder)
        return load_network(folder, dtype=dtype, settings=settings)


def load_genvis(name: str | Path, *, dtype: torch.dtype = torch.float32) -> GenVIS:
    """Load a pretrained model that must be a `GenVIS`, with or without a tracker, for example to train one from it.

    Args:
        name: As in `load`.
        dtype: As in `load`.

    Raises:
        InputError: As `load`, and if the model is of another class.
    """
    model = load_network(name, dtype=dtype)
    if not isinstance(model, GenVIS):
        raise InputError(
            f"'{name}' is a {type(model).__name__}, which tracks by itself: choose a GenVIS or a detector."
        )
    return model


def load_backbone(name: str) -> ResNetModel | SwinModel:
    """Load a backbone of transformers, for example one that was trained on ImageNet.

    Args:
        name: A folder or a Hub id, for example ``"microsoft/resnet-50"``; a classifier of images is taken as well.

    Raises:
        InputError: If there is no such backbone, it is not cached and the Hub cannot be reached, or its tensors do not
            fit its configuration.
    """
    folder = ModelFolder.read(find_folder(name), name=name)
    if folder.model_type not in _BACKBONES:
        raise InputError(
            f"'{name}' holds a model of type '{folder.model_type[:40]}', which is no backbone: take a "
            f"{' or a '.join(_BACKBONES)}."
        )
    config_class, network = _BACKBONES[folder.model_type]
    return build_network(
        network,
        build_config(config_class, folder.config, name=name),
        folder.tensors(),
        name=name,
        may_lack=lambda tensor: tensor.startswith("layernorm."),  # Of classification; a backbone has none.
        may_ignore=lambda _: True,  # Classifiers have a head.
    )


def read_config(folder: Path, *, name: str) -> ModelConfig:
    """Return the configuration of a model without loading its weights.

    Args:
        folder: Of the model, as `genvis.checkpoints.hub.local_folder` returns it.
        name: Of the model, for messages, and to find its categories where only the registry knows them.

    Raises:
        InputError: If the configuration is damaged, out of bounds or of no supported family.
    """
    content = ModelFolder.read(folder, name=name)
    return _family(content).config(content)


class _Family(NamedTuple):
    """How the folders of one ``model_type`` become a configuration of ours, and that and the weights a model."""

    config: Callable[[ModelFolder], Any]
    load: Callable[[ModelFolder, Any, torch.dtype], Network]


def _family(folder: ModelFolder) -> _Family:
    family = _FAMILIES.get(folder.model_type)
    if family is None:
        raise InputError(
            f"'{folder.name}' holds a model of type '{folder.model_type[:40]}': supported are {', '.join(_FAMILIES)}."
        )
    return family


def _genvis_config(folder: ModelFolder) -> GenVISConfig:
    config: GenVISConfig = build_config(GenVISConfig, folder.config, name=folder.name)
    check_divisor(config, file=str(folder.path / "config.json"))
    return config


def _load_genvis(folder: ModelFolder, config: GenVISConfig, dtype: torch.dtype) -> GenVIS:
    return build_network(GenVIS, config, folder.tensors(), name=folder.name, dtype=dtype)


def _videomt_config(folder: ModelFolder) -> VidEoMTConfig:
    fields = dict(folder.config)
    if "category_ids" not in fields:  # Of the Hub: transformers' own class knows no category ids.
        categories = hub_categories(folder)
        fields.update(category_ids=list(categories.ids), categories_name=categories.name)
        fields.update(id2label=dict(enumerate(categories.names)))
        fields.update(label2id={label: index for index, label in enumerate(categories.names)})
    config: VidEoMTConfig = build_config(VidEoMTConfig, fields, name=folder.name)
    return config


def _load_videomt(folder: ModelFolder, config: VidEoMTConfig, dtype: torch.dtype) -> VidEoMT:
    return build_network(
        VidEoMT,
        config,
        folder.tensors(),
        name=folder.name,
        dtype=dtype,
        may_lack=is_unused,
        may_ignore=lambda _: True,
    )


_BACKBONES: dict[str, tuple[type[PreTrainedConfig], type[ResNetModel | SwinModel]]] = {
    "resnet": (ResNetConfig, ResNetModel),
    "swin": (SwinConfig, SwinModel),
}
_FAMILIES = {
    "genvis": _Family(_genvis_config, _load_genvis),
    "videomt": _Family(_videomt_config, _load_videomt),
    **dict.fromkeys(DETECTOR_FAMILIES, _Family(detector_config, detector_from_hub)),
}
