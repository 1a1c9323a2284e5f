"""Repair: each step on meshes broken in one way, of which the right result is known."""

import numpy as np
import pytest

from core.geometry.distance import point_triangle_distances
from core.geometry.finish import RepairConfig, WorkingMesh, close_surface, is_closed_manifold, repair
from core.geometry.finish.bridges import fill_bridges
from core.geometry.finish.close import cut_apart
from core.geometry.finish.cut import Weights, cut_faces
from core.geometry.finish.ears import fill_ears
from core.geometry.finish.holes import fill_holes
from core.geometry.finish.loops import LONGEST, find_loops, triangulate
from core.geometry.finish.snap import snap_vertices
from core.geometry.finish.weld import Pairs, match, weld_open_edges

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
CUBE = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5],  # x
        [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],  # y
        [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],  # z
    ]
)  # fmt: skip
OPEN_BOX = CUBE[2:]  # without the side x = 0


def cube_points(sides: str = "abcdef", count: int = 2000, seed: int = 0) -> np.ndarray:
    """Points on sides of the unit cube: a, b at x = 0, 1; c, d of y; e, f of z."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(["abcdef".index(side) for side in sides], count)
    points = rng.random((count, 3))
    points[np.arange(count), chosen // 2] = chosen % 2
    return points


def tube(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A wall of `count` quads about the z axis, open above and below."""
    angle = np.arange(count) * 2 * np.pi / count
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    k, after = np.arange(count), (np.arange(count) + 1) % count
    faces = [np.stack([k, after, after + count], axis=1), np.stack([k, after + count, k + count], axis=1)]
    return np.concatenate([ring, ring + [0, 0, 1]]), np.concatenate(faces)


# ---- weld


def test_a_seam_is_welded_and_a_wide_gap_is_not():
    for gap, closed in ((0.03, True), (0.3, False)):
        apart = CORNERS.copy()
        half = np.isin(np.arange(12), [0, 1])  # the side x = 0 with vertices of its own, too far out
        vertices = np.concatenate([apart, apart[:4] - [gap, 0, 0]])
        faces = np.where(half[:, None], CUBE + np.where(CUBE < 4, 8, 0), CUBE)
        mesh = WorkingMesh(vertices, faces)
        assert mesh.defects() == (8, 0)
        assert weld_open_edges(mesh, 0.06) == (4 if closed else 0)
        assert mesh.defects() == ((0, 0) if closed else (8, 0))
        assert not mesh.crossings


def test_the_assignment_is_the_best_of_all_not_the_cheapest_first():
    # Of four edges the cheapest pair, 1-2, would leave 0 and 3 alone: together 0.1 + 2 stay alone > 0.4 + 0.4.
    rows = [(1, 2, 0.1), (0, 1, 0.4), (2, 3, 0.4)]
    first, second, cost = (np.array(x) for x in zip(*rows, strict=True))
    chosen = match(Pairs(first, second, np.ones(3, bool), cost), 4)
    assert sorted((int(first[k]), int(second[k])) for k in chosen) == [(0, 1), (2, 3)]


# ---- fill


def test_a_hole_is_filled_where_points_are_and_stays_where_none_are():
    for sides, faces in (("abcdef", 12), ("bcdef", 10)):
        mesh = WorkingMesh(CORNERS, OPEN_BOX, cube_points(sides))
        assert fill_holes(mesh, 0.7) == faces - 10
        assert mesh.defects() == ((0, 0) if faces == 12 else (4, 0))


def test_no_more_faces_than_may_be():
    for most, faces in ((11, 10), (12, 12), (5, 10)):
        mesh = WorkingMesh(CORNERS, OPEN_BOX, cube_points(), most_faces=most)
        repair(mesh, RepairConfig(), 0.0)
        assert len(mesh.faces) == (faces if most != 11 else 11)


def test_without_points_short_rims_alone_are_filled():
    mesh = WorkingMesh(CORNERS, OPEN_BOX)
    assert fill_holes(mesh, 0.7) == 0
    vertices, faces = tube(8)
    small = WorkingMesh(np.concatenate([vertices * [0.02, 0.02, 1]]), faces)
    assert fill_holes(small, 0.7) == 12
    assert small.defects() == (0, 0)


@pytest.mark.parametrize("count", [5, LONGEST, LONGEST + 11])
def test_rims_of_any_length_are_filled_without_points_at_demand_0(count):
    vertices, faces = tube(count)
    mesh = WorkingMesh(vertices, faces)
    assert fill_holes(mesh, 0) == 2 * (count - 2)
    assert (mesh.defects(), mesh.crossings) == ((0, 0), set())


def test_no_patch_goes_through_what_is_there():
    spike = np.array([[-0.5, 0.4, 0.4], [0.5, 0.5, 0.5], [-0.5, 0.5, 0.6], [-0.5, 0.6, 0.3]])  # through the side x = 0
    vertices = np.concatenate([CORNERS, spike])
    faces = np.concatenate([OPEN_BOX, 8 + np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [0, 2, 3]])])
    mesh = WorkingMesh(vertices, faces, cube_points())
    assert fill_holes(mesh, 0.7) == 0
    assert (mesh.defects(), mesh.crossings) == ((4, 0), set())


