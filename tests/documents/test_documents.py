"""Every command and every Python block of the README runs; so do those of the documents on segmenting and its data.

A command that is not in ``COMMANDS`` fails the test: say there how it is run. Blocks run in the order of their lines,
each in a folder of its own that holds what its commands name (see conftest.py).
"""

import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genvis import VideoSegmenter
from genvis.checkpoints.load import load_genvis
from genvis.cli.main import VERBS, main
from tests.documents.markdown_commands import ROOT, Block, blocks_of, extras_of, inline_commands

AS_IT_IS = "as it is"
NOT_RUN = "not run"
SMALL = "--length 2 --height 48 --width 80"
BRIEF = (
    "--run.max_steps 1 --run.accelerator cpu --run.devices 1 --run.tensorboard false --data.workers 0 "
    "--data.batch_size 1 --loss.points.count 64"
)

# What a document says -> what is run. {stream} is the address of a camera on this machine.
COMMANDS = {
    # README.md
    "pip install '.[app]'": NOT_RUN,
    "genvis app": AS_IT_IS,  # Its server is not started.
    "mkdocs build --strict": NOT_RUN,  # tests/documents/test_site.py does.
    # docs/index.md
    "pip install .": NOT_RUN,
    "pip install '.[test]'": NOT_RUN,
    "pip install '.[docs]'": NOT_RUN,
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": NOT_RUN,
    "genvis doctor": AS_IT_IS,
    "genvis --install-completion": "genvis --install-completion --shell bash -o completion.bash",
    "pytest": NOT_RUN,
    "genvis demo": AS_IT_IS,
    "genvis predict ride.mp4 -o out": AS_IT_IS,
    "genvis predict ride.mp4 --classes person,dog --outputs csv,video -o out/people": AS_IT_IS,
    "genvis predict shots/ 'clips/*.mkv' --resume -o out": AS_IT_IS,
    "genvis convert genvis_r50_ytvis21.pth models/ytvis21": AS_IT_IS,
    "genvis predict rtsp://camera/stream --weights models/ytvis21 -o out/camera": (
        "genvis predict {stream} --stop 4 --weights models/ytvis21 -o out/camera"
    ),
    "genvis data convert from-cvat export.zip reef.json --images images --video reef.mp4": AS_IT_IS,
    "genvis data prepare reef.json --images images": (
        "genvis data prepare reef.json --images images --init sprites-tiny --no-estimate"
    ),
    "genvis train reef_detector.yaml": f"genvis train reef_detector.yaml {BRIEF}",
    "genvis train reef_genvis.yaml": f"genvis train reef_genvis.yaml {BRIEF} --cache.views 2",
    "genvis predict new.mp4 --weights runs/reef-genvis/model -o out": AS_IT_IS,
    "genvis data sprites sprites/train --videos 200": f"genvis data sprites sprites/train --videos 2 {SMALL}",
    "genvis data sprites sprites/validation --videos 40 --split validation": (
        f"genvis data sprites sprites/validation --videos 2 --split validation {SMALL}"
    ),
    (
        "genvis eval --weights sprites-tiny --annotations sprites/validation/annotations.json "
        "--images sprites/validation/frames -o report"
    ): AS_IT_IS,
    "genvis eval report/results.json --annotations sprites/validation/annotations.json --identity": AS_IT_IS,
    # docs/coming_from.md
    "genvis predict ride.mp4 --weights models/ytvis21 -o out": AS_IT_IS,
    "genvis predict ride.mp4 --weights mask2former-t-coco --tracker queries -o out": (
        "genvis predict ride.mp4 --weights sprites-tiny --tracker queries -o out"
    ),
    # docs/gpu.md
    "genvis predict ride.mp4 --device cuda --dtype float16 -o out": (
        "genvis predict ride.mp4 --device cpu --dtype bfloat16 --weights sprites-tiny -o out"
    ),
    "genvis bench ovis-r50-online --device cuda --dtype float16": (
        "genvis bench sprites-tiny --device cpu --clips 1 --height 48 --width 80"
    ),
    # docs/inference.md
    "genvis predict ride.mp4 --clip-length auto -o scenes": (
        "genvis predict ride.mp4 --clip-length auto --weights sprites-tiny -o scenes"
    ),
    "genvis predict ride.mp4 --clip-length auto --longest-clip 3 -o scenes3": (
        "genvis predict ride.mp4 --clip-length auto --longest-clip 3 --weights sprites-tiny -o scenes3"
    ),
    "genvis predict hour1.mp4 --live --session camera.session -o out": AS_IT_IS,
    "genvis predict hour2.mp4 --live --session camera.session -o out": AS_IT_IS,
    # docs/editing.md
    "genvis edit out/reef out/reef/edits.jsonl -o corrected/reef": AS_IT_IS,
    "genvis edit out/reef out/reef/edits.jsonl -o drawn --outputs csv,video --video reef.mp4 --json": AS_IT_IS,
    "python benchmarks/review.py returning --keep-frames 6": NOT_RUN,
    "python benchmarks/review.py occluded --keep-frames 6": NOT_RUN,
    "python benchmarks/review.py endless --keep-frames 20 --videos 4": NOT_RUN,
    "genvis view out/reef --rerun --video reef.mp4 --save reef.rrd": NOT_RUN,
    "genvis view out/reef --fiftyone --video reef.mp4": NOT_RUN,
    "genvis data append out/reef reef_set.json --images images --video reef.mp4 --log out/reef/edits.jsonl": AS_IT_IS,
    # docs/scaling.md
    "genvis predict 'clips/*.mkv' -o out --shard 1/2": AS_IT_IS,
    "genvis predict 'clips/*.mkv' -o out --shard 2/2": AS_IT_IS,
    "genvis status out": AS_IT_IS,
    "genvis collect out --outputs youtube_vis,csv,parquet": AS_IT_IS,
    "pip install 'genvis[ray]'": NOT_RUN,
    # tests/benchmarking/test_scaling_simulation.py
    "python benchmarks/scaling.py benchmarks/part_times_r50.json --network-speedups 1 10 30 100": NOT_RUN,
    "genvis predict 'clips/*.mkv' -o out --on ray --actors 2": NOT_RUN,  # tests/scaling/test_ray.py
    (
        "genvis predict '/data/day1/*.mp4' -o /data/out --on ray --address auto --actors 8 --gpus-per-actor 1 "
        "--time-limit 7200"
    ): NOT_RUN,
    (
        "genvis eval --weights ovis-r50.pth --annotations valid.json --images valid -o report --on ray --address auto"
    ): NOT_RUN,
    "genvis predict 's3://videos/day1/*.mp4' -o s3://results/out --weights s3://models/reef --shard 3/64": (
        "genvis predict 'clips/*.mkv' -o memory://results/out --shard 1/1"
    ),
    "genvis status s3://results/out": "genvis status memory://results/out",
    "genvis collect s3://results/out -o collected": "genvis collect memory://results/out -o collected",
    # docs/sprites.md
    "genvis data sprites sprites/train --videos 200 --difficulty normal": (
        f"genvis data sprites sprites/train --videos 2 --difficulty normal {SMALL}"
    ),
    (
        "genvis data sprites sprites/large --videos 5 --height 360 --width 640 --length 300 --difficulty hard "
        "--max-absence 60"
    ): "genvis data sprites sprites/large --videos 1 --length 3 --difficulty hard --max-absence 60",
    "genvis data check sprites/train/annotations.json --images sprites/train/frames": AS_IT_IS,
}
# Blocks with one of these take more than a few seconds.
SLOW = ("genvis demo", "genvis train", "genvis eval")
DOCUMENTS = (
    "docs/index.md",
    "docs/coming_from.md",
    "docs/gpu.md",
    "docs/inference.md",
    "docs/editing.md",
    "docs/video.md",
    "docs/sprites.md",
    "docs/scaling.md",
)


