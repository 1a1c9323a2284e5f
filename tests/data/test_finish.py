"""Finishing: each step alone and all together, on broken meshes of which the right result is known."""

import numpy as np
import pytest
import trimesh

from core.data.finish import (
    FinishConfig,
    count_holes,
    drop_degenerate,
    drop_small_components,
    finish,
    finish_counting,
)
from core.data.mesh import Mesh, sample_surface
from core.data.orient import flip_faces, orient
from core.geometry.finish import RepairConfig

EMPTY = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))


def soup(mesh: Mesh) -> Mesh:
    """As decoding gives it: each face with its own vertices."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3))


def volume(mesh: Mesh) -> float:
    return trimesh.Trimesh(*mesh, process=False).volume


def both(*parts: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces).astype(np.int32))


@pytest.mark.parametrize("flips", [0.0, 0.3, 1.0])
def test_finish_turns_a_face_soup_into_a_closed_outward_mesh(ball, flips):
    rng = np.random.default_rng(5)
    broken = soup(Mesh(ball.vertices, flip_faces(ball.faces, rng.random(320) < flips)))
    mesh = finish(broken)
    assert (len(mesh.vertices), len(mesh.faces)) == (162, 320)
    assert trimesh.Trimesh(*mesh, process=False).is_winding_consistent
    assert volume(mesh) == pytest.approx(volume(ball))
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float32, np.int32)


def test_finish_orients_each_component_by_itself(box, ball):
    parts = trimesh.util.concatenate(
        [trimesh.Trimesh(*box), trimesh.Trimesh(ball.vertices + 5, flip_faces(ball.faces), process=False)]
    )
    mesh = finish(Mesh(np.asarray(parts.vertices, np.float32), np.asarray(parts.faces, np.int32)))
    assert volume(mesh) == pytest.approx(volume(box) + volume(ball), rel=1e-5)


def test_finish_drops_duplicate_and_degenerate_faces_only(box):
    extra = np.array([[0, 1, 1], [0, 0, 0], box.faces[3][[1, 2, 0]], box.faces[5][::-1]], np.int32)
    vertices = np.concatenate([box.vertices, [[9, 9, 9]]]).astype(np.float32)  # used by no face
    dirty = Mesh(vertices, np.concatenate([box.faces, extra]))
    dirty, removed, holes, closed = finish_counting(dirty, FinishConfig(report_holes=True))
    expected = {"merge_vertices": 0, "drop_degenerate": 2, "drop_duplicates": 2, "drop_unused_vertices": 1, "orient": 0}
    assert (removed, holes, closed) == (expected | {"weld": 0, "fill": 0}, 0, None)
    assert len(dirty.vertices) == 8
    np.testing.assert_array_equal(dirty.vertices[dirty.faces], box.vertices[box.faces])


def test_faces_in_a_line_are_degenerate_at_any_scale(box):
    for scale in (1e-5, 1.0, 1e5):
        vertices = np.array([[0, 0, 0], [1, 0.3, 0], [2, 0.6, 0], [0, 1e-3, 0]], np.float32) * np.float32(scale)
        faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
        assert drop_degenerate(Mesh(vertices, faces)).faces.tolist() == [[0, 2, 3]]


def test_orient_leaves_what_has_no_inside(box):
    sheet = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2], [0, 2, 3]]))
    np.testing.assert_array_equal(orient(sheet).faces, sheet.faces)
    turned = Mesh(sheet.vertices, flip_faces(sheet.faces, np.array([False, True])))
    np.testing.assert_array_equal(orient(turned).faces, sheet.faces)
    # A Moebius strip of n quads has one side: nothing can be consistent, and nothing may be lost.
    n = 7
    angle = np.arange(n) * 2 * np.pi / n
    rim = [np.stack([(1 + w * np.cos(angle / 2)) * f(angle) for f in (np.cos, np.sin)], 1) for w in (-0.3, 0.3)]
    height = [w * np.sin(angle / 2)[:, None] for w in (-0.3, 0.3)]
    vertices = np.concatenate([np.hstack([r, h]) for r, h in zip(rim, height, strict=True)]).astype(np.float32)
    k = np.arange(n)
    nearer, farther = (k + 1) % n + n * (k == n - 1), (k + 1) % n + n * (k != n - 1)
    faces = np.concatenate([np.stack([k, nearer, k + n], 1), np.stack([nearer, farther, k + n], 1)]).astype(np.int32)
    np.testing.assert_array_equal(orient(Mesh(vertices, faces)).faces, faces)


def test_open_pieces_face_away_from_what_they_enclose(box, ball):
    walls = soup(box)  # twelve pieces of one flat face each: none has a volume of its own
    for faces in (walls.faces, flip_faces(walls.faces), flip_faces(walls.faces, np.arange(12) % 2 == 0)):
        np.testing.assert_array_equal(orient(Mesh(walls.vertices, faces)).faces, walls.faces)
    # A ball in four caps, of which one is missing.
    centers = ball.vertices[ball.faces].mean(axis=1)
    cap = (centers[:, 0] > 0) * 2 + (centers[:, 2] > 0)
    caps = [Mesh(ball.vertices, ball.faces[cap == k]) for k in range(3)]
    for turned in (True, False):
        apart = np.concatenate(
            [flip_faces(caps[0].faces), caps[1].faces + 162, flip_faces(caps[2].faces, turned) + 324]
        )
        mesh = orient(Mesh(np.tile(ball.vertices, (3, 1)), apart))
        expected = np.concatenate([c.faces + 162 * k for k, c in enumerate(caps)])
        np.testing.assert_array_equal(mesh.faces, expected)


def test_faces_of_a_torn_surface_turn_by_themselves():
    """Lid and bottom of a box joined by a twisted wall: what goes the same way round is outward above, inward below."""
    corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    vertices = np.array([[x, y, z] for z in (1, -1) for x, y in corners], np.float32)
    lid, bottom, twisted = [[0, 1, 2], [0, 2, 3]], [[4, 5, 6], [4, 6, 7]], [[1, 0, 5], [1, 5, 4]]
    walls = [[2, 1, 5], [2, 5, 6], [3, 2, 6], [3, 6, 7], [0, 3, 7], [0, 7, 4]]
    apart = np.concatenate([vertices, vertices])  # the other walls stand by themselves
    for turned in (False, True):
        faces = np.array(lid + bottom + twisted + [[v + 8 for v in face] for face in walls], np.int32)
        out = orient(Mesh(apart, flip_faces(faces, turned))).faces
        a, b, c = apart[out[:4]].transpose(1, 0, 2)
        assert np.sign(np.cross(b - a, c - a)[:, 2]).tolist() == [1, 1, -1, -1]


def test_finish_of_nothing_is_nothing():
    empty = finish(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)))
    assert (len(empty.vertices), len(empty.faces)) == (0, 0)


def test_every_step_has_a_flag(ball):
    broken = soup(Mesh(ball.vertices, flip_faces(ball.faces, np.arange(320) % 3 == 0)))
    everything = finish_counting(broken, FinishConfig())
    assert everything.removed["merge_vertices"] == 960 - 162
    assert everything.removed["orient"] in (107, 320 - 107)  # every third face, or all the others
    assert everything.holes is None
    flags = {"merge_vertices", "drop_degenerate", "drop_duplicates", "drop_unused_vertices", "orient"}
    repairs = {"weld", "fill"}  # without points to ask, the others are not taken
    assert set(everything.removed) == flags | repairs
    unrepaired = RepairConfig(**dict.fromkeys(repairs, False))
    nothing = finish_counting(broken, FinishConfig(**dict.fromkeys(flags, False), repair=unrepaired))
    assert nothing.removed == {}
    np.testing.assert_array_equal(nothing.mesh.faces, broken.faces)
    for flag in flags:
        assert set(finish_counting(broken, FinishConfig(**{flag: False})).removed) == flags - {flag} | repairs
    for flag in repairs:
        config = FinishConfig(repair=RepairConfig(**{flag: False}))
        assert set(finish_counting(broken, config).removed) == flags | repairs - {flag}


def test_the_repair_asks_the_points(box):
    # A box without the two faces of one side is closed where there are points on that side, and stays open else.
    whole, side = np.arange(12), np.flatnonzero((box.vertices[box.faces][:, :, 0] == 0.5).all(axis=1))
    torn = soup(Mesh(box.vertices, box.faces[np.setdiff1d(whole, side)]))
    points = sample_surface(box, 2000, np.random.default_rng(0))
    closed = finish_counting(torn, FinishConfig(report_holes=True), points)
    assert (closed.removed["fill"], closed.removed["cut"], closed.holes) == (2, 0, 0)
    assert volume(closed.mesh) == pytest.approx(volume(box))
    assert "snap" not in closed.removed  # no grid
    assert "snap" in finish_counting(torn, FinishConfig(), points, 1 / 64).removed
    left = finish_counting(torn, FinishConfig(report_holes=True), points[points[:, 0] < 0.49])
    assert (left.removed["fill"], left.holes) == (0, 1)


def test_close_proves_what_it_makes(box):
    torn = soup(Mesh(box.vertices, box.faces[2:]))
    mesh, _, holes, closed = finish_counting(torn, FinishConfig(close=True))
    assert (closed, holes) == (True, None)
    assert trimesh.Trimesh(*mesh).is_watertight
    assert not finish_counting(EMPTY, FinishConfig(close=True)).closed


def test_small_components_go_and_the_largest_stays(box, ball):
    crumb = Mesh(np.eye(3, dtype=np.float32) + 9, np.array([[0, 1, 2]], np.int32))
    mesh = both(crumb, box, ball, Mesh(crumb.vertices + 5, crumb.faces))
    assert [len(drop_small_components(mesh, n).faces) for n in (1, 2, 12, 13, 321)] == [334, 332, 332, 320, 320]
    finished = finish_counting(soup(mesh), FinishConfig(min_component_faces=13))
    assert finished.removed["drop_small_components"] == 14
    assert (len(finished.mesh.vertices), len(finished.mesh.faces)) == (162, 320)
    assert len(drop_small_components(EMPTY, 5).faces) == 0
    with pytest.raises(ValueError, match="--min_component_faces -1"):
        FinishConfig(min_component_faces=-1)


def test_components_that_touch_in_a_vertex_are_one():
    fan = Mesh(np.zeros((5, 3), np.float32), np.array([[0, 1, 2], [0, 3, 4]], np.int32))
    assert len(drop_small_components(fan, 2).faces) == 2


def test_holes_are_counted_by_their_rims(box, ball):
    def without(mesh, *faces):
        return Mesh(mesh.vertices, np.delete(mesh.faces, faces, axis=0))

    first = ball.faces[0]
    far = next(k for k, face in enumerate(ball.faces) if not set(face) & set(first))
    assert count_holes(ball) == 0
    assert count_holes(without(ball, 0)) == 1
    assert count_holes(without(ball, 0, far)) == 2
    assert count_holes(both(without(ball, 0), without(box, 3))) == 2
    sheet = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    assert count_holes(sheet) == 1
    assert count_holes(EMPTY) == 0
    tube = trimesh.creation.annulus(0.5, 1.0, 1.0)
    assert count_holes(Mesh(np.asarray(tube.vertices), np.asarray(tube.faces))) == 0
    assert finish_counting(soup(without(ball, 0)), FinishConfig(report_holes=True)).holes == 1
