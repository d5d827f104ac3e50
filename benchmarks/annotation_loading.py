"""Time and memory of loading an annotation file of the size of YouTube-VIS 2021's training set.

The file is generated: 2,985 videos with 91,000 frames of 1280x720 pixels and 6,283 tracks. Loading runs in a process of
its own, whose peak memory is measured.

    python benchmarks/annotation_loading.py --form uncompressed
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

import numpy as np

HEIGHT, WIDTH = 720, 1280
LOAD = """
import resource, sys, time
from pathlib import Path
from genvis.data.annotations.youtube_vis import load_youtube_vis
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
start, cpu = time.perf_counter(), time.process_time()
annotations = load_youtube_vis(sys.argv[1])
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
masks = sum(int(annotations.present(index).sum()) for index in range(len(annotations)))
print(f"videos {len(annotations):,}  frames {len(annotations.file_names):,}  masks {masks:,}")
print(f"loaded in {seconds:.1f} s ({cpu:.1f} s of processor time)")
print(f"peak memory {peak:.2f} GiB (before loading {before:.2f}), arrays {annotations.nbytes / 2**30:.2f} GiB")
"""


def shapes(form: str, number: int = 200) -> list[str]:
    """Return wavy blobs as JSON texts in one of the forms of a mask."""
    from pycocotools import mask as coco_mask

    from genvis.masks import decode_counts

    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    texts = []
    for _ in range(number):
        y, x = random.uniform(0.2, 0.8, 2) * (HEIGHT, WIDTH)
        height, width = random.uniform(30, 220, 2)
        if form == "polygons":
            angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            corners = np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)
            texts.append(json.dumps([corners.clip(0, (WIDTH, HEIGHT)).round(2).ravel().tolist()]))
            continue
        waves = 8 * np.sin(columns / random.uniform(3, 20))
        blob = ((rows - y + waves) / height) ** 2 + ((columns - x) / width) ** 2 < 1
        counts = coco_mask.encode(np.asfortranarray(blob, np.uint8))["counts"]
        value = counts.decode() if form == "compressed" else decode_counts([counts])[0].tolist()
        texts.append(json.dumps({"size": [HEIGHT, WIDTH], "counts": value}))
    return texts


def write(file: TextIO, *, form: str, videos: int = 2985, frames: int = 91_000, tracks: int = 6283) -> None:
    """Write the annotation file."""
    random = np.random.default_rng(1)
    lengths = np.full(videos, frames // videos)
    lengths[: frames - lengths.sum()] += 1
    records = [
        {
            "id": index + 1,
            "height": HEIGHT,
            "width": WIDTH,
            "length": int(length),
            "file_names": [f"{index:010x}/{5 * frame:05d}.jpg" for frame in range(length)],
        }
        for index, length in enumerate(lengths)
    ]
    categories = [{"id": number, "name": f"category {number}"} for number in range(1, 41)]
    file.write(f'{{"videos": {json.dumps(records)}, "categories": {json.dumps(categories)}, "annotations": [')
    pool = shapes(form)
    for number in range(tracks):
        video = number % videos
        masks = ["null" if random.random() < 0.1 else pool[random.integers(len(pool))] for _ in range(lengths[video])]
        head = f'"id": {number + 1}, "video_id": {video + 1}, "category_id": {random.integers(1, 41)}, "iscrowd": 0'
        boxes = json.dumps([None if mask == "null" else [1.0, 2.0, 3.0, 4.0] for mask in masks])
        areas = json.dumps([None if mask == "null" else 1234 for mask in masks])
        body = f'"bboxes": {boxes}, "areas": {areas}, "segmentations": [{", ".join(masks)}]'
        file.write(f"{',' if number else ''}\n{{{head}, {body}}}")
    file.write("]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("uncompressed", "compressed", "polygons"), default="uncompressed")
    parser.add_argument("--folder", default=None, help="where to put the file for the time being")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "instances.json"
        start = time.perf_counter()
        with path.open("w", encoding="utf-8") as file:
            write(file, form=options.form)
        seconds = time.perf_counter() - start
        print(f"{options.form}: {path.stat().st_size / 2**20:.0f} MiB, made in {seconds:.0f} s", flush=True)
        subprocess.run([sys.executable, "-c", LOAD, str(path)], check=True)


if __name__ == "__main__":
    main()
