"""Compile the kernels for this machine, unless that has been done: python -m core.kernels"""

import argparse
import logging
import sys

from core.kernels import build, load


def main() -> int:
    argparse.ArgumentParser(prog="python -m core.kernels", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = build.library()
    print(f"CPU kernels of generation: {path}" if path else "CPU kernels of generation: none; torch's are used")
    return int(path is not None and load() is None)


if __name__ == "__main__":
    sys.exit(main())
