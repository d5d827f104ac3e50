"""Make the clip of `genvis demo`: four animals in styles that no training video has pile up, leave and come back.

    python examples/make_demo_clip.py src/genvis/assets/demo.mp4

All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0.
"""

import sys
from dataclasses import replace
from pathlib import Path

from genvis.data.sprites import SpriteVideos, render
from genvis.data.sprites.difficulty import DIFFICULTIES
from genvis.video.writing.video_writer import VideoWriter

FRAMES_PER_SECOND = 24
LENGTH = 120
SCENE = 16
"""Of the first 37, one of the two in which the second version of the bundled model kept the ids best."""
DIFFICULTY = replace(
    DIFFICULTIES["easy"],
    objects=(4, 4),
    size=(0.3, 0.48),
    look_alikes=0.3,
    occlusion=0.4,
    leaving=0.3,
    late=0.3,
    out_of_sight=(8, 24),
    pace=20,
    length=LENGTH,
    foreground=(0, 0),
)


def main() -> None:
    videos = SpriteVideos(10_000, height=360, width=640, length=LENGTH, difficulty=DIFFICULTY, split="validation")
    with VideoWriter(Path(sys.argv[1]), frame_rate=FRAMES_PER_SECOND) as writer:
        for index, frame in enumerate(render(videos.scene(SCENE))):
            writer.write(frame.image, time=index / FRAMES_PER_SECOND)


if __name__ == "__main__":
    main()
