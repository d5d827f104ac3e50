"""A model folder of a few thousand weights, and small videos."""

import numpy as np
import pytest
import torch

from genvis import GenVIS, GenVISConfig
from genvis.categories import known_categories
from genvis.data.sprites import SpriteVideos, render
from genvis.video import VideoWriter
from tests.tiny_network import CONFIG


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    GenVIS(GenVISConfig(**CONFIG).with_labels(known_categories("ovis"))).eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clips():
    """Six videos of 4 frames, (4, 48, 64, 3) uint8."""
    videos = SpriteVideos(6, height=48, width=64, length=4, difficulty="easy")
    return [np.stack([frame.image for frame in render(videos.scene(number))]) for number in range(6)]


@pytest.fixture
def write_videos(clips):
    """A function that writes some of the videos into a folder and returns their paths."""

    def write(folder, count=6):
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"clip{number}.mp4" for number in range(count)]
        for number, path in enumerate(paths):
            with VideoWriter(path, frame_rate=10) as writer:
                for place, image in enumerate(clips[number % len(clips)]):
                    writer.write(image, time=place / 10)
        return paths

    return write


@pytest.fixture
def predict_words(model_folder):
    """The words of a quick `genvis predict` of some sources."""

    def words(sources, out, *more):
        options = ["--weights", str(model_folder), "--device", "cpu", "--resolution", "48", "--score-threshold", "0"]
        return ["predict", *map(str, sources), "-o", str(out), "--outputs", "csv", *options, *more]

    return words
