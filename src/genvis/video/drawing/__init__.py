"""Drawing of instances on frames, and contact sheets."""
