"""Where frames come from: files, image folders, cameras, streams, arrays."""
