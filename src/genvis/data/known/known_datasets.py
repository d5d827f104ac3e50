"""Public data sets of videos and images with instance masks: facts that their makers publish."""

import difflib
from dataclasses import dataclass

from genvis.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KnownSplit:
    """One part of a data set.

    Attributes:
        name: As its makers call it.
        annotations: Where the recipes look for the annotation file, below the folder of the data set.
        images: Where the recipes look for the images, below the folder of the data set.
        downloaded: Names of the annotation file in what is downloaded, the last parts of its path.
        videos: Number of videos, or of images; None where its makers do not say.
        has_masks: Whether the file holds masks; those of a server's test videos do not.
    """

    name: str
    annotations: str
    images: str
    downloaded: tuple[str, ...]
    videos: int | None = None
    has_masks: bool = True


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """A data set.

    Attributes:
        name: Of ``genvis data get`` and of its folder in ``datasets``.
        title: Its full name.
        page: Address of its makers' page, where it is downloaded after accepting the terms.
        download: What to download there.
        terms: The terms in a sentence; the page decides.
        categories: Number of categories.
        splits: Its parts.
        recipes: Bundled recipes that use it, as a pattern.
        note: What to know of it.
    """

    name: str
    title: str
    page: str
    download: str
    terms: str
    categories: int
    splits: tuple[KnownSplit, ...]
    recipes: str = ""
    note: str = ""


def _youtube_vis(year: str, train: int, validation: int | None, *, note: str, recipes: str) -> KnownDataset:
    def split(name: str, videos: int | None, *, has_masks: bool) -> KnownSplit:
        return KnownSplit(
            name=name,
            annotations=f"{name}.json",
            images=f"{name}/JPEGImages",
            downloaded=(f"{name}.json", f"{name}/instances.json", f"youtube_vis_{year}_{name}.json"),
            videos=videos,
            has_masks=has_masks,
        )

    return KnownDataset(
        name=f"ytvis_{year}",
        title=f"YouTube-VIS {year}",
        page="https://youtube-vos.org/dataset/vis/",
        download="the frames and annotations of train and valid (an account of the evaluation server is needed)",
        terms="research only: the page states the terms, which you accept there",
        categories=40,
        splits=(split("train", train, has_masks=True), split("valid", validation, has_masks=False)),
        recipes=recipes,
        note=note,
    )


_DATASETS = (
    _youtube_vis(
        "2019",
        2238,
        302,
        note="4,883 objects and 131,000 masks, every fifth frame.",
        recipes="ytvis19-*, vita-ytvis19-*",
    ),
    _youtube_vis(
        "2021",
        2985,
        421,
        note="8,171 objects and 232,000 masks; other categories than 2019.",
        recipes="ytvis21-*, vita-ytvis21-*",
    ),
    _youtube_vis(
        "2022",
        2985,
        None,
        note="The training videos of 2021; its validation adds long videos.",
        recipes="ytvis21-* with --data.sources of this folder",
    ),
    KnownDataset(
        name="ovis",
        title="OVIS, occluded video instance segmentation",
        page="https://songbai.site/ovis/",
        download="train and valid, images and annotations",
        terms="research only: the page states the terms, which you accept there",
        categories=25,
        splits=tuple(
            KnownSplit(
                name=name,
                annotations=f"annotations_{name}.json",
                images=name,
                downloaded=(f"annotations_{name}.json", f"ovis_{name}.json"),
                videos=videos,
                has_masks=has_masks,
            )
            for name, videos, has_masks in (("train", 607, True), ("valid", 140, False))
        ),
        recipes="ovis-*, vita-ovis-*",
        note="901 videos with 5,223 objects and 296,000 masks; objects hide one another.",
    ),
    KnownDataset(
        name="coco",
        title="COCO 2017",
        page="https://cocodataset.org/#download",
        download="2017 Train images, 2017 Val images and 2017 Train/Val annotations",
        terms="annotations CC BY 4.0; images under Flickr's terms of use",
        categories=80,
        splits=tuple(
            KnownSplit(
                name=name,
                annotations=f"annotations/instances_{name}2017.json",
                images=f"{name}2017",
                downloaded=(f"instances_{name}2017.json",),
                videos=images,
            )
            for name, images in (("train", 118_287), ("val", 5000))
        ),
        recipes="vita-coco-*, and as pseudo videos all published recipes",
        note="Single images.",
    ),
    KnownDataset(
        name="lvvis",
        title="LV-VIS, large-vocabulary video instance segmentation",
        page="https://github.com/haochenheheda/LVVIS",
        download="training and validation videos and annotations",
        terms="the page states the terms",
        categories=1196,
        splits=tuple(
            KnownSplit(
                name=name,
                annotations=f"{name}.json",
                images=f"{name}/JPEGImages",
                downloaded=(f"{name}_instances.json",),
            )
            for name in ("train", "val")
        ),
        note="4,828 videos with 26,099 objects; not every object of the training videos is annotated.",
    ),
    KnownDataset(
        name="burst",
        title="BURST, on the videos of TAO",
        page="https://github.com/Ali2500/BURST-benchmark",
        download="annotations.zip there, and the images from MOTChallenge's page of TAO",
        terms="the page, and those of TAO's videos, state the terms",
        categories=482,
        splits=tuple(
            KnownSplit(
                name=name,
                annotations=f"{name}.json",
                images=f"frames/{name}",
                downloaded=(f"{name}/all_classes.json",),
            )
            for name in ("train", "val")
        ),
        note="2,914 videos with 16,089 objects; not exhaustively annotated. Its file is converted.",
    ),
)
_BY_NAME = {dataset.name: dataset for dataset in _DATASETS}


def known_datasets() -> tuple[KnownDataset, ...]:
    """Return all data sets."""
    return _DATASETS


def dataset_named(name: str) -> KnownDataset:
    """Return a data set by name.

    Raises:
        InputError: If there is none; similar names are suggested.
    """
    if name not in _BY_NAME:
        similar = difflib.get_close_matches(name.lower(), _BY_NAME, n=2, cutoff=0.5)
        hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        raise InputError(f"There is no known data set '{name}'{hint}; `genvis data get` lists {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]
