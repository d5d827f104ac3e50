"""Validation during training: AP on held-out frames and videos, and pictures of what is found in them."""
