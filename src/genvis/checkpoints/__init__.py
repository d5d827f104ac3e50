"""Checkpoints: loading by name, the registry of pretrained models, the Hub, published files and our folder format."""
