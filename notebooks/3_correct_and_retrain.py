# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Correct a result, and train on it
#
# A model's result is a draft. Correct it, add it to the training set, train again: each round needs fewer corrections. Needs the extras
# `train` and `sprites`.

# %%
from importlib.resources import files
from pathlib import Path

import genvis

clip = Path(str(files("genvis") / "assets" / "demo.mp4"))
segmenter = genvis.VideoSegmenter(genvis.load("sprites-tiny"))
result = segmenter.segment(clip, score_threshold=0.3)
result.save("out/demo", source=clip)
for track in result.tracks:
    print(track.id, track.label, f"{track.score:.2f}", track.span)

# %% [markdown]
# Corrections are *edits* in a log beside the result; the result itself is never changed. In the browser, `genvis app out` makes the same
# log with the mouse. Here, the least sure track is deleted, and the first one gets another class.

# %%
from genvis.results.editing.edit_log import EditLog
from genvis.results.editing.edits import DeleteTrack, SetCategory, category_choices

log = EditLog("out/demo")
worst = min(result.tracks, key=lambda track: track.score)
if len(result.tracks) > 1:
    log.append(DeleteTrack(track_id=worst.id))
first = log.result.tracks[0]
choice = category_choices(log.result)[0]
log.append(SetCategory(track_id=first.id, label=choice.label, category_id=choice.category_id))
print([str(edit) for edit in log.edits])

# %% [markdown]
# A mistake is undone; the log keeps that, too.

# %%
log.undo()
print([str(edit) for edit in log.edits])
corrected = log.result
corrected

# %% [markdown]
# The corrected result becomes training data: its frames as images, its masks as annotations. Say it once more for the next video, and the
# set grows.

# %%
# !genvis data append out/demo zoo.json --images images --video {clip} --log out/demo/edits.jsonl

# %% [markdown]
# Train on, from the model that made the draft.

# %%
# !genvis data prepare zoo.json --images images --init sprites-tiny --no-estimate

# %%
short = "--run.max_steps 4 --run.accelerator cpu --run.devices 1 --data.workers 0 --data.batch_size 1 --loss.points.count 256"

# %%
# !genvis train zoo_detector.yaml {short} && genvis train zoo_genvis.yaml {short} --cache.views 4

# %% [markdown]
# The new model makes the next draft.

# %%
# !genvis predict {clip} --weights runs/zoo-genvis/model --stop 12 -o out/next
