"""Training from cached views: filling the cache, choosing views by their position in the stream, batching them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genvis.data.samples.batch import collate
from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.data.sampling.mixture import SampleStream
from genvis.data.sampling.random_key import RandomKey
from genvis.errors import InputError
from genvis.fingerprint import Fingerprint, claim, tensors_stamp, value_stamp
from genvis.training.cache.detected_videos import DetectedVideos, detect_videos
from genvis.training.cache.detector_cache import CachedView, DetectorCache
from genvis.training.criterion.targets import join_targets
from genvis.training.process_group import all_are_here, process_count, process_rank
from genvis.training.recipe.data_options import CacheOptions, DataOptions
from genvis.training.recipe.source_identity import source_identity
from genvis.training.run.failures import FaultCarrier, FaultCollate, without_fault
from genvis.training.stages.stage import StageModule


def collate_views(views: Sequence[CachedView]) -> DetectedVideos:
    """Put views into one batch; smaller ones are padded with zeros on the right and bottom."""
    h, w = (max(view.features.shape[axis] for view in views) for axis in (-2, -1))
    H, W = (max(view.masks.shape[axis] for view in views) for axis in (-2, -1))
    return DetectedVideos(
        torch.stack([view.frame_queries for view in views], dim=1),
        _one_batch([view.features for view in views], height=h, width=w),
        np.concatenate([view.frame_assignment for view in views], axis=1),
        join_targets([view.labels for view in views], [view.masks for view in views], height=H, width=W),
    )


def _one_batch(maps: Sequence[Tensor], *, height: int, width: int) -> Tensor:
    """Return (B, T, C, height, width): maps (T, C, h, w) with zeros below and to the right, copied once at most."""
    if len(maps) == 1:
        return maps[0].unsqueeze(0)
    batch = maps[0].new_zeros(len(maps), *maps[0].shape[:2], height, width)
    for place, values in zip(batch, maps, strict=True):
        place[..., : values.shape[-2], : values.shape[-1]] = values
    return batch


class CachedViews(Dataset[CachedView]):
    """An endless stream of views: all of them once per epoch, each epoch in a new order.

    Args:
        cache: The filled cache.
        views: Take the first so many views: a shared cache may hold more, and one that is filled later fewer. None
            takes all.
        seed: Of the order, and of the frames that are drawn.
        sampling: Draw so many frames of each view at every visit, without those objects that they do not show; None
            takes views as they are.
    """

    def __init__(
        self, cache: DetectorCache, *, seed: int, views: int | None = None, sampling: ClipSampling | None = None
    ) -> None:
        self._cache, self._seed, self._sampling = cache, seed, sampling
        self._views = len(cache) if views is None else views

    def __getitem__(self, index: int) -> CachedView:
        key = RandomKey(self._seed, index)
        position = key.choose(self._views)
        if self._sampling is None:
            return self._cache[position]
        frames = _drawn_frames(self._cache.length(position), self._sampling, key.generator())
        view = self._cache.read(position, frames)
        seen = view.masks.flatten(1).any(dim=1)
        return replace(
            view,
            frame_assignment=view.frame_assignment[:, seen.numpy()],
            labels=view.labels[seen],
            masks=view.masks[seen],
        )


def _drawn_frames(length: int, sampling: ClipSampling, random: np.random.Generator) -> list[int]:
    """Draw the frames of a sample, in order, from a stretch of the cached ones that is as long as the sampling's."""
    if sampling.is_even:
        return list(sampling.sample(length, random))
    stretch = min(length, max(sampling.frames, 2 * sampling.frame_range + 1))
    first = int(random.integers(length - stretch + 1))
    drawn = first + random.choice(stretch, size=sampling.frames, replace=False)
    return sorted(int(frame) for frame in drawn)


def cached_data(options: CacheOptions, data: DataOptions) -> DataOptions:
    """Return the data options of the samples of a cache: those of the run, but for the frames of a sample.

    Raises:
        InputError: If the cached samples have fewer frames than a step takes.
    """
    if not options.frames:
        return data
    needed = data.clips * data.frames_per_clip
    if options.frames < needed:
        raise InputError(
            f"cache.frames is {options.frames}, but a step takes {needed} frames of a sample ({data.clips} clips of "
            f"{data.frames_per_clip}): set cache.frames to {needed} or more."
        )
    return replace(
        data, clips=1, frames_per_clip=options.frames, frame_range=options.frames // 2, frame_spacing="random"
    )


