"""Small meshes of every kind that a tokenizer trips over, made here so that the tests run from the package alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

Mesh = tuple[np.ndarray, np.ndarray]

GOLDEN = Path(os.environ.get("METO_GOLDEN", Path(__file__).parents[2] / "tests" / "golden" / "meto_golden.npz"))


def grid(columns: int, rows: int, wrap_x: bool = False, wrap_y: bool = False, twist: bool = False) -> np.ndarray:
    """Faces of a grid of quads cut in two; wrapping one side gives an annulus (a Moebius strip with a twist), both a
    torus. Vertex (x, y) has index y * width + x."""
    width, height = columns + (not wrap_x), rows + (not wrap_y)
    faces = []
    for y in range(rows):
        for x in range(columns):
            flip = twist and x == columns - 1
            corner = [
                (height - 1 - j if flip and i == x + 1 else j) % height * width + i % width
                for i, j in ((x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1))
            ]
            faces += [[corner[0], corner[1], corner[2]], [corner[0], corner[2], corner[3]]]
    return np.array(faces)


def torus_vertices(columns: int, rows: int) -> np.ndarray:
    u, v = np.meshgrid(np.arange(columns) * 2 * np.pi / columns, np.arange(rows) * 2 * np.pi / rows)
    ring = 0.6 + 0.3 * np.cos(v)
    return np.stack([ring * np.cos(u), -0.3 * np.sin(v), ring * np.sin(u)], axis=-1).reshape(-1, 3)


def flat_vertices(columns: int, rows: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-0.9, 0.9, columns), np.linspace(-0.9, 0.9, rows))
    return np.stack([x, y, 0.2 * np.sin(5 * x) * np.cos(4 * y)], axis=-1).reshape(-1, 3)


def tetrahedron() -> Mesh:
    vertices = np.array([[0, 0.9, 0], [0.9, -0.5, 0], [-0.5, -0.5, 0.8], [-0.5, -0.5, -0.8]])
    return vertices, np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def make_zoo() -> dict[str, Mesh]:
    """Name -> (vertices (V, 3), faces (F, 3)), 1 to about 200 faces."""
    rng = np.random.default_rng(7)
    torus = torus_vertices(8, 6)
    patch, patch_faces = flat_vertices(9, 8), grid(8, 7)
    holes = np.delete(patch_faces, [20, 21, 50, 51, 52, 77, 90], axis=0)
    mixed = patch_faces.copy()
    mixed[::3] = mixed[::3, ::-1]
    apex = [[0.1, 0.8, 0.0], [0.3, -0.7, 0.1]]
    return {
        "triangle": (patch, patch_faces[:1]),
        "tetrahedron": tetrahedron(),
        "patch": (patch, patch_faces),
        "holes": (patch, holes),
        "badly_oriented": (patch, mixed),
        "annulus": (torus_vertices(8, 3), grid(8, 2, wrap_x=True)),
        "moebius": (torus_vertices(8, 3), grid(8, 2, wrap_x=True, twist=True)),
        "torus": (torus, grid(8, 6, wrap_x=True, wrap_y=True)),
        "two_tori": (
            np.concatenate([torus * 0.5 - 0.4, torus * 0.5 + 0.4]),
            np.concatenate([grid(8, 6, True, True), grid(8, 6, True, True) + len(torus)]),
        ),
        "fan": (np.concatenate([apex, patch[:6]]), np.array([[0, 1, k] for k in range(2, 8)])),
        "soup": (rng.uniform(-0.45, 0.45, (20, 3)), rng.permuted(np.tile(np.arange(20), (40, 1)), axis=1)[:, :3]),
        "degenerate": (patch, np.array([[0, 0, 1], [0, 1, 9], [1, 1, 1], [2, 3, 2], [1, 1, 1], [3, 2, 12]])),
        "one_face_many_times": (patch, np.tile(patch_faces[3], (5, 1))),
    }


ZOO = make_zoo()


@pytest.fixture(params=ZOO, ids=str)
def mesh(request: pytest.FixtureRequest) -> Mesh:
    """Each of the small meshes in turn."""
    return ZOO[request.param]


@pytest.fixture(scope="session")
def zoo() -> dict[str, Mesh]:
    """All the small meshes by name."""
    return ZOO


@pytest.fixture(scope="session")
def golden() -> Iterator[dict[str, np.ndarray]]:
    """The reference's own output, by key NAME/BACKEND/BINS/WHAT."""
    if not GOLDEN.exists():
        pytest.skip(f"no golden record at {GOLDEN}")
    with np.load(GOLDEN) as record:
        yield dict(record)
