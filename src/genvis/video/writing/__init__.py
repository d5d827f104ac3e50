"""Files of frames: videos and label PNGs."""
