"""Compile the kernels for this machine, unless that has been done: python -m core.kernels"""

import logging
import sys

from core.kernels import build, load

logging.basicConfig(level=logging.INFO, format="%(message)s")
path = build.library()
print(f"CPU kernels of generation: {path}" if path else "CPU kernels of generation: none; torch's are used")
sys.exit(path is not None and load() is None)
