"""Segment a video with an export of GenVIS and ONNX Runtime alone: neither PyTorch nor this package.

genvis export sprites-tiny onnx/ --height 160 --width 256
python examples/onnxruntime_only.py onnx/ video.mp4
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
import onnxruntime
from PIL import Image

folder = Path(sys.argv[1])
about = json.loads((folder / "model.json").read_text())
sessions = {name: onnxruntime.InferenceSession(folder / graph["file"]) for name, graph in about["graphs"].items()}
height, width = about["preprocessing"]["resized"]


def run(graph: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(about["graphs"][graph]["outputs"], sessions[graph].run(None, inputs), strict=True))


def prepare(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    pixels = (pixels - about["preprocessing"]["mean"]) / about["preprocessing"]["std"]
    padded = np.zeros((1, 3, *about["input_size"]), np.float32)
    padded[0, :, :height, :width] = pixels.transpose(2, 0, 1)
    return padded


queries = np.load(folder / about["first_queries"])[None]  # (1, Q, C)
keys = values = np.zeros((1, 1, *queries.shape[1:]), np.float32)  # A memory of one place,
filled = np.zeros(keys.shape[:3], bool)  # which is empty.
for number, frame in enumerate(av.open(sys.argv[2]).decode(video=0)):
    found = run("detector", pixel_values=prepare(frame.to_image()))
    memory = {"memory_keys": keys, "memory_values": values, "memory_is_filled": filled}
    tracked = run("tracker", frame_queries=found["frame_queries"][None], instance_queries=queries, **memory)
    queries, key, value = (tracked[name] for name in ("next_queries", "memory_key", "memory_value"))
    first = 0 if filled.all() else 1  # The empty place is given up.
    keys = np.concatenate([keys[:, first:], key[:, None]], axis=1)[:, -500:]
    values = np.concatenate([values[:, first:], value[:, None]], axis=1)[:, -500:]
    filled = np.ones(keys.shape[:3], bool)
    exponentials = np.exp(tracked["class_logits"][0] - tracked["class_logits"][0].max(axis=1, keepdims=True))
    scores = (exponentials / exponentials.sum(axis=1, keepdims=True))[:, :-1]  # Without "no object".
    masks = np.einsum("qc,chw->qhw", tracked["mask_embeddings"][0], found["features"][0])
    masks = masks + tracked["mask_bias"][0][:, None, None] > 0  # At a quarter of the padded input.
    for query in np.flatnonzero(scores.max(axis=1) > 0.8):
        label = about["categories"]["names"][scores[query].argmax()]
        print(f"frame {number} object {query} {label} {scores[query].max():.3f} {int(masks[query].sum())} mask cells")
