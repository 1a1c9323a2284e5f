"""The nearest training mesh, and where training meshes come from."""

import json

import numpy as np
import pytest

from core.data.augment import mirror, rotate
from core.data.mesh import Mesh, normalize, save
from core.data.shapes import make_shape
from core.data.sources import PackedMeshes, ShapesSource
from core.evaluation import training
from core.evaluation.nearest import GRID_POINTS, PERMUTATIONS, POSES, NearestMeshes, distance_field
from core.evaluation.surface import Frame, Surface, content_seed
from core.evaluation.training import open_training, read_packed

POINTS = 2000


@pytest.fixture(scope="module")
def source() -> ShapesSource:
    return ShapesSource(0, 40, progress=False)


def framed(mesh: Mesh) -> tuple[Mesh, Surface]:
    mesh = Frame.of(mesh).apply(mesh)
    return mesh, Surface(mesh, POINTS, content_seed(mesh))


def test_poses_are_the_eight_that_keep_axes_upright():
    assert len({pose.astype(int).tobytes() for pose in POSES}) == 8
    for pose in POSES:
        assert np.allclose(pose @ pose.T, np.eye(3))
        assert pose[1].tolist() == [0, 1, 0]


def test_a_field_is_posed_by_a_permutation(source):
    mesh = normalize(source[3], 0.5)[0]
    for pose, places in zip(POSES, PERMUTATIONS, strict=True):
        assert np.allclose(GRID_POINTS[places], GRID_POINTS @ pose, atol=1e-6)
        posed = distance_field(Mesh(mesh.vertices @ pose, mesh.faces))
        assert np.abs(posed[places] - distance_field(mesh)).max() < 0.01  # the same points are sampled, turned


@pytest.mark.parametrize("degrees", [0, 90, 150, 300])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_training_mesh_is_found_however_it_stands(source, degrees, mirrored):
    nearest = NearestMeshes(source, 30)
    mesh = rotate(mirror(source[7]) if mirrored else source[7], degrees)
    mesh, surface = framed(Mesh(mesh.vertices * 12 + [5, 6, 7], mesh.faces))
    found = nearest.find(mesh, surface)
    assert found.name == source.name(7)
    again = Surface(mesh, POINTS, 1)
    assert found.figures["chamfer"] == pytest.approx(again.tree.query(surface.points)[0].mean(), rel=0.15)


def test_nothing_nearer_is_missed(source):
    nearest = NearestMeshes(source, 90)
    for index in range(100, 103):
        mesh, surface = framed(make_shape(5, index)[0])
        found = nearest.find(mesh, surface).figures["chamfer"]
        _, placement = normalize(mesh, 0.5)
        others = []
        for k in range(len(source)):
            for pose in POSES:
                vertices = placement.invert(normalize(source[k], 0.5)[0].vertices @ pose).astype(np.float32)
                other = Surface(Mesh(vertices, source[k].faces), 500, 0)
                there, back = surface.tree.query(other.points)[0].mean(), other.tree.query(surface.points)[0].mean()
                others.append((there + back) / 2)
        assert found <= min(others) * 1.05


def test_large_sets_are_drawn_from(source, monkeypatch):
    monkeypatch.setattr("core.evaluation.nearest.MOST_MESHES", 10)
    nearest = NearestMeshes(source, 90)
    assert len(nearest) == 10
    assert len(nearest.fields) == 10


def pack(path, meshes, splits):
    packed = PackedMeshes(meshes, [str(k) for k in range(len(meshes))])
    names = ("vertices", "faces", "vertex_offsets", "face_offsets")
    np.savez(path, **{name: getattr(packed, name) for name in names})
    rows = [json.dumps({"name": f"mesh {k}", "split": split}) for k, split in enumerate(splits)]
    path.with_suffix(".jsonl").write_text("\n".join(rows) + "\n")


def test_only_the_training_split_of_a_packed_set_is_read(source, tmp_path, monkeypatch):
    path = tmp_path / "some.npz"
    pack(path, [source[k] for k in range(4)], ["train", "test_pack", "train", "train_tilecap"])
    packed = read_packed(path)
    assert packed.names.tolist() == ["mesh 0", "mesh 2"]
    assert np.allclose(packed[1].vertices, source[2].vertices, atol=1e-6)
    assert "2 meshes of" in open_training((str(path),))[1]
    monkeypatch.setattr(training, "BESIDE", tmp_path)
    assert len(open_training(())[0]) == 2  # what lies beside the repository is the default
    path.with_suffix(".jsonl").write_text('{"split": "train"}\n')
    with pytest.raises(ValueError, match="4 meshes, but 1 rows"):
        read_packed(path)
    np.savez(path, vertices=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="lacks face_offsets"):
        read_packed(path)


def test_other_sources(source, tmp_path, monkeypatch):
    assert open_training(("none",)) is None
    for k in range(3):
        save(tmp_path / f"{k}.obj", source[k])
    found, told = open_training((str(tmp_path), "shapes:5"))
    assert len(found) == 8
    assert "5 meshes of shapes:5 (procedural)" in told
    with pytest.raises(ValueError, match="no such file or folder"):
        open_training((str(tmp_path / "nowhere"),))
    monkeypatch.setattr(training, "BESIDE", tmp_path / "nowhere")
    monkeypatch.setattr(training, "DEFAULT_SHAPES", "shapes:3")
    assert open_training(())[1] == "3 meshes of shapes:3 (procedural)"
