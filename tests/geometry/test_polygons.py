"""Polygons cut into triangles without gaps, overlaps or lost corners."""

import numpy as np
import pytest

from core.geometry.files.polygons import fan, strip, triangulate, with_holes


def areas(vertices: np.ndarray, faces: np.ndarray, normal: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a) @ normal / 2


def star_shaped(rng: np.random.Generator, corners: int) -> np.ndarray:
    """A polygon that any ray from its middle leaves once, with deep notches, in the plane z = 0."""
    angle = (np.arange(corners) + rng.uniform(0, 0.4, corners)) * (2 * np.pi / corners)
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * rng.uniform(0.1, 1, (corners, 1))


def shoelace(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


@pytest.mark.parametrize("seed", range(30))
def test_concave_polygons_are_covered_exactly_once(seed):
    rng = np.random.default_rng(seed)
    sizes = np.array([3, 4, 4, 5, 8, 13, 40, 3])
    flat = [star_shaped(rng, int(size)) for size in sizes]
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    vertices = np.concatenate(flat) @ turn.T + rng.normal(size=3) * 100
    faces = triangulate(vertices, np.arange(sizes.sum()), sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)[faces]
    assert (owner == owner[:, :1]).all()
    assert (np.diff(owner[:, 0]) >= 0).all()  # in the order of the polygons
    assert (np.bincount(owner[:, 0]) == sizes - 2).all()
    found = areas(vertices, faces, turn[:, 2])
    assert (found > 0).all()  # which, with the right sum, means: no overlap
    for k, polygon in enumerate(flat):
        assert found[owner[:, 0] == k].sum() == pytest.approx(shoelace(polygon), rel=1e-9)
        assert set(faces[owner[:, 0] == k].ravel()) == set(np.flatnonzero(np.repeat(np.arange(8), sizes) == k))


def test_a_comb_and_a_spiral():
    teeth = [(k, (k % 2) * 5) for k in range(21)]
    comb = np.array([*teeth, (20, -1), (0, -1)], float)[::-1]
    turns = np.linspace(0, 6 * np.pi, 60)
    out = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (1 + turns[:, None])
    spiral = np.concatenate([out, (out * (1 - 0.5 / (1 + turns[:, None])))[::-1]])
    for flat in (comb, spiral):
        vertices = np.pad(flat, ((0, 0), (0, 1)))
        sign = np.sign(shoelace(vertices))
        faces = triangulate(vertices, np.arange(len(flat)), np.array([len(flat)]))
        found = areas(vertices, faces, np.array([0, 0, sign]))
        assert (found > 0).all()
        assert found.sum() == pytest.approx(abs(shoelace(vertices)), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_holes_joined_to_the_rim(shift):
    rim = [(0, 0), (10, 0), (10, 10), (0, 10)]
    places = [(x, y + shift * x / 3) for x in (1, 4, 7) for y in (2, 6)]
    holes = [[(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)] for x, y in places]
    vertices = np.pad(np.array([*rim, *(corner for hole in holes for corner in hole)], float), ((0, 0), (0, 1)))
    rings = [np.arange(4)] + [(np.arange(4, 8) + 4 * k)[:: 1 if k % 2 else -1] for k in range(6)]
    ring = with_holes(vertices, rings)
    faces = triangulate(vertices, ring, np.array([len(ring)]))
    found = areas(vertices, faces, np.array([0, 0, 1.0]))
    assert (found >= -1e-9).all()
    assert found.sum() == pytest.approx(100 - 6)
    middles = vertices[faces].mean(axis=1)[found > 1e-9]
    in_hole = [((middles > vertices[4 + 4 * k]) & (middles < vertices[6 + 4 * k]))[:, :2].all(axis=1) for k in range(6)]
    assert not np.any(in_hole)


def test_degenerate_polygons_and_small_ones():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [0, 1, 0]], float)
    sizes = np.array([4, 1, 2, 3, 0])
    faces = triangulate(vertices, np.array([0, 1, 2, 3, 4, 3, 4, 0, 1, 4]), sizes)
    assert faces.shape == (3, 3)
    assert faces[2].tolist() == [0, 1, 4]
    with pytest.raises(ValueError, match="index 7"):
        triangulate(vertices, np.array([0, 1, 7]), np.array([3]))
    many = np.resize(star_shaped(np.random.default_rng(0), 999), (10001, 3))
    with pytest.raises(ValueError, match="10001 corners"):
        triangulate(many, np.arange(10001), np.array([10001]))


def test_strips_and_fans_face_one_way():
    assert strip(5).tolist() == [[0, 1, 2], [1, 3, 2], [2, 3, 4]]
    assert fan(5).tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4]]
    assert strip(1).shape == fan(2).shape == (0, 3)
