"""What procedural shapes are modelled with: primitives, edits and triangulation, checked by volume and topology."""

import math

import numpy as np
import pytest

from core.data.shapes.assemble import finish
from core.data.shapes.primitives import (
    BACK,
    BOTTOM,
    FRONT,
    LEFT,
    RIGHT,
    TOP,
    ball,
    box,
    cells,
    facade,
    lathe,
    loft,
    plate,
    polygon,
    prism,
    rectangle,
    sheet,
    slab,
    soft_box,
    stack,
    star,
    sweep,
    symmetric,
)
from core.data.shapes.surface import Surface, around, both, four, join
from core.data.shapes.triangulate import cut_ears, triangulate, weld


def triangles(surface: Surface, style: str = "strip") -> tuple[np.ndarray, np.ndarray]:
    """Welded points (V, 3) and triangles (F, 3)."""
    points, index = weld(surface.points, 1e-5)
    welded = Surface(points, index[surface.quads], tuple(index[ngon] for ngon in surface.ngons))
    return points, triangulate(welded, np.zeros(len(surface.quads) + len(surface.ngons)), style)[0]


def volume(surface: Surface, style: str = "strip") -> float:
    points, faces = triangles(surface, style)
    a, b, c = points[faces].swapaxes(0, 1)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def edge_counts(surface: Surface) -> np.ndarray:
    """How many faces each edge has."""
    faces = triangles(surface)[1]
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)[1]


def euler(surface: Surface) -> int:
    """Vertices - edges + faces: 2 for a closed body, 0 for one with a handle."""
    faces = triangles(surface)[1]
    return len(np.unique(faces)) - len(edge_counts(surface)) + len(faces)


def is_closed(surface: Surface) -> bool:
    return bool((edge_counts(surface) == 2).all())


def test_faces_of_a_box_look_where_their_names_say():
    body = box(2, 3, 4)
    corners = body.points[body.quads]
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    expected = {
        RIGHT: (1, 0, 0),
        LEFT: (-1, 0, 0),
        TOP: (0, 1, 0),
        BOTTOM: (0, -1, 0),
        FRONT: (0, 0, 1),
        BACK: (0, 0, -1),
    }
    for face, direction in expected.items():
        np.testing.assert_allclose(normal[face], direction, atol=1e-12)
    assert corners[:, :, 1].min() == 0


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        (box(2, 3, 4), 24),
        (box(2, 3, 4).mirror("z").turn("x", 30).move(1, 2, 3), 24),
        (soft_box(2, 2, 2, 0.5), 8 - 2 * (0.5 * 4 - (0.5 / 3) * (4 + 1 + 2))),
        (prism(rectangle(2, 2), 3, 0), 4),
        (prism(polygon(6), 2), 3 * math.sqrt(3)),
        (lathe([(1, 0), (1, 2)], 4), 4),
        (slab([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)], 2), 6),
        (slab(symmetric([(1, 0), (1, 1), (0, 2)]), 1), 3),
        (stack([rectangle(2, 2), rectangle(2, 2)], [0, 1]), 4),
        (sweep([(0, 0, 0), (0, 1, 0), (0, 3, 0)], rectangle(1, 2)), 6),
        (sweep([(0, 0, 0), (1, 0, 0), (5, 0, 0)], rectangle(1, 1)), 5),
        (facade([0, 1, 3], [0, 1, 2, 4], 2), 24),
        (box(2, 3, 4).taper(0.5), 3 * (8 + 2 + 4) / 3),
        (box(1, 1, 1).slant(0.7, 0.3), 1),
        (both(box(1, 1, 1).move(x=3)), 2),
        (four(box(1, 1, 1), 2, 2), 4),
        (around(box(1, 1, 1).move(x=3), 5), 5),
    ],
)
@pytest.mark.parametrize("style", ["strip", "fan"])
def test_closed_outward_bodies(surface, expected, style):
    assert is_closed(surface)
    assert volume(surface, style) == pytest.approx(expected)


def test_ball_sizes():
    for level, count in ((0, 20), (1, 80), (2, 320)):
        assert len(triangles(ball(1, level))[1]) == count
        assert is_closed(ball(1, level))
    assert volume(ball(2, 2)) == pytest.approx(4 / 3 * math.pi * 8, rel=0.1)


def test_a_pointed_end_is_one_vertex():
    cone = lathe([(1, 0), (0, 1)], 7)
    faces = triangles(cone)[1]
    assert len(np.unique(faces)) == 8
    assert len(faces) == 7 + 5
    moved = cone.with_points(cone.points + np.arange(len(cone.points))[:, None] * 1e-3)  # uneven, still closed
    assert is_closed(moved)


def test_a_turned_ring_is_a_torus():
    ring = lathe([(2, -0.5), (2, 0.5), (1, 0.5), (1, -0.5)], 8, closed=True)
    assert is_closed(ring)
    assert euler(ring) == 0
    assert volume(ring) == pytest.approx(polygon_area(8) * (4 - 1))


def polygon_area(sides: int) -> float:
    return sides / 2 * math.sin(2 * math.pi / sides)


def test_a_hollow_vessel_holds_its_wall_only():
    mug = lathe([(1, 0), (1, 1), (0.8, 1), (0.8, 0.2)], 12)
    assert volume(mug) == pytest.approx(polygon_area(12) * (1 - 0.64 * 0.8))


