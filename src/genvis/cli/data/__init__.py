"""``genvis data``: its sub-verbs."""
