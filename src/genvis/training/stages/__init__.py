"""The stages of training: detector, VITA, GenVIS."""
