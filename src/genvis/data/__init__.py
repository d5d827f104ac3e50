"""Annotated videos and images: reading, checking, converting, generating, sampling for training."""
