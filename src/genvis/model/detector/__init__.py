"""Frame-level detectors: single frames in, frame queries and features out."""
