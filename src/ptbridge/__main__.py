"""`python -m ptbridge`: the same as the `ptbridge` command."""

import sys

from ptbridge.cli import main

if __name__ == "__main__":
    sys.exit(main())
