"""Choice of frames, videos and data sets for training."""
