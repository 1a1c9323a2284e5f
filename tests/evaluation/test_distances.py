"""Distances of shapes whose distance is known."""

import numpy as np
import pytest
from known import CUBE_FACES, cube, grid, join, square

from core.data.mesh import Mesh
from core.data.metrics import chamfer as quick_chamfer
from core.data.metrics import chamfer_distance, chamfer_of_points
from core.data.orient import flip_faces
from core.evaluation.distances import compare, edge_chamfer, f_score
from core.evaluation.surface import Frame, Surface, align_box, content_seed, same

POINTS = 10_000


def surface(mesh: Mesh, seed: int = 0) -> Surface:
    return Surface(mesh, POINTS, seed)


def spacing(area: float) -> float:
    """Mean distance from a random point to the nearest of POINTS others on a flat surface."""
    return 0.5 * np.sqrt(area / POINTS)


def test_chamfer_is_the_mean_of_both_directions():
    assert chamfer_distance(np.array([1.0, 3.0]), np.array([4.0])) == 3.0
    p, q = np.array([[0.0, 0, 0]]), np.array([[1.0, 0, 0], [3.0, 0, 0]])
    assert chamfer_of_points(p, q) == pytest.approx((1 + 2) / 2)  # to the nearest: 1; back: 1 and 3


def test_two_planes_one_above_the_other():
    height = 0.2
    figures = compare(surface(square(height), 1), surface(square(), 2))
    expected = np.sqrt(height**2 + spacing(1) ** 2)
    assert figures["chamfer"] == pytest.approx(expected, rel=0.01)
    assert figures["hausdorff"] == pytest.approx(height, rel=0.05)
    assert figures["f_score_1"] == figures["f_score_2"] == 0
    assert figures["normal_consistency"] == figures["normal_consistency_abs"] == pytest.approx(1)
    assert figures["edge_chamfer"] == pytest.approx(height, rel=0.01)


def test_samples_of_one_surface_are_as_far_apart_as_their_spacing():
    figures = compare(surface(square(), 1), surface(square(), 2))
    assert figures["chamfer"] == pytest.approx(spacing(1), rel=0.1)
    assert compare(surface(square(), 1), surface(square(), 1))["chamfer"] == 0


def test_a_cube_within_a_larger_one():
    # From the inner cube each point is 0.5 from the outer. From the outer one, the mean distance over its faces.
    figures = compare(surface(cube(1), 1), surface(cube(2), 2))
    at = (np.arange(400) + 0.5) / 200 - 1
    x, z = np.meshgrid(at, at)
    outside = [np.maximum(np.abs(v) - 0.5, 0) for v in (x, z)]
    back = np.sqrt(outside[0] ** 2 + outside[1] ** 2 + 0.25).mean()
    assert figures["chamfer"] == pytest.approx((0.5 + back) / 2, rel=0.01)
    assert figures["hausdorff"] == pytest.approx(np.sqrt(3) / 2, rel=0.02)


def test_normals_that_point_the_other_way_agree_but_for_their_sign():
    turned = Mesh(square().vertices, flip_faces(square().faces))
    figures = compare(surface(turned, 1), surface(square(), 2))
    assert figures["normal_consistency"] == pytest.approx(-1)
    assert figures["normal_consistency_abs"] == pytest.approx(1)


def test_f_score_is_the_harmonic_mean():
    there, back = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0])
    assert f_score(there, back, 0.5) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert f_score(np.ones(3), np.ones(3), 0.5) == 0
    missing = compare(surface(square(), 1), surface(join(square(), square(5)), 2))
    assert missing["f_score_2"] == pytest.approx(2 * 1 * 0.5 / 1.5, abs=0.02)  # all that is there is right


def test_edges_are_where_the_surface_bends_or_ends():
    flat = surface(grid(4))
    assert np.allclose(np.minimum(flat.edge_points[:, [0, 2]], 1 - flat.edge_points[:, [0, 2]]).min(axis=1), 0)
    box = surface(cube())
    assert (np.isclose(np.abs(box.edge_points), 0.5).sum(axis=1) >= 2).all()  # on the twelve edges, no diagonals
    flipped = CUBE_FACES.copy()
    flipped[::2] = flip_faces(flipped[::2])  # however the faces are wound
    turned = surface(Mesh(cube().vertices, flipped))
    assert (np.isclose(np.abs(turned.edge_points), 0.5).sum(axis=1) >= 2).all()


def test_edges_that_only_one_has_are_as_wrong_as_can_be():
    import trimesh

    ball = trimesh.creation.icosphere(4)
    smooth = surface(Mesh(np.asarray(ball.vertices), np.asarray(ball.faces)))
    assert len(smooth.edge_points) == 0
    assert edge_chamfer(smooth, surface(cube())) == 1
    assert edge_chamfer(smooth, smooth) is None


def test_lengths_are_shares_of_the_diagonal():
    big = cube(10, center=(100, -50, 7))
    frame = Frame.of(big)
    assert frame.diagonal == pytest.approx(10 * np.sqrt(3))
    moved = Mesh(big.vertices + [0, 0.2 * frame.diagonal, 0], big.faces)
    figures = compare(surface(frame.apply(moved), 1), surface(frame.apply(big), 2))
    assert figures["hausdorff"] == pytest.approx(0.2, rel=0.05)


def test_a_normalised_mesh_can_be_brought_back():
    true = Mesh(cube(3, center=(9, 9, 9)).vertices * [1, 2, 1], CUBE_FACES)
    normalised = Mesh((true.vertices - [9, 18, 9]) / 6, CUBE_FACES)
    assert np.allclose(align_box(normalised, true).vertices, true.vertices)
    with pytest.raises(ValueError, match="longest side is 0"):
        align_box(Mesh(np.zeros((3, 3)), CUBE_FACES[:1] * 0), true)


def test_seeds_come_from_content():
    assert content_seed(cube()) == content_seed(cube())
    assert content_seed(cube()) != content_seed(cube(2)) != content_seed(cube(2), "again")
    nudged = Mesh(cube().vertices + 1e-7, CUBE_FACES)
    assert same(nudged, cube())
    assert not same(Mesh(cube().vertices + 1e-3, CUBE_FACES), cube())
    assert not same(Mesh(cube().vertices, CUBE_FACES[::-1]), cube())


def test_the_quick_distance_of_training_is_the_same_formula():
    exact = compare(surface(square(0.2), 1), surface(square(), 2))["chamfer"]
    assert quick_chamfer(square(0.2), square()) == pytest.approx(exact, rel=0.02)
