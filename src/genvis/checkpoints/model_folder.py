"""Model folders: ``config.json``, ``preprocessor_config.json`` and weights, read without trusting them.

Whatever transformers could be led to fetch or run by a configuration (custom code, kernels of the Hub, adapters) is
left out. Weights are safetensors, or a ``pytorch_model.bin`` that is read as tensors and nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from genvis.checkpoints.bounds import check_fields
from genvis.checkpoints.build import first_line
from genvis.checkpoints.hub import require_model_folder
from genvis.checkpoints.published_files import read_state_dict
from genvis.errors import InputError
from genvis.files import read_json_object, require_file

_LARGEST_JSON = 16_000_000  # Bytes; the configuration of a model with 10,000 categories is below 1 MB.
# Fields that say where code, kernels or other repositories are, or how a process is to run.
_NOT_TRUSTED = frozenset(
    (
        *("auto_map", "custom_pipelines", "trust_remote_code", "attn_implementation", "_attn_implementation"),
        *("_attn_implementation_internal", "experts_implementation", "_experts_implementation"),
        *("_experts_implementation_internal", "fusion_config", "use_kernels", "kernel_config", "distributed_config"),
        *("_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "dtype", "torch_dtype", "use_cache"),
    )
)


@dataclass(frozen=True)
class ModelFolder:
    """Folder of a model, with its configuration read and checked.

    Attributes:
        name: As the user named the model, for messages.
        path: The folder.
        config: ``config.json``, without the fields that are not trusted.
        preprocessor: ``preprocessor_config.json`` (or that of a video processor); empty if there is none.
    """

    name: str
    path: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]

    @classmethod
    def read(cls, path: Path, *, name: str) -> "ModelFolder":
        """Read the configurations of a folder.

        Raises:
            InputError: If there is no ``config.json``, or a configuration is damaged or out of bounds.
        """
        config = _read(require_model_folder(path) / "config.json")
        if config.get("quantization_config") is not None:
            raise InputError(f"'{name}' holds quantised weights, which are not supported: take the original ones.")
        preprocessors = (path / file for file in ("preprocessor_config.json", "video_preprocessor_config.json"))
        preprocessor = next((_read(file) for file in preprocessors if file.is_file()), {})
        return cls(name, path, config, preprocessor)

    @property
    def model_type(self) -> str:
        """Family of the model, as its configuration names it; empty if it names none."""
        kind = self.config.get("model_type")
        return kind if isinstance(kind, str) else ""

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights by name, on the CPU, in the type in which they are stored.

        Raises:
            InputError: If there are none, or a file is absent, damaged, or holds anything but tensors.
        """
        if (self.path / "model.safetensors").is_file():
            return self._safetensors("model.safetensors")
        if (self.path / "model.safetensors.index.json").is_file():
            return {
                tensor_name: tensor
                for file in self._shards()
                for tensor_name, tensor in self._safetensors(file).items()
            }
        if (self.path / "pytorch_model.bin").is_file():
            return read_state_dict(self.path / "pytorch_model.bin")
        raise InputError(f"'{self.name}' could not be loaded: {self.path} has no model.safetensors.")

    def _shards(self) -> list[str]:
        index = _json(self.path / "model.safetensors.index.json")
        weight_map = index.get("weight_map")
        files = sorted(set(map(str, weight_map.values()))) if isinstance(weight_map, Mapping) else []
        # A name with a folder in it could point anywhere.
        if not files or not all(re.fullmatch(r"[\w.-]+\.safetensors", file, re.ASCII) for file in files):
            raise InputError(f"'{self.name}' could not be loaded: its model.safetensors.index.json names no parts.")
        absent = [file for file in files if not (self.path / file).is_file()]
        if absent:
            raise InputError(f"'{self.name}' could not be loaded: {absent[0]} is missing in {self.path}.")
        return files

    def _safetensors(self, file: str) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        try:
            return load_file(self.path / file)
        except Exception as error:  # A damaged file makes the reader fail in several ways.
            raise InputError(
                f"'{self.name}' could not be loaded: {file} is damaged ({first_line(error)}): fetch it again."
            ) from None


def _read(path: Path) -> dict[str, Any]:
    fields = _trusted(_json(path))
    check_fields(fields, file=str(path))
    return fields


def _json(path: Path) -> dict[str, Any]:
    if require_file(path).stat().st_size > _LARGEST_JSON:
        raise InputError(f"'{path}' is larger than {_LARGEST_JSON // 1_000_000} MB, which no configuration is.")
    return read_json_object(path, expected="the configuration of a model")


def _trusted(fields: Mapping[str, Any], *, depth: int = 0) -> dict[str, Any]:
    """Return the fields without those that are not trusted, at every depth; `check_fields` refuses deep nesting."""
    return {
        name: _trusted(value, depth=depth + 1) if isinstance(value, Mapping) and depth < 20 else value
        for name, value in fields.items()
        if name not in _NOT_TRUSTED
    }
