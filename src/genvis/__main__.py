"""`python -m genvis`: the command line where the `genvis` script is not on the path."""

import sys

from genvis.cli.main import main

sys.exit(main())
