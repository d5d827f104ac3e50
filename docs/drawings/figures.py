"""Figures of "How it works": python docs/drawings/figures.py writes docs/images/how_*.svg."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from svg import COLOURS, GREY, INK, PALE, Drawing

from genvis.training.criterion.uvla import assign_new_objects

IMAGES = Path(__file__).parents[1] / "images"
FISH, CRAB, TURTLE = range(3)
NAMES = ("fish", "crab", "turtle")


def method() -> Drawing:
    """The network, from the frames of a clip to masks, and what goes on to the next clip."""
    picture = Drawing(
        860,
        330,
        "One clip goes through detector, object encoder and decoder; its prototypes start the next clip.",
    )
    for place, label in enumerate(("frame 1", "frame 2", "frame 3")):
        picture.box(24 + 8 * place, 96 - 10 * place, 84, 56, label if place == 2 else "", fill="white")
    picture.text(70, 176, "clip i", anchor="middle", bold=True)
    picture.box(150, 84, 120, 64, "detector", small="frozen", fill="#e8f1f8")
    picture.arrow((124, 114), (148, 114))
    picture.text(210, 172, "finds objects in", anchor="middle", size=11, fill=GREY)
    picture.text(210, 186, "every frame alone", anchor="middle", size=11, fill=GREY)
    picture.box(322, 84, 120, 64, "object encoder", small="E", fill="#fdf3e3")
    picture.arrow((270, 114), (320, 114))
    picture.text(295, 104, "f", anchor="middle", bold=True)
    picture.text(382, 172, "lets the queries of", anchor="middle", size=11, fill=GREY)
    picture.text(382, 186, "all frames compare", anchor="middle", size=11, fill=GREY)
    picture.box(494, 84, 120, 64, "object decoder", small="D", fill="#fdf3e3")
    picture.arrow((442, 114), (492, 114))
    picture.text(516, 172, "sums up each object", size=11, fill=GREY)
    picture.text(516, 186, "of the clip", size=11, fill=GREY)
    picture.box(716, 84, 120, 64, "heads", small="class, mask", fill="#eaf4ea")
    picture.arrow((614, 114), (714, 114))
    picture.text(664, 104, "prototypes p", anchor="middle", bold=True)
    picture.arrow((210, 84), (210, 34), (776, 34), (776, 82), dashed=True)
    picture.text(493, 26, "features of the frames, for the masks", anchor="middle", size=11, fill=GREY)
    picture.box(494, 240, 120, 52, "memory", small="keys, values", fill="#f2ecf7")
    picture.arrow((664, 114), (664, 266), (616, 266))
    picture.text(672, 222, "kept of every clip", size=11, fill=GREY)
    picture.box(322, 240, 120, 52, "query q", small="p of clip i-1 + z", fill="white")
    picture.arrow((494, 266), (444, 266))
    picture.text(469, 258, "z", anchor="middle", bold=True)
    picture.arrow((382, 240), (382, 212), (506, 212), (506, 150))
    picture.text(38, 262, "Query k of clip 1 stays query k to the", size=12)
    picture.text(38, 280, "end: one query, one object. Nothing", size=12)
    picture.text(38, 298, "is matched between clips.", size=12)
    return picture


def assignments() -> list[np.ndarray]:
    """UVLA on four clips, by the code that trains: which query each of three objects has after each clip."""
    visible = ((FISH,), (FISH, CRAB), (CRAB,), (FISH, TURTLE))
    costs = np.array([[0.9, 0.5, 0.8], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.8, 0.9, 0.4]])
    assigned = np.full(3, -1)
    steps = []
    for objects in visible:
        new = np.array([thing for thing in objects if assigned[thing] < 0], dtype=np.int64)
        if new.size:
            assigned = assign_new_objects(costs[:, new], new=new, assigned=assigned)
        steps.append(assigned.copy())
    return steps


def uvla() -> Drawing:
    """Unified video label assignment, clip after clip."""
    picture = Drawing(
        860,
        400,
        "Unified video label assignment on four clips: an object keeps the query of its first clip, also hidden.",
    )
    visible = ((FISH,), (FISH, CRAB), (CRAB,), (FISH, TURTLE))
    said = (
        ("A fish. It is matched", "with the best query, 2."),
        ("A crab comes. Query 2, the best,", "is occupied: it gets query 3."),
        ("The fish hides. Query 2 stays", "its own, and learns emptiness."),
        ("The fish is back in query 2.", "A turtle takes a free one, 4."),
    )
    for clip, (objects, assigned) in enumerate(zip(visible, assignments(), strict=True)):
        left = 30 + 206 * clip
        picture.text(left + 88, 32, f"clip {clip + 1}", anchor="middle", bold=True)
        picture.box(left, 44, 176, 74)
        for thing in objects:
            x = left + 36 + 52 * thing
            picture.dot(x, 74, fill=COLOURS[thing], radius=13)
            picture.text(x, 106, NAMES[thing], anchor="middle", size=11, fill=GREY)
        for query in range(4):
            y = 170 + 40 * query
            owner = next((thing for thing in range(3) if assigned[thing] == query), None)
            fill = "white" if owner is None else COLOURS[owner]
            picture.dot(left + 24, y, fill=fill, text=str(query + 1))
            if owner is None:
                words, tint = "free: no object", GREY
            elif owner in objects:
                words, tint = NAMES[owner], INK
            else:
                words, tint = f"{NAMES[owner]}, hidden", GREY
            picture.text(left + 44, y + 4, words, size=12, fill=tint)
        for line, words in enumerate(said[clip]):
            picture.text(left + 88, 348 + 18 * line, words, anchor="middle", size=11.5)
        if clip < 3:
            picture.arrow((left + 182, 230), (left + 202, 230))
    picture.text(30, 150, "instance queries", size=11, fill=GREY)
    return picture


def memory() -> Drawing:
    """Reading the memory by index."""
    picture = Drawing(
        860,
        250,
        "A query reads its own prototypes of past clips, each weighted by how alike it is.",
    )
    weights = (0.08, 0.42, 0.3, 0.02, 0.02, 0.16)
    words = ("seen", "seen, near", "seen", "hidden", "hidden", "partly")
    picture.text(30, 34, "prototypes of query 2 in past clips", bold=True)
    for clip, (weight, word) in enumerate(zip(weights, words, strict=True)):
        x = 70 + 92 * clip
        picture.dot(x, 84, fill=COLOURS[0] if "hidden" not in word else PALE, radius=17)
        picture.text(x, 122, f"clip {clip + 1}", anchor="middle", size=12)
        picture.text(x, 138, word, anchor="middle", size=11, fill=GREY)
        picture.arrow((x, 148), (x + (616 - x) * 0.35, 194), stroke=COLOURS[0], width=0.6 + 7 * weight)
        picture.text(x + 6, 168, f"{weight:.2f}", size=10.5, fill=GREY)
    picture.box(290, 198, 330, 36, "z: their sum, weighted by likeness", fill="#f2ecf7")
    picture.dot(716, 84, fill=COLOURS[0], radius=17)
    picture.text(716, 122, "clip 7", anchor="middle", size=12)
    picture.text(716, 138, "query = prototype of clip 6 + z", anchor="middle", size=11, fill=GREY)
    picture.arrow((620, 216), (716, 216), (716, 148))
    return picture


def memory_matching() -> Drawing:
    """Matching detections with remembered tracks."""
    picture = Drawing(
        860,
        300,
        "Memory matching: detections are compared with what is remembered of every track, hidden ones too.",
    )
    picture.text(40, 34, "remembered tracks", bold=True)
    picture.text(832, 34, "detections of this frame", anchor="end", bold=True)
    tracks = (("id 1", "seen 1 frame ago", 0), ("id 2", "hidden for 40 frames", 1), ("id 3", "seen 1 frame ago", 2))
    found = (0, 1, 3)
    for place, (name, note, colour) in enumerate(tracks):
        y = 84 + 76 * place
        picture.dot(60, y, fill=COLOURS[colour], radius=17, text=name[-1])
        picture.text(90, y - 2, name)
        picture.text(90, y + 15, note, size=11, fill=GREY)
    for place, colour in enumerate(found):
        picture.dot(716, 84 + 76 * place, fill=COLOURS[colour], radius=17)
    picture.arrow((230, 84), (690, 84))
    picture.text(460, 74, "looks alike, near: stays id 1", anchor="middle", size=12)
    picture.arrow((230, 160), (690, 160))
    picture.text(460, 150, "looks alike, far: revived as id 2", anchor="middle", size=12)
    picture.text(746, 164, "id 2 again", size=11, fill=GREY)
    picture.text(746, 240, "id 4, new", size=11, fill=GREY)
    picture.text(460, 232, "like none of them, and sure: a new track", anchor="middle", size=12)
    picture.arrow((600, 236), (690, 236))
    picture.text(
        460, 282, "Track 3 is not found: it is kept in memory until --matching.keep-frames.", anchor="middle", size=12
    )
    return picture


def track_ids() -> Drawing:
    """Slots of the network, and ids that users see."""
    picture = Drawing(
        860, 230, "A query is a row of the network; a track id is what users see, and is never used again."
    )
    picture.text(40, 34, "queries of the network", bold=True)
    picture.text(560, 34, "track ids of the user", bold=True)
    rows = (("query 2", "fish", "id 1", 0), ("query 3", "crab", "id 2", 1), ("query 4", "no object", "", 4))
    for place, (query, content, name, colour) in enumerate(rows):
        y = 76 + 50 * place
        picture.dot(56, y, fill=COLOURS[colour] if name else "white", text=query[-1])
        picture.text(78, y + 4, f"{query}: {content}", fill=INK if name else GREY)
        if name:
            picture.arrow((260, y), (550, y))
            picture.text(405, y - 8, "in the order in which they appear", anchor="middle", size=11, fill=GREY)
            picture.text(566, y + 4, name)
    picture.text(
        40,
        214,
        "An id ends with its object. A query that is used again gets the next id; sessions carry the count on.",
        size=12,
    )
    return picture


FIGURES = {
    "method": method,
    "uvla": uvla,
    "memory": memory,
    "memory_matching": memory_matching,
    "track_ids": track_ids,
}


def draw(folder: Path) -> None:
    """Write all figures."""
    for name, figure in FIGURES.items():
        figure().save(folder / f"how_{name}.svg")


if __name__ == "__main__":
    draw(IMAGES)
