"""Counts on meshes built to have them, and the test of faces that cut through others."""

import numpy as np
import pytest
from known import cube, grid, join, square, triangles

from core.data.mesh import Mesh
from core.evaluation.topology import topology
from core.geometry.intersect import crossing, intersecting_faces, overlapping_boxes

FLOOR = [[0, 0, 0], [4, 0, 0], [0, 0, 4]]


def test_a_cube_is_sound():
    figures = topology(cube())
    assert figures["faces"] == 12
    assert figures["vertices"] == 8
    assert figures["watertight"] == figures["components"] == 1
    defects = ("boundary_edges", "nonmanifold_edges", "degenerate_faces", "duplicate_faces", "intersecting_faces")
    assert [figures[name] for name in defects] == [0] * 5


def test_vertices_of_one_place_are_one():
    soup = triangles(*cube().vertices[cube().faces].tolist())
    assert topology(soup) == topology(cube())


def test_holes_and_fins():
    open_box = Mesh(cube().vertices, cube().faces[2:])  # without one side of two faces
    figures = topology(open_box)
    assert (figures["watertight"], figures["boundary_edges"], figures["nonmanifold_edges"]) == (0, 4, 0)
    fin = Mesh(np.vstack([cube().vertices, [5, 5, 5]]), np.vstack([cube().faces, [0, 1, 8]]))
    figures = topology(fin)
    assert (figures["watertight"], figures["boundary_edges"], figures["nonmanifold_edges"]) == (0, 2, 1)
    assert figures["components"] == 1


def test_components_hang_together_by_edges():
    assert topology(join(cube(), cube(center=(5, 0, 0)), square(9)))["components"] == 3
    corner = join(cube(), cube(center=(1, 1, 1)))  # touching at a corner
    assert topology(corner)["components"] == 2
    edge = join(cube(), cube(center=(1, 1, 0)))  # sharing an edge, of four faces
    figures = topology(edge)
    assert (figures["components"], figures["nonmanifold_edges"], figures["watertight"]) == (1, 1, 0)


def test_degenerate_and_duplicate_faces():
    point, line = [0, 0, 0], [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    mesh = triangles(FLOOR, FLOOR, [FLOOR[1], FLOOR[0], FLOOR[2]], [point, point, [1, 0, 0]], line)
    figures = topology(mesh)
    assert (figures["faces"], figures["degenerate_faces"], figures["duplicate_faces"]) == (5, 2, 2)
    assert figures["intersecting_faces"] == 0


@pytest.mark.parametrize(
    ("triangle", "cuts"),
    [
        ([[1, -1, 1], [1, 1, 1], [1, 0, 1.5]], True),  # through the middle
        ([[1, -1, -1], [1, -1, 9], [1, 5, -1]], True),  # around a corner of the floor
        ([[9, -1, 9], [9, 1, 9], [8, 0, 8]], False),  # through the plane, but beside
        ([[1, 0, 1], [1, 1, 1], [2, 1, 1]], False),  # stands on it with a corner
        ([[1, 0, 1], [2, 0, 1], [1, 1, 1]], False),  # stands on it with an edge
        ([[0, 0, 0], [4, 0, 0], [0, 2, 1]], False),  # shares an edge
        ([[0, 0, 0], [4, 0, 0], [0, 0, -4]], False),  # shares an edge, in one plane, beyond it
        ([[0, 0, 0], [4, 0, 0], [1, 0, 1]], True),  # shares an edge, in one plane, folded over
        ([[0, 0, 0], [-1, 1, -1], [-1, -1, -1]], False),  # shares a corner, goes away
        ([[0, 0, 0], [1, 1, 1], [1, -1, 1]], True),  # shares a corner, goes through
        ([[0, 0, 0], [-4, 0, 0], [0, 0, -4]], False),  # shares a corner, in one plane, opposite
        ([[1, 0, 1], [2, 0, 1], [1, 0, 2]], True),  # in one plane, within
        ([[4, 0, 4], [8, 0, 4], [4, 0, 8]], False),  # in one plane, beside
        ([[0, 1, 0], [4, 1, 0], [0, 1, 4]], False),  # above
    ],
)
def test_faces_that_cut_and_that_do_not(triangle, cuts):
    mesh = triangles(FLOOR, triangle)
    assert intersecting_faces(*mesh).tolist() == [cuts, cuts]
    turned = Mesh(mesh.vertices @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] * 77, mesh.faces)
    assert intersecting_faces(*turned).tolist() == [cuts, cuts]


def test_random_triangles_against_edges_through_faces():
    rng = np.random.default_rng(0)
    p, q = rng.random((2, 399, 3, 3))
    assert crossing(p, q).tolist() == [_edge_pierces(a, b) or _edge_pierces(b, a) for a, b in zip(p, q, strict=True)]
    q[:, 1] = p[:, 2]  # a shared corner
    assert crossing(p, q).tolist() == [_edge_pierces(a, b) or _edge_pierces(b, a) for a, b in zip(p, q, strict=True)]
    assert 0 < crossing(p, q).sum() < len(p)
    q[:, 0] = p[:, 0]  # a shared edge
    assert not crossing(p, q).any()


def _edge_pierces(p: np.ndarray, q: np.ndarray) -> bool:
    """Whether an edge of p goes through the inside of q."""
    normal = np.cross(q[1] - q[0], q[2] - q[0])
    for start, end in zip(p, np.roll(p, -1, axis=0), strict=True):
        one, two = (start - q[0]) @ normal, (end - q[0]) @ normal
        if one * two < 0 and min(abs(one), abs(two)) > 1e-9:
            at = start + (end - start) * one / (one - two)
            if all(np.cross(q[(j + 1) % 3] - q[j], at - q[j]) @ normal > 0 for j in range(3)):
                return True
    return False


def test_two_cubes_that_run_into_each_other():
    apart = join(cube(), cube(center=(3, 0.1, 0.2)))
    assert intersecting_faces(*apart).sum() == 0
    # The small cube sticks out of one side of the large one: all its faces but the inner and the outer side cut.
    mesh = join(cube(2), cube(0.5, center=(1, 0.1, 0.2)))
    cut = intersecting_faces(*mesh)
    assert cut[12:].reshape(6, 2).any(axis=1).tolist() == [False, False, True, True, True, True]
    assert cut[:12].reshape(6, 2).any(axis=1).tolist() == [False, True, False, False, False, False]


def test_a_finely_cut_surface_does_not_cut_itself():
    assert not intersecting_faces(*grid(40)).any()
    bent = grid(40)
    bent.vertices[:, 1] = np.sin(9 * bent.vertices[:, 0]) * np.cos(7 * bent.vertices[:, 2]) * 0.1
    assert not intersecting_faces(*bent).any()
    assert intersecting_faces(*join(bent, grid(3, 0.02))).sum() > 18


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_boxes_that_overlap(count):
    rng = np.random.default_rng(count)
    low = rng.random((count, 3))
    high = low + rng.random((count, 3)) * 0.3
    meet = ((low[:, None] <= high) & (low <= high[:, None])).all(axis=2)
    expected = {(a, b) for a, b in np.argwhere(meet).tolist() if a < b}
    found = [tuple(pair) for pair in overlapping_boxes(low, high).tolist()]
    assert set(found) == expected
    assert len(found) == len(expected)
