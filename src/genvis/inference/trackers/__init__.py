"""How track ids pass from clip to clip, a file per method."""
