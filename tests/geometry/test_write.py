"""What is written has the digits that it needs where it stands."""

import numpy as np
import pytest

from core.data.mesh import Mesh, load, normalize, sample_surface, save

BALL = np.random.default_rng(0).normal(size=(60, 3))
FACES = np.arange(60, dtype=np.int32).reshape(-1, 3)
PLACES = {"map": [431_250.5, 5_412_300.25, 312.0], "origin": [0.1, 0, 0], "tiny": [1e-3, 0, 0]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("suffix", [".obj", ".ply", ".off", ".glb", ".xyz"])
def test_meshes_and_clouds_come_back_where_they_were(tmp_path, suffix, place):
    size = 1e-4 if place == "tiny" else 1.0
    vertices = BALL * size + PLACES[place]
    mesh = Mesh(vertices, FACES if suffix != ".xyz" else FACES[:0])
    save(tmp_path / f"a{suffix}", mesh)
    again = load(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(again.vertices, vertices, atol=4e-6 * size, rtol=0)
    assert again.faces.shape == mesh.faces.shape


def test_near_the_origin_files_are_as_small_as_they_can_be(tmp_path):
    save(tmp_path / "a.ply", Mesh(BALL.astype(np.float32), FACES))
    assert b"property float x" in (tmp_path / "a.ply").read_bytes()
    save(tmp_path / "a.obj", Mesh(BALL, FACES))
    assert max(map(len, (tmp_path / "a.obj").read_text().split())) <= 16


def test_the_way_back_from_the_model_s_frame_keeps_map_coordinates(tmp_path):
    far = Mesh(BALL + PLACES["map"], FACES)
    small, placement = normalize(far)
    points = sample_surface(small, 500, np.random.default_rng(0))
    save(tmp_path / "points.obj", Mesh(placement.invert(points), FACES[:0]))
    back = placement.apply(load(tmp_path / "points.obj").vertices)
    np.testing.assert_allclose(back, points, atol=1e-6)
