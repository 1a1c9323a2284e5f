"""`python -m meto`: see meto.cli."""

import sys

from meto.cli import main

if __name__ == "__main__":
    sys.exit(main())
