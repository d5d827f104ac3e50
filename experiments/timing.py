"""Frames per second of the whole network over the clip length at inference; wants a machine that does nothing else."""

import platform
import time

import numpy as np
import torch

from experiments import tables
from experiments.results import TIMING_FILE
from experiments.runner import Workspace
from experiments.validation_sets import validation_set
from genvis.files import make_folder, write_json
from genvis.inference.segmenter import VideoSegmenter
from genvis.model.genvis import GenVIS

_SET = "endless"
_FRAMES = 84  # a multiple of every clip length but 5, so that no clip is shorter
_ROUNDS = 5


def time_clip_lengths(workspace: Workspace, *, seed: int) -> None:
    """Measure detector, tracker and masks of whole videos, and write frames per second beside the results.

    The clip lengths take turns, so that whatever else the machine does hits all of them alike; the median counts.

    Args:
        workspace: With the trained models.
        seed: Of the models.
    """
    torch.set_num_threads(workspace.threads)
    video = validation_set(_SET).load()[0]
    frames = video.frames[:_FRAMES].permute(0, 2, 3, 1).contiguous().numpy()
    speeds: dict[str, dict[str, float]] = {}
    for configuration in tables.FIGURE3.values():
        model, _ = workspace.model_of(configuration, seed)
        seconds: dict[int, list[float]] = {length: [] for length in tables.FIGURE3_LENGTHS}
        for turn in range(_ROUNDS + 1):
            for length, measured in seconds.items():
                took = _seconds(model, frames, length)
                if turn:  # the first one warms up
                    measured.append(took)
        speeds[configuration.name] = {
            str(length): round(len(frames) / float(np.median(measured)), 2) for length, measured in seconds.items()
        }
        print(f"{configuration.name}: {speeds[configuration.name]} frames/s", flush=True)
    write_json(
        make_folder(workspace.results_folder) / TIMING_FILE,
        {
            "frames_per_second": speeds,
            "detector": workspace.detector_fingerprint,
            "threads": workspace.threads,
            "frames": len(frames),
            "size": list(frames.shape[1:3]),
            "machine": platform.machine(),
            "rounds": _ROUNDS,
        },
    )


def _seconds(model: GenVIS, frames: np.ndarray, clip_length: int) -> float:
    segmenter = VideoSegmenter(model, clip_length=clip_length)
    began = time.perf_counter()
    segmenter.segment(frames)
    return time.perf_counter() - began
