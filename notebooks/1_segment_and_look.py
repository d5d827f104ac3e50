# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Segment a video, and look at the result
#
# The bundled model and the bundled clip need no download. For your own video, take `genvis.load("videomt-s-ytvis2019")` and its path.

# %%
from importlib.resources import files

from PIL import Image

import genvis
from genvis.video import open_source

clip = files("genvis") / "assets" / "demo.mp4"
segmenter = genvis.VideoSegmenter(genvis.load("sprites-tiny"))
result = segmenter.segment(clip, score_threshold=0.8)
result

# %% [markdown]
# A result has tracks. A track is one object: its id, its class, its score, and a mask in every frame where it is visible.

# %%
for track in result.tracks:
    print(
        track.id,
        track.label,
        f"{track.score:.2f}",
        f"visible in {track.frames_seen} of {len(result)} frames",
        track.span,
    )

# %% [markdown]
# Frames with the masks drawn on them: the first, one in the middle, and the last.

# %%
wanted = (0, len(result) // 2, len(result) - 1)
with open_source(clip) as source:
    pictures = [result.frame(place).draw(frame.image) for place, frame in enumerate(source) if place in wanted]
sheet = Image.new("RGB", (sum(picture.shape[1] for picture in pictures), pictures[0].shape[0]))
for place, picture in enumerate(pictures):
    sheet.paste(Image.fromarray(picture), (place * pictures[0].shape[1], 0))
sheet.resize((sheet.width // 2, sheet.height // 2))

# %% [markdown]
# Numbers for your own analysis: how large each object is, frame by frame. (`result.to_pandas()` gives a table with boxes and centroids,
# with the extra `table`.)

# %%
for track in result.tracks:
    print(f"{track.label:>10}", " ".join(f"{area:6,}" for area in track.areas[::8]))

# %% [markdown]
# The same, live: nothing looks ahead, and every frame is answered at once. This is how a camera is followed.

# %%
session = segmenter.open_session()
with open_source(clip, stop=6) as source:
    for frame in source:
        print(
            frame.index,
            [(instance.id, instance.label, round(instance.score, 2)) for instance in session.step(frame.image)],
        )

# %% [markdown]
# Everything as files: an annotated video, a contact sheet, JSON.

# %%
result.save("out/demo", source=clip)
Image.open("out/demo/contact_sheet.png")
