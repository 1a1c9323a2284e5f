"""The folder of these tests is importable: known.py holds their meshes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
