"""CVAT's own format, "CVAT for video 1.1": from and to."""
