"""How many training samples one process makes per second, from files to tensors.

Videos of 1280x720 and COCO-like images of 640x480 are generated as JPEG files with 5 objects each; samples are those of
the recipes (5 clips of 1 or 3 frames, short sides of 288 to 512, crop, flip, rotation).

    python benchmarks/training_samples.py
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from genvis.data.annotations.coco import load_coco
from genvis.data.annotations.youtube_vis import load_youtube_vis
from genvis.data.samples.pseudo_video import PseudoVideos
from genvis.data.samples.transforms import image_transform, pseudo_video_transform, video_transform
from genvis.data.samples.video_dataset import VideoDataset
from genvis.data.sampling.clip_sampling import ClipSampling
from genvis.data.sampling.mixture import SampleStream
from genvis.data.sampling.training_source import TrainingSource, VideoClips

OBJECTS = 5


def picture(height: int, width: int, random: np.random.Generator) -> Image.Image:
    """Return smooth noise, about as large as a JPEG as photographs are."""
    coarse = Image.fromarray(random.integers(0, 256, (height // 12, width // 12, 3), np.uint8))
    fine = random.normal(0, 6, (height, width, 1))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    return Image.fromarray((smooth + fine).clip(0, 255).astype(np.uint8))


def mask(height: int, width: int, random: np.random.Generator) -> dict[str, Any]:
    """Return a wavy blob."""
    rows, columns = np.mgrid[:height, :width]
    y, x = random.uniform(0.2, 0.8, 2) * (height, width)
    radii = random.uniform(0.08, 0.3, 2) * height
    blob = ((rows - y + 6 * np.sin(columns / 9)) / radii[0]) ** 2 + ((columns - x) / radii[1]) ** 2 < 1
    counts = coco_mask.encode(np.asfortranarray(blob, np.uint8))["counts"].decode()
    return {"size": [height, width], "counts": counts}


def make_videos(folder: Path, *, videos: int = 4, frames: int = 16) -> VideoDataset:
    """Write and load a YouTube-VIS data set."""
    random = np.random.default_rng(0)
    content: dict[str, Any] = {"videos": [], "annotations": [], "categories": [{"id": 1, "name": "thing"}]}
    for video in range(videos):
        names = [f"v{video}/{frame:05d}.jpg" for frame in range(frames)]
        (folder / f"v{video}").mkdir()
        for name in names:
            picture(720, 1280, random).save(folder / name, quality=90)
        content["videos"].append({"id": video, "height": 720, "width": 1280, "file_names": names})
        for number in range(OBJECTS):
            segmentations = [mask(720, 1280, random) for _ in names]
            track = {"id": OBJECTS * video + number + 1, "video_id": video, "category_id": 1}
            content["annotations"].append({**track, "segmentations": segmentations})
    path = folder / "videos.json"
    path.write_text(json.dumps(content))
    return VideoDataset(load_youtube_vis(path), folder)


def make_images(folder: Path, *, images: int = 16) -> VideoDataset:
    """Write and load a COCO data set."""
    random = np.random.default_rng(1)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "thing"}]}
    for image in range(images):
        picture(480, 640, random).save(folder / f"{image}.jpg", quality=90)
        content["images"].append({"id": image, "height": 480, "width": 640, "file_name": f"{image}.jpg"})
        for number in range(OBJECTS):
            track = {"id": OBJECTS * image + number + 1, "image_id": image, "category_id": 1}
            content["annotations"].append({**track, "segmentation": mask(480, 640, random)})
    path = folder / "images.json"
    path.write_text(json.dumps(content))
    return VideoDataset(load_coco(path), folder)


def measure(name: str, source: TrainingSource, *, seconds: float = 8) -> None:
    """Print the rate of a source."""
    stream = SampleStream(source)
    _ = stream[0]
    wall, processor, samples, frames = time.perf_counter(), time.process_time(), 0, 0
    while time.perf_counter() - wall < seconds:
        samples += 1
        frames += len(stream[samples].frames)
    spent = time.process_time() - processor
    print(f"{name:<34} {samples / spent:6.2f} samples/s  {frames / spent:7.1f} frames/s per core", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos, images = make_videos(folder), make_images(folder)
        video, pseudo = video_transform(), pseudo_video_transform()
        measure("reading only, 5 frames", VideoClips(videos, ClipSampling()))
        measure("videos, 5 clips of 1", VideoClips(videos, ClipSampling(), video))
        measure("videos, 5 clips of 3", VideoClips(videos, ClipSampling(5, 3, 12), video))
        measure("pseudo videos, 5 clips of 1", PseudoVideos(images, 5, pseudo))
        measure("pseudo videos, 5 clips of 3", PseudoVideos(images, 15, pseudo))
        measure("images, large scale jitter 1024", PseudoVideos(images, 1, image_transform()))


if __name__ == "__main__":
    main()
