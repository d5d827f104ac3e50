"""Generated videos: emoji sprites of OVIS' 25 categories on smooth paths, with exact visible masks."""

from genvis.data.sprites.dataset import SpriteImages, SpriteVideos
from genvis.data.sprites.difficulty import DIFFICULTIES, Difficulty
from genvis.data.sprites.rendering import RenderedFrame, render, render_frame
from genvis.data.sprites.scene import Scene, draw_scene

__all__ = [
    "DIFFICULTIES",
    "Difficulty",
    "RenderedFrame",
    "Scene",
    "SpriteImages",
    "SpriteVideos",
    "draw_scene",
    "render",
    "render_frame",
]
