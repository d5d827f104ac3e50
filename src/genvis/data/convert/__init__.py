"""Other annotation formats to YouTube-VIS files, and back: one small file a format."""
