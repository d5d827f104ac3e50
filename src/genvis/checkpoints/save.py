"""Saving of a model as a folder that is complete or is not there."""

import tempfile
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel

from genvis.checkpoints.build import without_progress_bars
from genvis.errors import InputError
from genvis.files import cannot_write


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Check early that a model may be saved in ``folder``.

    Args:
        folder: Where the model is to be.
        overwrite: Whether a model may be there already.

    Raises:
        InputError: If it is a file, or holds a model that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose a folder.")
    if (folder / "config.json").exists() and not overwrite:
        raise InputError(f"{folder} holds a model already: choose another folder, or say overwrite to replace it.")


def save_model(model: PreTrainedModel, folder: Path, *, overwrite: bool = False) -> None:
    """Write config.json and model.safetensors, which appear in ``folder`` when both are complete.

    Args:
        model: A model of any supported family.
        folder: Made if it is not there; other files in it stay.
        overwrite: Replace a model that is there already.

    Raises:
        InputError: If the folder holds a model.
        OutputError: If it cannot be written, or the disk is full.
    """
    check_folder(folder, overwrite=overwrite)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".model.", suffix=".partial") as partial:
            with without_progress_bars():
                model.save_pretrained(partial)
            # The configuration goes last: it is what makes the folder a model.
            for file in sorted(Path(partial).iterdir(), key=lambda file: file.name == "config.json"):
                file.replace(folder / file.name)
    except (OSError, SafetensorError) as error:
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        # safetensors hides the number of an operating system's error in its text.
        raise cannot_write(folder, error if isinstance(error, OSError) else OSError(0, str(error))) from None
