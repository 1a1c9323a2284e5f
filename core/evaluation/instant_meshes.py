"""Instant Meshes in a process of its own: it writes pages to the console, and may crash on broken inputs."""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SECONDS = 300  # after which it is given up


def is_installed() -> bool:
    return find_spec("pyinstantmeshes") is not None


def remesh(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """A quad mesh of about `count` triangles (Jakob et al., Instant field-aligned meshes, 2015), each quad as two.

    Args:
        vertices: (V, 3), best of a size about 1.
        faces: (F, 3).
        count: of triangles; what comes out can be off by a fifth, and more where it is small.

    Returns:
        (V, 3) float32 and (F, 3) int32; None where nothing came of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, vertices=vertices.astype(np.float32), faces=faces.astype(np.int32))
        command = [sys.executable, __file__, str(given), str(made), str(max(count // 2, 1))]
        try:
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return None
        if not made.is_file():
            return None
        with np.load(made) as arrays:
            return arrays["vertices"], arrays["faces"]


def main(given: str, made: str, quads: str) -> None:
    import pyinstantmeshes

    with np.load(given) as arrays:
        vertices, faces = arrays["vertices"], arrays["faces"]
    vertices, faces = pyinstantmeshes.remesh(vertices, faces, target_face_count=int(quads), deterministic=True)
    triangles = [faces[:, [0, k, k + 1]] for k in range(1, faces.shape[1] - 1)]
    np.savez(made, vertices=vertices, faces=np.concatenate(triangles).astype(np.int32))


if __name__ == "__main__":
    main(*sys.argv[1:])
