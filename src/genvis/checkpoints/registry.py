"""Registry of pretrained models: names, categories, published accuracy, size, licence and origin.

Only facts that the authors publish are stated; what they do not publish is left empty. Parameters are counted from each
architecture, so the size is that of float32 weights. Nothing heavy is imported here.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from genvis.errors import InputError

Family = Literal["genvis", "vita", "videomt", "mask2former", "eomt", "rf_detr"]

DEFAULT_MODEL = "videomt-s-ytvis2019"
"""Model of ``genvis predict`` when none is named: 40 everyday categories, MIT licence, 24 million parameters."""

DEMO_MODEL = "sprites-tiny"
"""Bundled model of ``genvis demo``: it needs no network, and it only knows emoji."""

_GENVIS_ZOO = "https://github.com/miranheo/GenVIS (README, section Model Zoo)"


@dataclass(frozen=True, kw_only=True)
class RegistryEntry:
    """Pretrained model: what it is, how good it is said to be, and where its weights are.

    Attributes:
        name: Name for `genvis.load` and ``--weights``.
        family: Architecture, which decides the class that `genvis.load` returns.
        trained_on: Data set of the last training stage.
        categories: Name of the category set, for example ``"ovis"``; empty where it is only listed with the weights.
        num_categories: Number of categories.
        average_precision: Published mask AP in percent; None where the authors publish none.
        measured_on: Data set and split of ``average_precision``.
        parameters: Number of parameters; None where it is not known.
        licence: Licence of the weights; empty where the authors state none.
        hub_id: ``owner/name`` on the Hugging Face Hub; None for bundled weights and for those that are elsewhere.
        is_bundled: Whether this package ships the weights, as float16.
        has_weights: Whether the authors give the weights away.
        source: Where the weights come from, in words.
        clip_length: Frames of a clip with which the model was trained.
        note: One sentence on what the model is good for, or on what it lacks.
    """

    name: str
    family: Family
    trained_on: str
    categories: str
    num_categories: int
    average_precision: float | None = None
    measured_on: str = ""
    parameters: int | None = None
    licence: str = ""
    hub_id: str | None = None
    is_bundled: bool = False
    has_weights: bool = True
    source: str = ""
    clip_length: int = 1
    note: str = ""

    @property
    def size_in_bytes(self) -> int | None:
        """Size of the weights in float32 (bundled ones: float16), or None where the parameters are not known."""
        return None if self.parameters is None else (2 if self.is_bundled else 4) * self.parameters

    @property
    def usage(self) -> str:
        """Command line that uses the model; weights that must be fetched by hand are called ``FILE.pth``.

        Empty where there are no weights.
        """
        if not self.has_weights:
            return ""
        if self.hub_id or self.is_bundled:
            return f"genvis predict VIDEO --weights {self.name}"
        options = f" --categories {self.categories}" if self.categories == "youtube_vis_2019" else ""
        options += f" --clip-length {self.clip_length}" if self.clip_length > 1 else ""
        if not options:
            return "genvis predict VIDEO --weights FILE.pth"
        return f"genvis convert FILE.pth {self.name}{options} && genvis predict VIDEO --weights ./{self.name}"


def _videomt(size: str, data: str, average_precision: float) -> RegistryEntry:
    width = {"s": "small", "b": "base", "l": "large"}[size]
    year = data.removeprefix("ytvis")
    is_ovis = data == "ovis"
    data_set = "OVIS" if is_ovis else f"YouTube-VIS {year}"
    parameters = {"s": 24_088_361, "b": 94_182_953, "l": 317_635_610 if is_ovis else 317_650_985}
    return RegistryEntry(
        name=f"videomt-{size}-{data}",
        family="videomt",
        trained_on=data_set,
        categories="ovis" if is_ovis else f"youtube_vis_{year}",
        num_categories=25 if is_ovis else 40,
        average_precision=average_precision,
        measured_on=f"{data_set} validation",
        parameters=parameters[size],
        licence="MIT",
        hub_id=f"tue-mps/videomt-dinov2-{width}-{data}",
        source="authors' weights on the Hub (VidEoMT, CVPR 2026)",
        note="Tracks by itself: constant memory over streams of any length.",
    )


def _mask2former(size: str, parameters: int, average_precision: float) -> RegistryEntry:
    return RegistryEntry(
        name=f"mask2former-{size[0]}-coco",
        family="mask2former",
        trained_on="COCO",
        categories="coco",
        num_categories=80,
        average_precision=average_precision,
        measured_on="COCO val2017 (images)",
        parameters=parameters,
        licence="CC BY-NC 4.0 (Hub: other)",
        hub_id=f"facebook/mask2former-swin-{size}-coco-instance",
        source="authors' weights on the Hub; AP and licence from their MODEL_ZOO.md",
        note="Detector of single frames; ids come from matching. A good start for training.",
    )


def _eomt(name: str, hub_id: str, parameters: int, average_precision: float | None) -> RegistryEntry:
    is_panoptic = "panoptic" in name
    return RegistryEntry(
        name=name,
        family="eomt",
        trained_on="COCO panoptic" if is_panoptic else "COCO",
        categories="" if is_panoptic else "coco",
        num_categories=133 if is_panoptic else 80,
        average_precision=average_precision,
        measured_on="COCO val2017 (images)" if average_precision else "",
        parameters=parameters,
        licence="MIT",
        hub_id=f"tue-mps/{hub_id}",
        source="authors' weights on the Hub",
        note="Detector of single frames that also segments background such as sky: name the wanted ones with --classes."
        if is_panoptic
        else "Detector of single frames; ids come from matching.",
    )


def _rf_detr(size: str, resolution: int, millions: float, average_precision: float) -> RegistryEntry:
    return RegistryEntry(
        name=f"rf-detr-seg-{size}",
        family="rf_detr",
        trained_on="COCO",
        categories="coco",
        num_categories=80,
        average_precision=average_precision,
        measured_on="COCO val2017 (images)",
        parameters=round(millions * 1_000_000),
        licence="Apache-2.0",
        hub_id=f"Roboflow/rf-detr-seg-{size}",
        source="authors' weights on the Hub; AP and parameters from their documentation",
        note=f"Fast detector of single frames at {resolution}x{resolution} pixels; ids come from matching.",
    )


_DATA = {
    "ytvis19": ("YouTube-VIS 2019", "youtube_vis_2019", 40),
    "ytvis21": ("YouTube-VIS 2021", "youtube_vis_2021", 40),
    "ovis": ("OVIS", "ovis", 25),
    "coco": ("COCO", "coco", 80),
}
_BY_HAND = "not on the Hub: download the file in a browser from "


def _genvis(name: str, average_precision: float, *, is_downloadable: bool = True) -> RegistryEntry:
    data, backbone, _ = name.split("-", maxsplit=2)
    data_set, categories, count = _DATA[data]
    small, large = (57_443_636, 228_967_848) if data == "ovis" else (57_451_346, 228_975_558)
    return RegistryEntry(
        name=name,
        family="genvis",
        trained_on=data_set,
        categories=categories,
        num_categories=count,
        average_precision=average_precision,
        measured_on=f"{data_set} validation",
        parameters=small if backbone == "r50" else large,
        licence="Apache-2.0",
        source=f"{_BY_HAND}{_GENVIS_ZOO}" if is_downloadable else "the authors publish the AP but no weights",
        has_weights=is_downloadable,
        clip_length=3 if name.endswith("semi-online") else 1,
        note="Published GenVIS (paper, Tables 1 to 3).",
    )


def _vita(name: str, parameters: int) -> RegistryEntry:
    data_set, categories, count = _DATA[name.split("-")[1]]
    return RegistryEntry(
        name=name,
        family="vita",
        trained_on=data_set,
        categories=categories,
        num_categories=count,
        parameters=parameters,
        licence="Apache-2.0",
        source=f"{_BY_HAND}the VITA authors' repository, which {_GENVIS_ZOO} names",
        note="Published VITA, from which GenVIS is trained; whole videos only.",
    )


_ENTRIES = (
    RegistryEntry(
        name=DEMO_MODEL,
        family="genvis",
        trained_on="sprites (generated)",
        categories="ovis",
        num_categories=25,
        average_precision=66.7,
        measured_on="sprites, easy (docs/bundled_model.md)",
        parameters=4_196_638,
        licence="Apache-2.0",
        is_bundled=True,
        source="part of this package",
        note="For the demo and for tests: it only knows emoji, and is of no use for real videos.",
    ),
    _videomt("s", "ytvis2019", 52.8),
    _videomt("b", "ytvis2019", 58.2),
    _videomt("l", "ytvis2019", 68.6),
    _videomt("l", "ytvis2021", 63.1),
    _videomt("l", "ytvis2022", 42.6),
    _videomt("l", "ovis", 52.5),
    _mask2former("tiny", 47_423_179, 45.0),
    _mask2former("small", 68_741_083, 46.3),
    _mask2former("base", 106_906_249, 48.1),
    _mask2former("large", 215_525_061, 50.1),
    _eomt("eomt-l-coco-640", "coco_instance_eomt_large_640", 316_641_361, 45.2),
    _eomt("eomt-l-coco-1280", "coco_instance_eomt_large_1280", 321_556_561, 48.8),
    _eomt("eomt-s-coco-panoptic", "coco_panoptic_eomt_small_640_2x", 23_975_942, None),
    _eomt("eomt-b-coco-panoptic", "coco_panoptic_eomt_base_640_2x", 93_663_110, None),
    _rf_detr("nano", 312, 33.6, 40.3),
    _rf_detr("small", 384, 33.7, 43.1),
    _rf_detr("medium", 432, 35.7, 45.3),
    _rf_detr("large", 504, 36.2, 47.1),
    _genvis("ytvis19-r50-online", 50.0),
    _genvis("ytvis19-r50-semi-online", 51.3),
    _genvis("ytvis19-swinl-online", 64.0),
    _genvis("ytvis19-swinl-semi-online", 63.8),
    _genvis("ytvis21-r50-online", 47.1, is_downloadable=False),
    _genvis("ytvis21-r50-semi-online", 46.3),
    _genvis("ytvis21-swinl-online", 59.6, is_downloadable=False),
    _genvis("ytvis21-swinl-semi-online", 60.1, is_downloadable=False),
    _genvis("ovis-r50-online", 35.8),
    _genvis("ovis-r50-semi-online", 34.5),
    _genvis("ovis-swinl-online", 45.2),
    _genvis("ovis-swinl-semi-online", 45.4),
    _vita("vita-ytvis19-r50", 57_188_178),
    _vita("vita-ytvis19-swinl", 228_712_390),
    _vita("vita-ytvis21-r50", 57_188_178),
    _vita("vita-ytvis21-swinl", 228_712_390),
    _vita("vita-ovis-r50", 57_180_468),
    _vita("vita-ovis-swinl", 228_704_680),
    _vita("vita-coco-r50", 57_208_738),
    _vita("vita-coco-swinl", 228_732_950),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}
_BY_HUB_ID = {entry.hub_id: entry for entry in _ENTRIES if entry.hub_id}


def registry() -> tuple[RegistryEntry, ...]:
    """Return all pretrained models, bundled ones first."""
    return _ENTRIES


def find_entry(name: str) -> RegistryEntry | None:
    """Return the entry of a registry name or a Hub id, or None if there is none."""
    return _BY_NAME.get(name) or _BY_HUB_ID.get(name)


def entry_of(name: str) -> RegistryEntry:
    """Return the entry of a registry name or a Hub id.

    Raises:
        InputError: If there is none; similar names are suggested.
    """
    entry = find_entry(name)
    if entry is None:
        raise InputError(
            f"There is no pretrained model '{name}'{did_you_mean(name)}; `genvis models` lists all of them."
        )
    return entry


def weights_elsewhere(entry: RegistryEntry) -> InputError:
    """Return the sentence for a model whose weights a program cannot fetch."""
    remedy = f"; then: {entry.usage}" if entry.has_weights else ": choose another model."
    return InputError(f"The weights of '{entry.name}' cannot be fetched, {entry.source}{remedy}")


def did_you_mean(name: str) -> str:
    """Return ``" (did you mean ...?)"`` with the most similar registry names, or nothing if none is similar."""
    similar = difflib.get_close_matches(name.lower(), _BY_NAME, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(similar)}?)" if similar else ""
