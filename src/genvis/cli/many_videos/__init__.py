"""Verbs about many videos: what became of them, and their results together."""
