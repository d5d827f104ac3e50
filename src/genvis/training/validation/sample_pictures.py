"""Pictures of validation samples in the log."""

from pathlib import Path

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from genvis.data.samples.batch import collate
from genvis.data.samples.sample import VideoSample
from genvis.inference.segmenter import VideoSegmenter
from genvis.training.run.sample_stream import ValidationSet
from genvis.training.stages.detector_input import detector_input
from genvis.training.stages.stage import StageModule
from genvis.training.validation.validation_scores import frame_instances
from genvis.video.drawing.contact_sheet import ContactSheet
from genvis.video.drawing.instances import draw_instances

_SHOWN_SCORE = 0.3


class SamplePictures(Callback):
    """Draws predictions for a few validation samples whenever AP is measured, to ``pictures/`` and to TensorBoard.

    Args:
        samples: The validation set; its first samples are drawn.
        folder: Where the PNG files go.
        every: Steps between two pictures; they appear at the first measurement of AP after so many steps.
        count: How many samples are drawn.
    """

    def __init__(self, samples: ValidationSet, *, folder: Path, every: int, count: int = 4) -> None:
        self._samples = [samples[index] for index in range(min(count, len(samples)))]
        self._folder, self._every = folder, every
        self._next = 0

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, on the first process."""
        step = trainer.global_step
        if not trainer.is_global_zero or step < self._next or not isinstance(pl_module, StageModule):
            return
        self._next = step + self._every
        picture = self.draw(pl_module, title=f"step {step}")
        self._folder.mkdir(parents=True, exist_ok=True)
        picture.save(self._folder / f"step-{step:07d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("validation", picture.render(), step, dataformats="HWC")

    def draw(self, module: StageModule, *, title: str) -> ContactSheet:
        """Return a sheet with up to three frames of each sample."""
        sheet = ContactSheet(tiles=12, columns=4, title=title)
        for sample in self._samples:
            frames = np.unique(np.linspace(0, sample.frames.shape[0] - 1, 3).round().astype(int)).tolist()
            for frame, picture in zip(frames, _pictures(module, sample, frames), strict=True):
                sheet.add(picture, time=frame / 24.0, index=frame)
        return sheet


@torch.no_grad()
def _pictures(module: StageModule, sample: VideoSample, frames: list[int]) -> list[NDArray[np.uint8]]:
    """Return the chosen frames with the predictions of the stage's model."""
    images = sample.frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    if module.finds_videos:
        result = VideoSegmenter(module.model, cuda_graphs="off").segment(images, score_threshold=_SHOWN_SCORE)
        return [result.frame(frame).draw(images[frame]) for frame in frames]
    names = module.model.config.categories.names
    batch = collate([sample]).to(module.device)
    pixels, _ = detector_input(module.model.detector, batch)
    prediction = module.model.detector.predict(module.model.detector(pixels, layers=1))
    height, width = images.shape[1:3]
    found = frame_instances(
        prediction, height=height, width=width, padded=(pixels.shape[-2], pixels.shape[-1]), top=len(names)
    )
    drawn = []
    for frame in frames:
        best = [one for one in found[frame] if one[1] >= _SHOWN_SCORE]
        drawn.append(
            draw_instances(
                images[frame],
                masks=[mask for _, _, mask in best],
                ids=list(range(1, len(best) + 1)),
                labels=[names[label] for label, _, _ in best],
                scores=[score for _, score, _ in best],
            )
        )
    return drawn
