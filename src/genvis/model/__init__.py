"""The network: the frame-level detector and the GenVIS tracker. It knows nothing of files, videos or state."""
