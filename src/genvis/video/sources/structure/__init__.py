"""Structure of video files: what their parts say of themselves."""
