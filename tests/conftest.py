"""Settings of all tests, made before any library reads them."""

import os

# The networks of the tests are tiny: threads would cost more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may fetch anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