def test_extrude_adds_and_removes_volume():
    body = box(2, 2, 2)
    assert volume(body.extrude(FRONT, 1)) == pytest.approx(12)
    assert volume(body.extrude(TOP, -0.5)) == pytest.approx(6)
    assert volume(body.inset(TOP, 0.5)) == pytest.approx(8)
    grown = body.inset(RIGHT, 0.5).extrude(RIGHT, 3)
    assert volume(grown) == pytest.approx(11)
    assert is_closed(grown)


def test_a_bridge_makes_one_body_with_a_handle():
    wall = lathe([(1, 0), (1, 1), (1, 2), (1, 3)], 6)
    mug = wall.inset(0, 0.2).inset(12, 0.2).bridge(0, 12, steps=4)
    assert is_closed(mug)
    assert euler(mug) == 0
    assert volume(mug) > volume(wall)


def test_cells_share_edges_across_corners():
    solid = np.zeros((2, 1, 2), dtype=bool)
    solid[0, 0, 0] = solid[1, 0, 1] = True
    pair = cells([0, 1, 3], [0, 2], [0, 1, 2], solid)
    assert volume(pair) == pytest.approx(2 + 4)
    assert sorted(np.unique(edge_counts(pair), return_counts=True)[1].tolist())[0] == 1  # the one edge with four faces
    assert edge_counts(pair).max() == 4
    solid[:] = True
    assert is_closed(cells([0, 1, 3], [0, 2], [0, 1, 2], solid))


def test_sheets_are_open_and_look_the_way_they_say():
    points, faces = triangles(sheet(2, 3, 4, 5))
    a, b, c = points[faces].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    assert len(faces) == 40
    assert (normal[:, 1] > 0).all()
    assert (edge_counts(sheet(2, 3, 4, 5)) == 1).sum() == 18
    points, faces = triangles(plate(star(5, 0.4)))
    a, b, c = points[faces].swapaxes(0, 1)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_open_ends_and_dropped_faces():
    assert (edge_counts(lathe([(1, 0), (1, 1)], 6, bottom=False, top=False)) == 1).sum() == 12
    assert (edge_counts(box(1, 1, 1).drop(TOP, BOTTOM)) == 1).sum() == 8


def test_loft_takes_rings_of_any_size():
    ring = np.array([(1.0, 0, 0), (0, 0, -1), (-1, 0, 0), (0, 0, 1), (0.9, 0, 0.9)])
    body = loft(np.stack([ring, ring + (0, 1, 0), ring * 0.5 + (0, 2, 0)]))
    assert is_closed(body)
    assert volume(body) > 0


def test_quads_take_their_shorter_diagonal():
    kite = Surface(np.array([(0, 0, 0), (1, -0.2, 0), (5, 0, 0), (1, 0.2, 0)], dtype=float), np.array([[0, 1, 2, 3]]))
    faces = triangulate(kite, np.zeros(1))[0]
    assert all({1, 3} <= set(face) for face in faces.tolist())


def test_triangles_keep_the_owner_of_their_polygon():
    body = join(box(1, 1, 1), prism(polygon(7), 1).move(x=3))
    owner = np.array([0] * 6 + [1] * 7 + [1, 1])
    faces, part = triangulate(body, owner)
    assert (body.points[faces][:, :, 0].min(axis=1) > 1.5).tolist() == (part == 1).tolist()


def random_star(rng: np.random.Generator, corners: int) -> np.ndarray:
    """A simple polygon around the origin, as uneven as it may be."""
    angle = (np.arange(corners) + rng.random(corners) * 0.9) * 2 * np.pi / corners
    radius = rng.uniform(0.1, 1, corners)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_ears_fill_a_concave_polygon_exactly():
    rng = np.random.default_rng(0)
    for corners in [5, 6, 8, 11, 16, 24] * 5:
        outline = random_star(rng, corners)
        ears = cut_ears(outline)
        assert ears.shape == (corners - 2, 4)
        parts = [area(outline[ear[:3]]) for ear in ears]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(area(outline))


def test_ears_with_collinear_corners():
    outline = np.array([(0, 0), (1, 0), (2, 0), (3, 0), (3, 2), (2, 2), (0, 2), (0, 1)], dtype=float)
    parts = [area(outline[ear[:3]]) for ear in cut_ears(outline)]
    assert min(parts) > 0.1
    assert sum(parts) == pytest.approx(6)


def test_a_polygon_that_crosses_itself_has_no_ears():
    assert cut_ears(np.array([(0, 0), (2, 0), (0, 1), (2, 1), (1, -1)], dtype=float)) is None


def test_finish_welds_centres_and_keeps_one_of_two_coincident_faces():
    wedge = prism(polygon(3), 2)
    mesh, part = finish(join(wedge, wedge.move(y=2)), np.repeat([0, 1], 5), "strip")
    assert mesh.vertices.shape == (9, 3)
    assert len(mesh.faces) == len(part) == 2 * 8 - 1
    np.testing.assert_allclose(mesh.vertices.max(axis=0)[1], 0.5)
    np.testing.assert_allclose(mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0), 0, atol=1e-7)
