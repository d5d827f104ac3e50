"""Files behind addresses (``s3://``, ``gs://``, ``hf://``, ``https://``, ...) and on this machine, alike."""
