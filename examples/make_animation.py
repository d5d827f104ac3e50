"""Make the moving picture of the README: what `genvis demo` finds in its clip, as an animated WebP.

    python examples/make_animation.py docs/images/demo.webp

All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0.
"""

import sys
from importlib.resources import as_file, files
from pathlib import Path

from PIL import Image

import genvis
from genvis.video import open_source

SIZE = (480, 270)
FRAMES_PER_SECOND = 12


def main() -> None:
    segmenter = genvis.VideoSegmenter(genvis.load("sprites-tiny"))
    with as_file(files("genvis") / "assets" / "demo.mp4") as clip:
        result = segmenter.segment(clip, score_threshold=0.8)
        with open_source(clip) as source:
            pictures = [
                Image.fromarray(result.frame(position).draw(frame.image)).resize(SIZE, Image.Resampling.LANCZOS)
                for position, frame in enumerate(source)
                if position % 2 == 0
            ]
    pictures[0].save(
        Path(sys.argv[1]),
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / FRAMES_PER_SECOND),
        loop=0,
        quality=55,
        method=6,
    )


if __name__ == "__main__":
    main()
