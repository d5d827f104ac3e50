"""Training: label assignment (UVLA), losses, the Lightning module and recipes."""
