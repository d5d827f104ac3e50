# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Train on your own data
#
# From annotated videos to a model. The videos here are generated, so that the notebook runs anywhere in minutes; yours come from
# `genvis data convert from-cvat` or another converter. Needs the extras `train`, `eval` and `sprites`.

# %%
# !genvis data sprites zoo --videos 8 --length 10 --height 64 --width 96 --difficulty easy

# %% [markdown]
# Look at the annotations before anything is learned from them. The check says in words what is wrong, and draws a contact sheet.

# %%
# !genvis data check zoo/annotations.json --images zoo/frames --contact-sheet contact_sheet.png

# %%
from PIL import Image

Image.open("contact_sheet.png").resize((800, 500))

# %% [markdown]
# `prepare` holds a part of the videos back for validation, chooses the model to start from, and writes a recipe for each stage. It also
# says how long each stage will take on this machine. Without `--init` it takes `mask2former-t-coco`, which is fetched.

# %%
# !genvis data prepare zoo/annotations.json --images zoo/frames --init sprites-tiny --validation 0.25 --name zoo

# %% [markdown]
# A recipe is a short YAML file. Every line can be changed, here or on the command line.

# %%
from pathlib import Path

print(Path("zoo/zoo_detector.yaml").read_text())

# %% [markdown]
# Two stages: the detector learns the classes, the tracker learns to keep track ids. 6 steps are no training; they only show that it runs.
# Leave `--run.max_steps` and what follows it out for the real thing.

# %%
short = "--run.max_steps 6 --run.log_steps 2 --run.validate_steps 0 --run.accelerator cpu --run.devices 1 --data.workers 0 --data.batch_size 2"

# %%
# !genvis train zoo/zoo_detector.yaml {short} --loss.points.count 256

# %%
# !genvis train zoo/zoo_genvis.yaml {short} --loss.points.count 256 --cache.views 6

# %% [markdown]
# The losses, step by step (TensorBoard shows them too: `tensorboard --logdir zoo/runs`).

# %%
import csv

(log,) = Path("zoo/runs/zoo-genvis/log").rglob("metrics.csv")
with log.open() as file:
    print([{name: row[name] for name in ("step", "loss")} for row in csv.DictReader(file) if row.get("loss")][:5])

# %% [markdown]
# How good is it? The held-back videos say so: AP, and which kind of error costs most.

# %%
# !genvis eval --weights zoo/runs/zoo-genvis/model --annotations zoo/annotations_validation.json --images zoo/frames -o report

# %% [markdown]
# The model is used like any other.

# %%
import genvis

model = genvis.load("zoo/runs/zoo-genvis/model")
video = sorted(Path("zoo/frames").iterdir())[0]
genvis.VideoSegmenter(model).segment(video, score_threshold=0.0)