def test_a_vertex_on_an_edge_closes_by_splitting_the_face_beyond():
    # The face (0, 1, 3) of the cube is cut in two at the middle of its edge 0-1; the face beyond knows nothing of it.
    vertices = np.concatenate([CORNERS, [[0, 0, 0.5]]])
    faces = np.concatenate([CUBE[1:], [[0, 8, 3], [8, 1, 3]]])
    mesh = WorkingMesh(vertices, faces)
    assert mesh.defects() == (3, 0)
    assert fill_holes(mesh, 0.7) == 1
    assert mesh.defects() == (0, 0)


def test_rims_that_meet_at_a_vertex_are_told_apart():
    edges = np.array([[0, 1], [1, 2], [2, 0], [0, 3], [3, 4], [4, 0]])
    at = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -2, 0]], np.float64)
    assert [sorted(ring) for ring in find_loops(edges, at)] == [[0, 1, 2], [0, 3, 4]]


def test_the_triangulation_is_the_cheapest():
    def cost(triangles: np.ndarray) -> np.ndarray:  # of a square the diagonal 1-3 is cheap
        return np.where((triangles == [0, 1, 3]).all(axis=1) | (triangles == [1, 2, 3]).all(axis=1), 1.0, 5.0)

    assert sorted(triangulate(4, cost, lambda *_: 0.0)) == [(0, 1, 3), (1, 2, 3)]
    assert triangulate(4, lambda t: np.full(len(t), np.inf), lambda *_: 0.0) is None


def half_tubes() -> tuple[np.ndarray, np.ndarray]:
    """A tube of 16 quads about z in two shells of 6 quads each, with two gaps of two quads between them."""
    vertices, faces = tube(16)
    quad = np.concatenate([np.arange(16), np.arange(16)])
    return vertices, faces[~np.isin(quad % 8, [0, 1])]


def tube_points(count: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(0)
    angle = rng.random(count) * 2 * np.pi
    return np.stack([np.cos(angle), np.sin(angle), rng.random(count)], axis=1)


def test_a_gap_between_shells_is_bridged_and_then_closed_by_ears():
    vertices, faces = half_tubes()
    mesh = WorkingMesh(vertices, faces, tube_points(), 0.1)
    assert mesh.defects() == (2 * (2 * 6 + 2), 0)
    assert fill_ears(mesh, 0.6) == 0  # there is no corner between the shells
    assert fill_bridges(mesh, 0.6) > 0
    assert not mesh.crossings
    opened, _ = mesh.open_edges()
    # What stays open is the two rims of the tube, above and below; no vertex is left out that a shell has.
    assert len(find_loops(opened, mesh.vertices)) == 2
    assert len(np.unique(mesh.vertices[opened.reshape(-1), 2])) == 2


def test_ears_need_points():
    # A notch in a fan: two faces of a square's four about its middle.
    at = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]])
    three = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4]])
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.random((2000, 2)), np.zeros(2000)])
    for some, count in ((points, 1), (points[points[:, 0] > points[:, 1].clip(0.25)], 0)):
        mesh = WorkingMesh(at, three, some)
        assert fill_ears(mesh, 0.6) == count
        assert len(mesh.open_edges()[0]) == (4 if count else 5)
    filled = WorkingMesh(at, three, points)
    fill_ears(filled, 0.6)
    assert np.cross(*(at[filled.faces[-1][[1, 2]]] - at[filled.faces[-1][0]]))[2] > 0  # wound as its neighbours


# ---- cut


def test_a_face_through_a_cube_is_cut_and_what_it_left_stays_whole():
    vertices = np.concatenate([CORNERS, [[-0.5, 0.5, 0.5], [1.5, 0.4, 0.5], [1.5, 0.6, 0.5]]])
    mesh = WorkingMesh(vertices, np.concatenate([CUBE, [[8, 9, 10]]]), cube_points())
    assert len(mesh.crossings) > 0
    assert cut_faces(mesh, 0.7) == 1
    assert (mesh.defects(), len(mesh.faces), mesh.crossings) == ((0, 0), 12, set())


def test_a_fin_at_an_edge_of_two_faces_is_cut():
    vertices = np.concatenate([CORNERS, [[-0.4, -0.4, 0.5]]])
    mesh = WorkingMesh(vertices, np.concatenate([CUBE, [[0, 1, 8]]]), cube_points())
    assert mesh.defects() == (2, 1)
    assert cut_faces(mesh, 0.7) == 1
    assert mesh.defects() == (0, 0)


