import multiprocessing
import time

import numpy as np
import pytest
import trimesh
from PIL import Image

from core.data import render as pictures
from core.data.camera import View, frame
from core.data.mesh import Mesh, sample_surface, save
from core.data.render import CLAY, contact_sheet, render

BACKENDS = [
    pytest.param("gl", marks=pytest.mark.skipif(not pictures._has_gl(), reason="no OpenGL through EGL here")),
    "numpy",
]
FRONT = View(azimuth=0, elevation=0)


def plates() -> Mesh:
    """A square before a smaller one, both facing +z."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(np.concatenate([square, square * 0.5 - [0, 0, 0.5]]), np.concatenate([faces, faces + 4]))


def covered(picture: np.ndarray) -> np.ndarray:
    return (picture[..., :3].min(axis=-1) < 250) if picture.shape[-1] == 3 else picture[..., 3] > 127


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_behind_is_not_drawn(backend):
    front = Mesh(plates().vertices[:4], plates().faces[:2])
    both, alone = (render(m, 96, FRONT, backend=backend, fit=front.vertices) for m in (plates(), front))
    np.testing.assert_array_equal(both, alone)
    turned = render(plates(), 96, View(azimuth=180, elevation=0), backend=backend, fit=plates().vertices)
    assert not np.array_equal(turned, alone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_edges_are_dark_lines_of_a_constant_width(backend):
    picture = render(plates(), 256, FRONT, backend=backend).astype(int)
    plain = render(plates(), 256, FRONT, backend=backend, edges=False).astype(int)
    ink = (plain - picture).max(axis=2) > 60
    column = ink[:, 88]  # crosses the lower and upper border, and the diagonal
    starts = np.flatnonzero(np.diff(column.astype(int)) == 1)
    assert len(starts) == 3
    assert 3 <= column.sum() <= 12
    assert ink[:, 100:104].sum(axis=0).max() - ink[:, 150:154].sum(axis=0).min() <= 3
    face = plain[covered(plain)]
    assert np.ptp(np.median(face, axis=0) / CLAY) < 3  # the colour asked for, at one brightness


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("view", [View(), FRONT, View(azimuth=200, elevation=90), View(azimuth=70, elevation=-60)])
def test_the_picture_is_filled_up_to_its_margin(backend, view):
    mesh = trimesh.creation.box((1, 3, 0.2))
    mesh = Mesh(np.asarray(mesh.vertices) * 1e4 + [1e6, 0, 0], np.asarray(mesh.faces, np.int32))
    shown = covered(render(mesh, 200, view, edges=False, backend=backend))
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    free = min(rows[0], columns[0], 199 - rows[-1], 199 - columns[-1])
    assert 8 <= free <= 12  # 5 % of 200


def test_the_camera_frames_every_vertex_tightly():
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = rng.normal(size=(20, 3)) * rng.uniform(0.01, 1, 3)
        camera = frame(points, View(*rng.uniform(-80, 80, 2), margin=0.1))
        clip = np.concatenate([points, np.ones((20, 1))], axis=1) @ camera.matrix().T
        ndc = clip[:, :3] / clip[:, 3:]
        assert np.abs(ndc[:, :2]).max() == pytest.approx(0.8, abs=1e-6)
        assert np.abs(ndc[:, 2]).max() < 1
        assert (clip[:, 3] > 0).all()


@pytest.mark.skipif(not pictures._has_gl(), reason="no OpenGL through EGL here")
def test_numpy_draws_what_opengl_draws(ball):
    shapes = [plates(), ball, sample_surface(ball, 60, np.random.default_rng(0))]
    for shape in shapes:
        one, other = (render(shape, 256, backend=b, transparent=True).astype(int) for b in ("gl", "numpy"))
        solid = covered(one) & covered(other)
        assert solid.sum() / (covered(one) | covered(other)).sum() > 0.9
        assert np.abs(one - other)[solid].mean() < 8


@pytest.mark.parametrize("backend", BACKENDS)
def test_faces_take_their_colours_and_the_top_is_bright(backend, box):
    colors = np.tile(np.float32([0.9, 0.1, 0.1]), (12, 1))
    red = render(box, 96, color=colors, edges=False, backend=backend)
    inside = red[covered(red)].astype(int)
    assert (inside[:, 0] > 3 * inside[:, 1]).mean() > 0.9
    above = render(box, 96, View(elevation=90), edges=False, backend=backend)[48, 48].sum()
    below = render(box, 96, View(elevation=-90), edges=False, backend=backend)[48, 48].sum()
    inside_out = Mesh(box.vertices, box.faces[:, ::-1])
    assert above >= below
    assert render(inside_out, 96, edges=False, backend=backend).astype(int)[48, 48].sum() < (
        render(box, 96, edges=False, backend=backend).astype(int)[48, 48].sum()
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_transparent_pictures_over_white_are_the_plain_ones(backend, ball):
    plain, clear = (render(ball, 96, backend=backend, transparent=t).astype(float) for t in (False, True))
    alpha = clear[..., 3:] / 255
    assert clear[0, 0, 3] == 0
    assert clear[48, 48, 3] == 255
    assert 0 < ((alpha > 0) & (alpha < 1)).mean() < 0.1
    np.testing.assert_allclose(clear[..., :3] * alpha + 255 * (1 - alpha), plain, atol=3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_are_small_discs(backend, ball):
    points = sample_surface(ball, 200, np.random.default_rng(0))
    share = covered(render(points, 128, backend=backend)).mean()
    assert 0.05 < share < 0.4
    np.testing.assert_array_equal(
        render(points, 64, backend=backend), render(Mesh(points, np.zeros((0, 3), np.int32)), 64, backend=backend)
    )


@pytest.mark.skipif(not pictures._has_gl(), reason="no OpenGL through EGL here")
def test_a_picture_takes_milliseconds(ball):
    render(ball, 512)
    best = min(_seconds(lambda: render(ball, 512)) for _ in range(5))
    assert best < 0.2  # 10 ms on an idle core


@pytest.mark.skipif(not pictures._has_gl(), reason="no OpenGL through EGL here")
def test_a_fork_of_a_process_that_draws_can_draw(ball):
    """The driver would hang there."""
    expected = render(ball, 48, backend="numpy")
    render(ball, 48)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply_async(render, (ball, 48)).get(60), expected)
        with pytest.raises(RuntimeError, match="fork"):
            pool.apply_async(render, (ball, 48), {"backend": "gl"}).get(60)


def _seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def test_without_opengl_numpy_draws_and_says_so(ball, monkeypatch, caplog):
    from core.data import gl

    def no_egl(*_):
        raise RuntimeError("cannot load libEGL")

    pictures._try_gl.cache_clear()
    monkeypatch.setattr(gl, "GLCanvas", no_egl)
    try:
        picture = render(ball, 48)
        render(ball, 48)
    finally:
        pictures._try_gl.cache_clear()
    np.testing.assert_array_equal(picture, render(ball, 48, backend="numpy"))
    assert caplog.text.count("cannot load libEGL") == 1


@pytest.mark.parametrize(
    ("mesh", "size", "reason"),
    [
        (np.zeros((0, 3)), 64, "neither faces nor points"),
        (np.zeros((5, 3)), 64, "longest side"),
        (np.array([[0, 0, 0], [1, np.nan, 0]]), 64, "finite"),
        (np.eye(3), 3, "3 pixels"),
    ],
)
def test_what_cannot_be_drawn(mesh, size, reason):
    with pytest.raises(ValueError, match=reason):
        render(mesh, size)


# ---- sheets


def test_a_sheet_places_pictures_labels_and_titles():
    red, blue = np.full((40, 40, 3), [255, 0, 0], np.uint8), np.full((40, 40, 3), [0, 0, 255], np.uint8)
    bare = contact_sheet([[red, blue], [None, red]], gap=10)
    assert bare.shape == (110, 110, 3)
    assert bare[30, 30].tolist() == [255, 0, 0]
    assert bare[30, 80].tolist() == [0, 0, 255]
    assert bare[80, 30].tolist() == [255, 255, 255]
    labelled = contact_sheet([[red, blue]], [["a name far too long for the place", "b"]], ["left", "right"], gap=10)
    assert labelled.shape[0] > 60
    below = labelled[-15:, :, 0]
    assert (below[:, 12:48] < 200).any()
    assert (below[:, 51:59] > 250).all()  # the long one stays under its own picture
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([[None]])


def test_the_command_draws_files_and_reports_broken_ones(tmp_path, box, ball, capsys, caplog):
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "box.obj", box)
    save(tmp_path / "in" / "cloud.xyz", Mesh(ball.vertices, np.zeros((0, 3), np.int32)))
    sheet = tmp_path / "sheet.png"
    assert pictures.main([str(tmp_path / "in"), "-o", str(sheet), "--size", "64", "--columns", "2"]) == 0
    with Image.open(sheet) as image:
        assert image.size[0] == 2 * 64 + 3 * 12
    (tmp_path / "in" / "bad.obj").write_text("nothing")
    assert pictures.main([str(tmp_path / "in" / "box.obj"), str(tmp_path / "in" / "bad.obj"), "-o", str(sheet)]) == 1
    assert "bad.obj" in caplog.text
    assert pictures.main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "none.png")]) == 1
    assert not (tmp_path / "none.png").exists()
    with pytest.raises(ValueError, match=r"\.xyz"):
        pictures.save_image(tmp_path / "a.xyz", np.zeros((4, 4, 3), np.uint8))
