"""How well a mesh is laid out: values found by hand."""

import numpy as np
import pytest
from known import cube, grid, join, square, triangles

from core.data.mesh import Mesh
from core.evaluation.quality import layout, pair_triangles, topology_score


def test_a_cube_is_six_squares():
    figures = layout(cube())
    assert figures["boundary_edge_ratio"] == 0
    assert figures["quad_ratio"] == 1
    assert figures["topology_score"] == pytest.approx(1)
    assert figures["valence"] == pytest.approx(2 * 18 / 8)  # 18 edges, 8 vertices
    # A right triangle of sides 1, 1, sqrt 2: longest squared by twice the area is 2; of equal sides it is 2 / sqrt 3.
    assert figures["aspect"] == pytest.approx(np.sqrt(3))


def test_the_boundary_edge_ratio_counts_edges():
    assert layout(square())["boundary_edge_ratio"] == pytest.approx(4 / 5)
    assert layout(Mesh(cube().vertices, cube().faces[2:]))["boundary_edge_ratio"] == pytest.approx(4 / 17)
    soup = triangles(*cube().vertices[cube().faces].tolist())
    assert layout(soup) == layout(cube())  # vertices of one place are one


def test_an_oblong_loses_by_its_sides_and_a_rhombus_by_its_angles():
    oblong = Mesh(square().vertices * [2, 1, 1], square().faces)
    assert layout(oblong)["topology_score"] == pytest.approx(0.4 + 0.2 + 0.3 * 0.5 + 0.1)
    # Two equilateral triangles: angles of 60 and 120 degrees, 30 of 90 off.
    high = np.sqrt(3) / 2
    rhombus = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1.5, high, 0], [0.5, high, 0]]), np.array([[0, 1, 3], [1, 2, 3]]))
    figures = layout(rhombus)
    assert figures["topology_score"] == pytest.approx(0.4 + 0.2 * (1 - 30 / 90) + 0.3 + 0.1)
    assert figures["aspect"] == pytest.approx(1)


def test_neighbours_of_other_sizes_are_less_consistent():
    # A square beside an oblong of three times its size: sides 1 and 1/3, areas 1/3 of one another.
    at = np.array([[0, 0, 0], [1, 0, 0], [4, 0, 0], [0, 1, 0], [1, 1, 0], [4, 1, 0]], np.float64)
    faces = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]])
    assert layout(Mesh(at, faces))["topology_score"] == pytest.approx(0.4 + 0.2 + 0.3 * (1 + 1 / 3) / 2 + 0.1 / 3)


def test_what_does_not_pair():
    assert layout(triangles([[0, 0, 0], [1, 0, 0], [0, 1, 0]]))["topology_score"] == 0
    bent = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]], np.float64)  # two right-angled walls
    assert layout(Mesh(bent, np.array([[0, 1, 2], [1, 3, 2]])))["quad_ratio"] == 0
    arrow = np.array([[0, 0, 0], [2, 1, 0], [0.5, 1, 0], [0, 3, 0]], np.float64)  # flat, but not convex
    assert layout(Mesh(arrow, np.array([[0, 1, 2], [0, 2, 3]])))["quad_ratio"] == 0
    three = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]], np.float64),
                 np.array([[0, 1, 2], [0, 2, 3], [1, 4, 2]]))  # fmt: skip
    assert layout(three)["quad_ratio"] == pytest.approx(2 / 3)


def test_turning_faces_over_changes_nothing():
    turned = Mesh(cube().vertices, np.where(np.arange(12)[:, None] % 2, cube().faces[:, ::-1], cube().faces))
    assert layout(turned) == pytest.approx(layout(cube()))


def test_a_grid_pairs_along_its_cells():
    mesh = grid(4)
    quads = pair_triangles(mesh)
    assert len(quads.faces) == 16
    assert topology_score(mesh, quads) == pytest.approx(1)


def test_no_faces():
    figures = layout(join(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))))
    assert (figures["topology_score"], figures["boundary_edge_ratio"]) == (0, None)
