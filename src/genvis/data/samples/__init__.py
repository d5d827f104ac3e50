"""Training samples: frames, masks, transforms, batches."""
