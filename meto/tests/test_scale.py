"""Large meshes: no recursion, and time that grows with the faces whatever the surface is like."""

import time

import numpy as np
import pytest

from meto import Engine

BACKENDS = ("LR_ABSCO", "LR", "CLERS")


def perforated(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A sheet of n by n squares of which every ninth is missing."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    vertices = np.stack([x, y, 0.1 * n * np.sin(x * 9 / n)], axis=-1) * (1.9 / n) - np.array([0.95, 0.95, 0])
    a = (y * (n + 1) + x)[(x < n) & (y < n) & ~((x % 3 == 1) & (y % 3 == 1))]
    faces = np.stack([a, a + 1, a + n + 2, a, a + n + 2, a + n + 1], axis=-1).reshape(-1, 3)
    return vertices.astype(np.float32), faces.astype(np.int32)


def sponge(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The surface of a random half of n * n * n cubes: about one handle to eight faces."""
    solid = np.zeros((n + 2,) * 3, bool)
    solid[1:-1, 1:-1, 1:-1] = np.random.default_rng(0).random((n, n, n)) < 0.5
    quads = []
    for axis in range(3):
        for side in (0, 1):
            cubes = np.argwhere(solid & ~np.roll(solid, -1 if side else 1, axis))
            cubes[:, axis] += side
            around = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
            corners = [cubes, cubes + around[0], cubes + around.sum(axis=0), cubes + around[1]]
            quads.append(np.stack(corners if side else corners[::-1], axis=1) @ [(n + 3) ** 2, n + 3, 1])
    a, b, c, d = np.concatenate(quads).T
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, n + 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid.astype(np.float32), np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)


def seconds_per_face(engine: Engine, mesh: tuple[np.ndarray, np.ndarray]) -> float:
    times = []
    for _ in range(5):
        start = time.thread_time()
        engine.encode(*mesh)
        times.append(time.thread_time() - start)
    return min(times) / len(mesh[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_a_face_hardly_grows_on_a_perforated_sheet(backend):
    engine = Engine(1024, backend=backend)
    small, large = (seconds_per_face(engine, perforated(n)) for n in (75, 300))
    assert large < 4 * small, "benchmarks/meto.py measures this to three million faces"


def test_very_many_handles():
    """Walking along boundary loops would take a quadratic time here: minutes, not a second."""
    engine = Engine(1024)
    vertices, faces = sponge(40)
    start = time.thread_time()
    tokens, order, _ = engine.encode(vertices, faces)
    assert time.thread_time() - start < 20
    np.testing.assert_array_equal(np.sort(order), np.arange(len(faces)))
    assert len(engine.decode(tokens)[1]) == len(faces)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_strip_is_no_recursion(backend):
    n = 500_000
    k = np.arange(n)
    vertices = np.stack([k / n, k % 2, k * 0], axis=-1).astype(np.float32) * 0.9
    faces = np.stack([k, k + 1, k + 2], axis=-1)[:-2]
    faces[1::2] = faces[1::2, ::-1]
    engine = Engine(256, backend=backend)
    tokens, order, _ = engine.encode(vertices, faces)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(faces)))
    assert len(engine.decode(tokens)[1]) == len(faces)


def test_a_vertex_of_a_million_faces():
    n = 1_000_000
    k = np.arange(n)
    rim = np.stack([np.cos(k * 2 * np.pi / n), np.sin(k * 2 * np.pi / n), 0 * k], axis=-1) * 0.9
    faces = np.stack([k, (k + 1) % n, np.full(n, n)], axis=-1)
    tokens, order, _ = Engine(256).encode(np.concatenate([rim, [[0, 0, 0]]]), faces)
    assert len(tokens) == 4 * n + 6
    np.testing.assert_array_equal(np.sort(order), k)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_hangs_on_the_first_edge_is_visited_too(backend):
    """A face whose corners all lie on the border but whose edges do not: the walk goes over two of its three edges."""
    vertices = np.array(
        [[-0.1, -0.9, 0], [0.1, -0.9, 0], [0, -0.9, 0.1], [0, 0.5, -0.5], [0.5, 0.5, 0.5], [-0.5, 0.5, 0.5]]
        + [[0, 0.7, -0.6], [0.6, 0.7, 0.6], [-0.6, 0.7, 0.6]]
    )
    faces = np.array([[0, 1, 2], [1, 0, 3], [2, 1, 4], [0, 2, 5], [0, 6, 3], [1, 7, 4], [2, 8, 5]])
    tokens, order, _ = Engine(64, backend=backend).encode(vertices, faces)
    assert sorted(order.tolist()) == list(range(len(faces)))
    assert len(Engine(64, backend=backend).decode(tokens)[1]) == len(faces)
