"""What `tests/inputs/cases.json` expects of each file there, and whether a reader gives it.

python tests/geometry/known.py      # prints the cases that fail, with what came instead
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

INPUTS = Path(__file__).parents[1] / "inputs"
CASES: list[dict[str, Any]] = json.loads((INPUTS / "cases.json").read_text())
Reader = Callable[[Path], tuple[np.ndarray, np.ndarray]]


def facts(vertices: np.ndarray, faces: np.ndarray) -> dict[str, Any]:
    """Whatever a case may expect of a mesh, or of a cloud where there are no faces."""
    if len(faces) == 0:
        return {"points": len(vertices), "extent": np.ptp(vertices, axis=0)}
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    volume = (np.cross(a, b) * c).sum() / 6
    return {"faces": len(faces), "area": area, "volume": volume, "extent": np.ptp(vertices[np.unique(faces)], axis=0)}


def complaint(case: dict[str, Any], read: Reader) -> str:
    """What is wrong with what `read` makes of the case's file; empty where it is as expected."""
    expected = dict(case["expected"])
    words = expected.pop("error_names_one_of", [])
    refusable = expected.pop("or_error_names_one_of", False) or not expected
    path = INPUTS / case["file"]
    try:
        found = facts(*read(path))
    except ValueError as error:
        text = str(error)
        if "\n" in text or str(path) not in text:
            return f"not one line that names the file: {text!r}"
        reason = text.replace(str(path), "").lower()  # a word of the file's own name says nothing
        named = any(word.lower() in reason for word in words)
        return "" if refusable and named else f"refused: {reason}"
    if words and not expected:
        return f"read as {found}, to be refused naming one of {words}"
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    wrong = [k for k, value in expected.items() if k not in found or not np.allclose(found[k], value, **tolerance)]
    return f"expected {expected}, found {found}" if wrong else ""


def print_table(readers: dict[str, Reader]) -> None:
    """The cases that at least one reader fails, with what each gives; then how many each has right."""
    right = dict.fromkeys(readers, 0)
    for case in CASES:
        said = {}
        for name, read in readers.items():
            try:
                said[name] = complaint(case, read)
            except Exception as error:
                said[name] = f"{type(error).__name__}: {error}"
            right[name] += not said[name]
        for name, text in said.items():
            if text:
                print(f"{case['file']:42} {name:10} {text[:200]}")
    for name, count in right.items():
        print(f"{name}: {count} of {len(CASES)} as expected")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from core.data.mesh import load

    print_table({"load": load})
