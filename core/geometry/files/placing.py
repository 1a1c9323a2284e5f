"""Where the parts of a scene stand."""

import numpy as np

MOST = 100_000_000  # vertices and faces: instances of instances can ask for any number


class Budget:
    """Ends the reading of a scene whose instances hold more than anything real."""

    def __init__(self) -> None:
        self._left = MOST

    def spend(self, count: int) -> None:
        """Raise ValueError when all that was spent exceeds the most there may be."""
        self._left -= max(count, 1)
        if self._left < 0:
            raise ValueError(f"its instances have more than {MOST} vertices and faces together")


def move(vertices: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(V, 3) moved by (4, 4), column vectors, in float64."""
    if np.array_equal(matrix, np.eye(4)):
        return vertices
    return vertices @ matrix[:3, :3].T + matrix[:3, 3]


def mirrored(matrix: np.ndarray) -> bool:
    """Whether (4, 4) turns faces inside out."""
    return bool(np.linalg.det(matrix[:3, :3]) < 0)


def rotation(quaternions: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of (N, 4) quaternions x, y, z, w, of any length but zero."""
    x, y, z, w = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def about_axis(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(3, 3) a turn by `degrees` about (3,)."""
    half = np.radians(degrees) / 2
    axis = axis / np.linalg.norm(axis)
    return rotation(np.array([[*(axis * np.sin(half)), np.cos(half)]]))[0]