def open_cache(options: CacheOptions, *, module: StageModule, data: DataOptions, seed: int) -> DetectorCache:
    """Open the cache that belongs to a detector, its data sets (by content) and a seed.

    Args:
        options: Where it is.
        module: The stage, with detector, layers and matching.
        data: What its samples are drawn by, see :func:`cached_data`.
        seed: Of the samples.

    Raises:
        InputError: If the folder holds other views.
    """
    model, loss = module.model, module.loss_options
    sampling = asdict(data)
    for name in ("validation", "validation_videos", "validation_frames", "batch_size", "workers"):
        del sampling[name]
    if data.frame_spacing == "random":  # Came later: caches from before are of these.
        del sampling["frame_spacing"]
    sampling["sources"] = {str(place): source_identity(source) for place, source in enumerate(data.sources)}
    fingerprint = Fingerprint(
        "cache of a detector",
        detector=tensors_stamp(model.detector.state_dict(), name="detector"),
        configuration=value_stamp(model.config.detector_config.to_dict(), name="configuration of the detector"),
        preprocessing=asdict(model.detector.preprocessing),
        categories=list(model.config.categories.names),
        data=sampling,
        loss={
            "detector_layers": loss.detector_layers,
            "matches_classes": module.matches_classes,
            # What matching reads of them: runs that weigh other losses otherwise share a cache.
            "weights": {name: getattr(loss.weights, name) for name in ("classification", "mask", "dice")},
            "points": asdict(loss.points),
            "fixed_grid": loss.fixed_grid,
        },
        seed=seed,
        stored_as=options.stored_as,
    )
    return DetectorCache(Path(options.folder), fingerprint=fingerprint, stored_as=options.stored_as)


def fill_cache(
    cache: DetectorCache, stream: SampleStream, *, views: int, module: StageModule, seed: int, workers: int = 0
) -> None:
    """Run the detector on those of the first samples of a stream that the cache does not hold yet.

    All processes of a group call it together, and each does a share.

    Args:
        cache: Takes the views.
        stream: The training samples.
        views: How many views the cache is to hold.
        module: The stage; its detector is frozen and in evaluation mode.
        seed: Of the points of the matching.
        workers: Processes that prepare samples, for each process; 0 for none.

    Raises:
        InputError: If another command is filling the cache.
        OutputError: If the cache cannot be written.
    """
    rank, processes = process_rank(), process_count()
    positions = cache.missing(views)
    if not positions:
        return
    share = positions[rank::processes]
    batches = DataLoader(
        FaultCarrier(stream),
        batch_sampler=[[position] for position in share],
        num_workers=min(workers, len(share)),
        collate_fn=FaultCollate(collate),
    )
    layers, device = module.loss_options.detector_layers, module.model.device
    with claim(cache.folder) if rank == 0 else nullcontext(), Progress(transient=True, disable=rank > 0) as progress:
        all_are_here()
        task = progress.add_task("Caching the frozen detector", total=len(share))
        for position, batch in zip(share, batches, strict=True):
            torch.manual_seed(hash((seed, position)) & 0x7FFF_FFFF_FFFF_FFFF)
            found = detect_videos(
                module.model.detector, without_fault(batch).to(device), layers=layers, criterion=module.frame_criterion
            )
            view = CachedView(
                frame_queries=found.frame_queries[:, 0],
                features=found.features[0],
                frame_assignment=found.frame_assignment,
                labels=found.targets.labels,
                masks=found.targets.masks,
            )
            cache.append(view, position=position, writer=rank)
            progress.advance(task)
        all_are_here()
    cache.refresh()


class CacheFilling(Callback):
    """Fills a cache when all processes of the run are there, before the first step.

    Args:
        fill: Calls `fill_cache`.
    """

    def __init__(self, fill: Callable[[], None]) -> None:
        self._fill = fill

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fill the cache."""
        self._fill()
