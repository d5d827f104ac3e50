"""Validation during training: AP on validation frames and videos, and pictures of what is found in them."""