def test_a_face_that_covers_points_is_not_cut_for_nothing():
    # Two sheets that cross, with points on both: either is worth more than the crossing.
    sheet = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)
    upright = np.array([[0, 0.5, -0.5], [1, 0.5, -0.5], [1, 0.5, 0.5], [0, 0.5, 0.5]])
    rng = np.random.default_rng(0)
    flat = np.column_stack([rng.random((500, 2)), np.zeros(500)])
    points = np.concatenate([flat, np.column_stack([rng.random(500), np.full(500, 0.5), rng.random(500) - 0.5])])
    two = np.array([[0, 1, 2], [0, 2, 3]])
    for uncovered, stays in ((10.0, True), (0.0, False)):
        mesh = WorkingMesh(np.concatenate([sheet, upright]), np.concatenate([two, two + 4]), points)
        assert mesh.crossings
        assert (cut_faces(mesh, 0.7, Weights(uncovered=uncovered)) == 0) == stays


# ---- snap


def test_snapping_undoes_the_grid_within_half_a_step():
    step, angle = 1 / 16, 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    true = (CORNERS - 0.5) @ turn.T
    rough = (np.floor(true / step) + 0.5) * step
    mesh = WorkingMesh(rough, CUBE, (cube_points() - 0.5) @ turn.T)
    assert snap_vertices(mesh, mesh.unit_length(step)) == 8
    fine = mesh.result()[0]
    assert np.abs(fine - rough).max() <= step / 2 + 1e-6
    assert np.abs(fine - true).max() < 0.5 * np.abs(rough - true).max()


def test_no_points_no_move():
    mesh = WorkingMesh(CORNERS, CUBE)
    assert snap_vertices(mesh, 0.1) == 0
    assert repair(mesh, RepairConfig(), 0.1) == {"weld": 0, "fill": 0}


# ---- close


def moebius(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    angle = np.arange(count) * 2 * np.pi / count
    out = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    across = 0.3 * (np.cos(angle / 2)[:, None] * out + np.sin(angle / 2)[:, None] * np.array([0, 0, 1]))
    k = np.arange(count)
    a, b, c, d = k, (k + 1) % count, k + count, (k + 1) % count + count
    b, d = np.where(k == count - 1, count, b), np.where(k == count - 1, 0, d)  # joined with a half turn
    return np.concatenate([out + across, out - across]), np.concatenate(
        [np.stack([a, b, d], 1), np.stack([a, d, c], 1)]
    )


BROKEN = {
    "cube": (CORNERS, CUBE),
    "open box": (CORNERS, OPEN_BOX),
    "sheet": (CORNERS, CUBE[:2]),
    "fin": (np.concatenate([CORNERS, [[-0.4, -0.4, 0.5]]]), np.concatenate([CUBE, [[0, 1, 8]]])),
    "two faces at a vertex": (CORNERS, np.array([[0, 1, 3], [0, 4, 6]])),
    "one side": moebius(),
    "flat fold": (CORNERS[:4] + [0, 0, 0], np.array([[0, 1, 3], [3, 1, 2]])),
}


@pytest.mark.parametrize("name", BROKEN)
def test_close_gives_a_closed_manifold_of_anything(name):
    vertices, faces = BROKEN[name]
    if name != "cube":
        assert not is_closed_manifold(vertices, faces)
    vertices, faces = close_surface(WorkingMesh(vertices, faces), 0.7)
    assert is_closed_manifold(vertices, faces)
    # Also once vertices of one place are one, as those who read the file make them.
    place = np.unique(vertices, axis=0, return_inverse=True)[1]
    sides = np.sort(np.stack([place[faces], np.roll(place[faces], -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    assert set(np.unique(sides, axis=0, return_counts=True)[1].tolist()) == {2}


def test_what_is_closed_stays_as_it_is():
    vertices, faces = close_surface(WorkingMesh(CORNERS, CUBE), 0.7)
    np.testing.assert_allclose(vertices[faces], CORNERS[CUBE], atol=1e-6)


def test_an_open_box_gets_walls_with_two_sides_and_a_filled_one_none():
    assert len(close_surface(WorkingMesh(CORNERS, OPEN_BOX, cube_points("bcdef")), 0.7)[1]) == 2 * 10 + 2 * 4
    assert len(close_surface(WorkingMesh(CORNERS, OPEN_BOX, cube_points()), 0.7)[1]) == 12


def test_fans_at_a_vertex_are_cut_apart():
    vertices, faces, piece = cut_apart(CORNERS, np.array([[0, 1, 3], [0, 4, 6], [0, 3, 2]]))
    assert len(vertices) == 7  # vertex 0 twice
    assert len(np.unique(faces)) == 7
    assert piece[0] == piece[2] != piece[1]


def test_distances_to_a_triangle_by_hand():
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float64)
    points = np.array([[0.2, 0.2, 0.5], [-3, -4, 0], [0.5, -2, 0], [1, 1, 0]], np.float64)
    expected = [0.5, 5, 2, np.sqrt(0.5)]
    np.testing.assert_allclose(point_triangle_distances(points, np.tile(triangle, (4, 1, 1))), expected)
