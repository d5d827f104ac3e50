"""Corrections of a result: edits, and the log that keeps them."""
