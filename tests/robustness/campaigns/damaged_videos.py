"""Campaigns: damaged videos of 33 containers and codecs, and damaged images. No frame is lost without a word."""

import io
import json
from pathlib import Path
from random import Random
from shutil import copytree

import av
from PIL import Image

from tests.robustness.campaigns.damaged_files import command
from tests.robustness.jobs import References
from tests.robustness.mutations import damage, mutate_png
from tests.robustness.sample_videos import FRAMES, KINDS, VideoKind, picture, write_video
from tests.robustness.trials import Limits, Outcome, run_trial
from tests.robustness.verdicts import Verdict

LIMITS = Limits(seconds=60, memory=3 << 30)
PREDICT = "predict {} -o out --weights model --device cpu --score-threshold 0 --resolution 64"


class DamagedVideos:
    """Every trial damages one video and reads all its frames; every tenth runs `genvis predict` on it."""

    unit = "inputs"

    def prepare(self, folder: Path) -> None:
        self._sound = {kind.name: write_video(kind, folder / "videos").read_bytes() for kind in KINDS}
        self._model = References(folder).inputs / "model"

    def trial(self, random: Random, folder: Path) -> Verdict:
        kind = random.choice(KINDS)
        content, note = damage(self._sound[kind.name], random)
        path = folder / kind.name
        path.write_bytes(content)
        if random.random() < 0.1:
            from genvis import VideoResult

            copytree(self._model, folder / "model")
            outcome = run_trial(command(PREDICT.format(kind.name)), folder=folder, limits=LIMITS)
            (result,) = (folder / "out").glob("*/result.json") if outcome.status == 0 else (None,)
            frames = len(VideoResult.load(result)) if result else 0
            note += ", predicted"
        else:
            outcome = run_trial(lambda: read(path), folder=folder, limits=LIMITS)
            frames = frames_of(outcome)
        problem, remark = outcome.problem(), None
        if problem is None and outcome.status == 0 and frames < FRAMES:
            problem, remark = _loss(kind, path, frames)
        return Verdict(group=kind.name, problem=problem, note=note, output=outcome.stderr, remark=remark)


class DamagedImages:
    """Every trial damages one of three images in a folder and reads the folder as a video."""

    unit = "inputs"
    kinds = ("jpg", "png", "webp", "bmp", "tif")

    def prepare(self, folder: Path) -> None:
        """Encode an image in every format."""
        self._sound = {}
        for kind in self.kinds:
            buffer = io.BytesIO()
            Image.fromarray(picture(0)).save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(kind, kind))
            self._sound[kind] = buffer.getvalue()

    def trial(self, random: Random, folder: Path) -> Verdict:
        kind = random.choice(self.kinds)
        place = folder / "images"
        place.mkdir()
        for number in range(3):
            (place / f"{number}.{kind}").write_bytes(self._sound[kind])
        damaged = place / f"{random.randrange(3)}.{kind}"
        content, note = (mutate_png if kind == "png" else damage)(self._sound[kind], random)
        damaged.write_bytes(content)
        outcome = run_trial(lambda: read(place), folder=folder, limits=LIMITS)
        problem = outcome.problem()
        if problem is None and outcome.status == 0 and frames_of(outcome) < 3:
            problem = f"{3 - frames_of(outcome)} of 3 images lost in silence"
        return Verdict(group=kind, problem=problem, note=f"{damaged.name}: {note}", output=outcome.stderr)


def frames_of(outcome: Outcome) -> int:
    """Return how many frames `read` read."""
    return int(json.loads(outcome.stdout.splitlines()[-1])["frames"]) if outcome.status == 0 else 0


def read(path: Path) -> int:
    """Read a video as `genvis predict` does, and say what came: status 1 if something is missing, 2 if nothing came."""
    from genvis import InputError
    from genvis.video import open_source, prefetch

    try:
        with open_source(path) as source:
            frames = sum(1 for _ in prefetch(source))
            print(json.dumps({"frames": frames, "problem": source.problem, "notes": source.notes}))
            if not frames:
                print("no frame")
                return 2
            return 0 if source.problem is None else 1
    except InputError as error:
        print(f"error: {error}")
        return 2


def _loss(kind: VideoKind, path: Path, frames: int) -> tuple[str | None, str | None]:
    """Tell a loss that a reader can notice from a damaged file that is a sound shorter video.

    Returns:
        The problem, or else the remark.
    """
    outcome = run_trial(lambda: print(json.dumps(complaints(path))), folder=path.parent, limits=LIMITS)
    found = ["the strict reader crashed"] if outcome.status else json.loads(outcome.stdout.splitlines()[-1])
    if kind.codec == "gif" and not path.read_bytes().endswith(b";"):
        found.append("no end mark")
    if found:
        return f"{FRAMES - frames} of {FRAMES} frames lost in silence: {found[0]}", None
    return None, "a sound video of fewer frames"


def complaints(path: Path) -> list[str]:
    """Return what FFmpeg, at its strictest, has against a file: nothing if it is sound, though shorter."""
    av.logging.set_level(av.logging.WARNING)
    found: list[str] = []
    with av.logging.Capture(local=False) as messages:
        try:
            with av.open(str(path), options={"err_detect": "crccheck+bitstream+buffer+explode"}) as container:
                for packet in container.demux(container.streams.video[0]):
                    found += ["a packet is marked as corrupt"] * packet.is_corrupt
                    found += ["a frame is marked as corrupt" for frame in packet.decode() if frame.is_corrupt]
        except (av.FFmpegError, IndexError, ValueError) as error:
            found.append(str(error))
    found += [f"{name}: {text.strip()}" for level, name, text in messages if level <= av.logging.WARNING]
    return [text for text in found if "misdetection possible" not in text]  # That is about the name of the file.
