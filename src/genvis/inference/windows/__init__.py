"""Division of frames into clips: of one length, or adapted to the video and cut at scene changes."""
