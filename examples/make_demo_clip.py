"""Make the clip of `genvis demo`: a tiger among three look-alike sheep, in styles that no training video has.

    python examples/make_demo_clip.py src/genvis/assets/demo.mp4

All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0.
"""

import sys
from pathlib import Path

from genvis.data.sprites import Difficulty, SpriteVideos, render
from genvis.video.writing import VideoWriter

FRAMES_PER_SECOND = 24
SCENE = 4
DIFFICULTY = Difficulty(
    objects=(4, 5),
    size=(0.30, 0.46),
    occlusion=0.5,
    look_alikes=0.35,
    leaving=0.1,
    late=0.2,
    foreground=(0, 0),
    lighting=0.25,
    length=96,
    pace=18,
)


def main() -> None:
    videos = SpriteVideos(10_000, height=360, width=640, length=96, difficulty=DIFFICULTY, split="validation")
    with VideoWriter(Path(sys.argv[1]), frame_rate=FRAMES_PER_SECOND) as writer:
        for index, frame in enumerate(render(videos.scene(SCENE))):
            writer.write(frame.image, time=index / FRAMES_PER_SECOND)


if __name__ == "__main__":
    main()