def cases() -> list[Any]:
    readme, others = blocks_of("README.md"), [block for document in DOCUMENTS for block in blocks_of(document)]
    found = []
    for block in readme + others:
        if block.language not in ("", "bash", "python"):
            continue
        is_slow = block in others or any(command.startswith(SLOW) for command in block.commands)
        found.append(pytest.param(block, id=block.place, marks=[pytest.mark.slow] if is_slow else []))
    return found


@pytest.mark.parametrize("block", cases())
def test_a_block_runs(
    block: Block, reader_s_folder: Path, stream: str, clip: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genvis.app.launch.serve", lambda *_args, **_options: None)
    if block.language == "python":
        exec(compile(block.text, block.place, "exec"), names_that_documents_use(clip))
        return
    for command in block.commands:
        assert command in COMMANDS, f"{block.place}: say in COMMANDS how `{command}` is run."
        run = command if COMMANDS[command] == AS_IT_IS else COMMANDS[command]
        if run == NOT_RUN:
            continue
        program, *words = shlex.split(run.format(stream=stream))
        assert program == "genvis"
        assert main(words) == 0, f"{block.place}: {command}"


def names_that_documents_use(clip: list[np.ndarray]) -> dict[str, Any]:
    """What the text around a block of Python speaks of without making it."""
    import rich

    segmenter = VideoSegmenter(load_genvis("sprites-tiny"))
    result = segmenter.segment("ride.mp4", detections=3, one_label_each=True)
    frame_result = result.frame(0)
    return {
        "camera": clip,
        "rich": rich,
        "result": result,
        "frame_result": frame_result,
        "frame": type("Frame", (), {"image": clip[0]}),
        "session": segmenter.open_session(),
    }


def test_nothing_is_covered_that_is_no_longer_there() -> None:
    blocks = [block for document in ("README.md", *DOCUMENTS) for block in blocks_of(document)]
    assert set(COMMANDS) == {command for block in blocks for command in block.commands}


def test_commands_in_running_text_name_verbs_that_exist() -> None:
    for document in ("README.md", *DOCUMENTS):
        for command in inline_commands(document):
            assert command.split()[1] in {*VERBS, "VERB", "--help", "--version"}, f"{document}: {command}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *DOCUMENTS])
def test_the_extras_to_install_exist(document: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert extras_of(document) <= set(project["optional-dependencies"])
