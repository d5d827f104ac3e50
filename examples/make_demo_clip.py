"""Make the clip of `genvis demo`: animals in styles that no training video has.

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
LENGTH = 72
SCENE = 5
DIFFICULTY = replace(DIFFICULTIES["easy"], objects=(3, 3), look_alikes=0.35, length=LENGTH, size=(0.3, 0.5))


def main() -> None:
    videos = SpriteVideos(10_000, height=360, width=640, length=LENGTH, difficulty=DIFFICULTY, split="validation")
    with VideoWriter(Path(sys.argv[1]), frame_rate=FRAMES_PER_SECOND) as writer:
        for index, frame in enumerate(render(videos.scene(SCENE))):
            writer.write(frame.image, time=index / FRAMES_PER_SECOND)


if __name__ == "__main__":
    main()
