"""A training run: module, data, optimizer, checkpoints, validation."""
