import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.data import mesh as meshes
from core.data.finish import finish
from core.data.mesh import MESH_SUFFIXES, Mesh, load, normalize, sample_surface, save


def soup(mesh: Mesh) -> Mesh:
    """As decoding gives it: each face with its own vertices."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3))


def volume(mesh: Mesh) -> float:
    return trimesh.Trimesh(*mesh, process=False).volume


# ---- files


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off", ".glb", ".dae", ".3mf", ".gltf"])
def test_every_format_gives_the_mesh(tmp_path, box, suffix):
    assert suffix in MESH_SUFFIXES
    file = tmp_path / f"box{suffix}"
    trimesh.Trimesh(*box, process=False).export(file)
    mesh = load(file)
    assert mesh.faces.shape == (12, 3)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [1, 2, 0.5], rtol=1e-5)
    assert volume(finish(mesh)) == pytest.approx(1.0, rel=1e-5)


def test_instances_of_a_scene_are_copies_where_they_stand(tmp_path, box):
    scene = trimesh.Scene()
    part = trimesh.Trimesh(*box, process=False)
    scene.add_geometry(part, geom_name="part")
    scene.graph.update("second", geometry="part", matrix=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.export(tmp_path / "two.glb")
    mesh = load(tmp_path / "two.glb")
    assert len(mesh.faces) == 24
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(6, rel=1e-5)


def test_point_clouds_of_every_kind(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    cloud = Mesh(points, np.zeros((0, 3), np.int32))
    np.save(tmp_path / "a.npy", np.concatenate([points, points], axis=1))  # normals are passed over
    for name in ("a.xyz", "a.ply", "a.obj"):
        save(tmp_path / name, cloud)
    (tmp_path / "commas.xyz").write_text("# x, y, z\n0, 0, 0\n1, 2, 3\n")
    for name in ("a.npy", "a.xyz", "a.ply", "a.obj"):
        loaded = load(tmp_path / name)
        assert loaded.is_points, name
        np.testing.assert_allclose(loaded.vertices, points, rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(load(tmp_path / "commas.xyz").vertices, [[0, 0, 0], [1, 2, 3]])


TRIANGLE = "v 0 0 0\nv {} 0 0\nv 0 1 0\nf 1 2 3\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nan.obj", TRIANGLE.format("nan"), "finite"),
        ("inf.obj", TRIANGLE.format("inf"), "finite"),
        ("far.obj", TRIANGLE.format("1e400"), "finite"),
        ("flat.obj", "v 1 2 3\nv 1 2 3\nv 1 2 3\nf 1 2 3\n", "longest side"),
        ("one.xyz", "1 2 3\n", "longest side"),
        ("empty.obj", "", "neither faces nor points"),
        ("empty.xyz", "# nothing\n", "neither faces nor points"),
        ("words.xyz", "once upon a time\n", "point cloud"),
        ("two.xyz", "1 2\n3 4\n", "(N, 3)"),
        ("index.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", ""),
        ("broken.glb", "glTF but no more", ""),
        ("broken.ply", "ply\nformat ascii 1.0\nelement vertex 3\n", ""),
        ("text.npy", "no numbers", "point cloud"),
        ("words.txt", "hello", "unknown kind"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=name) as error:
        load(tmp_path / name)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        load(tmp_path / "nowhere.obj")
    with pytest.raises(ValueError, match="nowhere"):
        meshes.list_inputs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no file in this folder"):
        meshes.list_inputs(tmp_path)


def test_folders_are_listed_recursively_and_sorted(tmp_path):
    for name in ("b.obj", "a/z.PLY", "a/y.npy", ".hidden/x.obj", "a/._z.PLY", "__MACOSX/b.obj", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in meshes.list_inputs(tmp_path)] == ["a/y.npy", "a/z.PLY", "b.obj"]
    assert meshes.list_inputs(tmp_path / "b.obj") == [tmp_path / "b.obj"]


def bad_files(folder: Path) -> dict[str, str]:
    """What is no regular file, or promises more than it holds, under names of meshes; and what is said of each."""
    os.mkfifo(folder / "pipe.obj")
    os.symlink("/dev/zero", folder / "device.ply")
    os.symlink("nowhere.obj", folder / "dangling.obj")
    header = {"descr": "<f8", "fortran_order": False}
    for name, count in (("promises.npy", 10**11), ("overflows.npy", 10**30)):
        with (folder / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (count, 3)})
    os.symlink(folder, folder / "loop")
    return {
        "pipe.obj": "a pipe, not a file",
        "device.ply": "a device, not a file",
        "dangling.obj": "a link to nothing",
        "promises.npy": "not readable as a point cloud: declares (100000000000, 3)",
        "overflows.npy": "not readable as a point cloud",
    }


def test_only_regular_files_that_hold_what_they_promise_are_read(tmp_path):
    expected = bad_files(tmp_path)
    assert [path.name for path in meshes.list_inputs(tmp_path)] == sorted(expected)
    for name, reason in expected.items():
        with pytest.raises(ValueError, match=name) as error:
            load(tmp_path / name)
        assert reason in str(error.value)
    with pytest.raises(ValueError, match="a pipe"):
        meshes.list_inputs(tmp_path / "pipe.obj")


def test_a_folder_is_listed_once_whatever_links_to_it(tmp_path):
    (tmp_path / "set" / "z").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for name in ("set/x.obj", "set/z/y.obj", "elsewhere/deep/w.obj"):
        (tmp_path / name).touch()
    os.symlink(tmp_path / "set", tmp_path / "set" / "z" / "up")
    os.symlink(tmp_path / "set" / "z", tmp_path / "set" / "a")
    os.symlink(tmp_path / "elsewhere", tmp_path / "set" / "link")
    os.symlink(tmp_path / "set", tmp_path / "elsewhere" / "deep" / "back")
    found = [path.relative_to(tmp_path / "set").as_posix() for path in meshes.list_inputs(tmp_path / "set")]
    assert found == ["link/deep/w.obj", "x.obj", "z/y.obj"]


def test_a_file_that_takes_more_memory_than_there_is_is_a_bad_file(tmp_path, box, monkeypatch):
    save(tmp_path / "box.obj", box)

    def exhausted(data, path):
        raise MemoryError("cannot allocate 2 TiB")

    monkeypatch.setattr("core.geometry.files.obj.read", exhausted)
    with pytest.raises(ValueError, match="box.obj: takes more memory than there is"):
        load(tmp_path / "box.obj")


@pytest.mark.parametrize("size", [0.0, 1e-320, 1e-305, 1e-31, 1e31, 1e308, np.inf, np.nan])
@pytest.mark.parametrize("faces", [np.zeros((0, 3), np.int32), np.array([[0, 1, 2]], np.int32)], ids=["cloud", "mesh"])
def test_an_extent_that_nothing_can_be_computed_with_is_refused(size, faces, tmp_path):
    with np.errstate(invalid="ignore", over="ignore"):
        mesh = Mesh(np.array([[-0.9, 0, 0], [0.9, 0.5, 0], [0, 0.2, 0.7]]) * size, faces)
    for refuse in (normalize, meshes.check) if len(faces) == 0 else (normalize, meshes.check, meshes.clean):
        with pytest.raises(ValueError):  # noqa: PT011
            refuse(mesh)
    if len(faces) == 0:
        np.save(tmp_path / "cloud.npy", mesh.vertices)
        with pytest.raises(ValueError, match="cloud.npy"):
            load(tmp_path / "cloud.npy")


@pytest.mark.parametrize("size", [1e-29, 1e29])
def test_any_other_extent_goes_to_and_fro(size, ball):
    far = Mesh(ball.vertices.astype(np.float64) * size + size, ball.faces)
    unit, placement = normalize(meshes.clean(far))
    assert np.abs(unit.vertices).max() == pytest.approx(0.95, rel=1e-5)
    np.testing.assert_allclose(placement.invert(unit.vertices), far.vertices, atol=1e-6 * size)


def test_far_away_is_refused():
    with pytest.raises(ValueError, match="from the origin"):
        normalize(Mesh(np.array([[-1e31, 0, 0], [-1e31 + 1e25, 0, 0]]), np.zeros((0, 3), np.int32)))


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off", ".glb"])
def test_saved_meshes_load_again(tmp_path, ball, suffix):
    tiny = Mesh(ball.vertices * 1e-4 + np.float32(0.01), ball.faces)
    save(tmp_path / f"ball{suffix}", tiny)
    again = finish(load(tmp_path / f"ball{suffix}"))
    assert len(again.faces) == 320
    np.testing.assert_allclose(again.vertices.min(axis=0), tiny.vertices.min(axis=0), rtol=1e-6)


def test_a_failed_save_leaves_what_was_there(tmp_path, box, monkeypatch):
    save(tmp_path / "box.obj", box)
    before = (tmp_path / "box.obj").read_bytes()

    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(meshes.os, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            save(tmp_path / "box.obj", Mesh(box.vertices * 2, box.faces))
    assert (tmp_path / "box.obj").read_bytes() == before
    for suffix in (".jpeg", ".gltf"):
        with pytest.raises(ValueError, match=suffix):
            save(tmp_path / f"box{suffix}", box)
    assert [p.name for p in tmp_path.iterdir()] == ["box.obj"]


# ---- place, scale, surface


def test_normalize_and_back_far_from_the_origin(ball):
    far = Mesh(ball.vertices.astype(np.float64) * 3 + [5e6, -2e6, 10], ball.faces)
    small, placement = normalize(far, 0.9)
    assert small.vertices.dtype == np.float32
    np.testing.assert_allclose(np.abs(small.vertices).max(axis=0), 0.9, atol=1e-6)
    np.testing.assert_allclose(placement.invert(small.vertices), far.vertices, atol=1e-6)
    with pytest.raises(ValueError, match="longest side"):
        normalize(Mesh(np.ones((3, 3)), np.array([[0, 1, 2]])))


def test_cleaning_goes_by_the_mesh_s_own_size(box):
    for size in (1e-6, 1.0, 1e6):
        jittered = soup(Mesh(box.vertices.astype(np.float64), box.faces))
        moved = jittered.vertices + np.random.default_rng(0).uniform(-2e-5, 2e-5, jittered.vertices.shape)
        cleaned = meshes.clean(Mesh(moved * size + size, jittered.faces))
        assert (len(cleaned.vertices), len(cleaned.faces)) == (8, 12)
        np.testing.assert_allclose(np.ptp(cleaned.vertices, axis=0), np.array([1, 2, 0.5]) * size, rtol=1e-3)
    with pytest.raises(ValueError, match="degenerate"):
        meshes.clean(Mesh(box.vertices, np.array([[0, 1, 1]], np.int32)))


def test_samples_lie_on_the_surface_in_proportion_to_area():
    # Two triangles, in the planes z = 0 and z = 1, of areas 1 and 3.
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 1], [0, 3, 1]], np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]], np.int32))
    points = sample_surface(mesh, 40000, np.random.default_rng(0))
    assert (points.dtype, points.shape) == (np.float32, (40000, 3))
    upper = points[points[:, 2] == 1]
    assert len(upper) + (points[:, 2] == 0).sum() == 40000
    assert len(upper) / 40000 == pytest.approx(0.75, abs=0.01)
    np.testing.assert_allclose(upper.mean(axis=0), [2 / 3, 1, 1], atol=0.02)  # the centroid
    assert (upper[:, 0] / 2 + upper[:, 1] / 3 <= 1 + 1e-6).all()
    again = sample_surface(mesh, 40000, np.random.default_rng(0))
    np.testing.assert_array_equal(points, again)


def test_samples_of_a_point_cloud_are_its_points():
    points = np.arange(30, dtype=np.float32).reshape(10, 3)
    cloud = Mesh(points, np.zeros((0, 3), np.int32))
    rng = np.random.default_rng(0)
    assert len(np.unique(sample_surface(cloud, 10, rng), axis=0)) == 10
    _, counts = np.unique(sample_surface(cloud, 25, rng), axis=0, return_counts=True)
    assert sorted(counts) == [2] * 5 + [3] * 5


def test_a_surface_without_area_cannot_be_sampled():
    line = Mesh(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32), np.array([[0, 1, 2]], np.int32))
    with pytest.raises(ValueError, match="no area"):
        sample_surface(line, 10, np.random.default_rng(0))


@given(arrays.arrays(np.int32, st.tuples(st.integers(0, 40), st.just(3)), elements=st.integers(0, 3)))
def test_unique_rows_are_those_of_numpy(rows):
    first, label = meshes.unique_rows(rows)
    expected, indices = np.unique(rows, axis=0, return_index=True)
    assert sorted(first) == sorted(indices)
    assert len(first) == len(expected)
    np.testing.assert_array_equal(rows[first][label], rows)
