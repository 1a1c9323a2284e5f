"""Reading, cleaning, normalising and sorting meshes."""

import base64
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from meto import clean_mesh, load_mesh, normalize_mesh, read_mesh, sort_mesh
from meto.merge import merge_close

CORNER = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


# ---- merging and cleaning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "distance"), [(300, 0.1), (1500, 0.03), (60, 5.0), (500, 1e-4), (200, 0.0)])
def test_merging_thins_out_and_moves_nothing_far(count, distance):
    rng = np.random.default_rng(count)
    points = rng.random((count, 3))
    points[::7] = points[3]
    kept, index = merge_close(points, distance)
    apart = np.linalg.norm(points[kept][:, None] - points[kept], axis=-1) + np.eye(len(kept)) * 9
    assert apart.min() >= max(distance, 1e-300)
    assert (np.linalg.norm(points - points[kept[index]], axis=1) <= distance).all()
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(index[kept], np.arange(len(kept)))


@pytest.mark.parametrize("border", [0.0, 1e-4, 2e-4, -3e-4, 0.5, 0.12345])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_close_vertices_merge_across_any_border(border, axis):
    vertices = np.concatenate([CORNER + 10, np.zeros((2, 3))])
    vertices[3:, axis] = border - 0.4e-4, border + 0.4e-4
    merged, faces = clean_mesh(vertices, [[0, 1, 3], [0, 4, 2]])
    assert len(merged) == 4
    assert faces.tolist() == [[0, 1, 3], [0, 3, 2]]
    vertices[4, axis] += 0.4e-4
    assert len(clean_mesh(vertices, [[0, 1, 3], [0, 4, 2]])[0]) == 5


def test_a_chain_of_close_vertices_does_not_collapse():
    vertices = np.zeros((101, 3))
    vertices[:, 0] = np.arange(101) * 0.9e-4
    vertices[100] = 0, 1, 0
    merged, _ = clean_mesh(vertices, [[k, k + 1, 100] for k in range(99)])
    assert merged[:, 0].max() > 0.008
    assert np.diff(np.sort(merged[:-1, 0])).min() >= 1e-4


def test_degenerate_duplicate_and_unused_go():
    vertices = np.concatenate([CORNER, [[5, 5, 5], [0, 0, 1], [1e-5, 0, 0]]])
    faces = [[0, 1, 2], [0, 1, 1], [2, 0, 1], [0, 2, 1], [4, 0, 1], [0, 5, 1], [1, 2, 5]]
    merged, kept = clean_mesh(vertices, faces)
    np.testing.assert_array_equal(merged, vertices[[0, 1, 2, 4]])
    assert kept.tolist() == [[0, 1, 2], [3, 0, 1]]
    assert kept.dtype == np.int32


def test_an_unused_vertex_swallows_no_other():
    vertices = np.concatenate([[[5e-5, 0, 0]], CORNER])
    np.testing.assert_array_equal(clean_mesh(vertices, [[1, 2, 3]])[0], CORNER)


def test_cleaning_keeps_the_float_type_and_may_leave_nothing():
    vertices, faces = clean_mesh(CORNER.astype(np.float32), [[0, 0, 1]])
    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)
    assert vertices.dtype == np.float32


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e20])
def test_extreme_coordinates(scale):
    vertices, faces = clean_mesh(CORNER * scale, [[0, 1, 2]], merge_distance=1e-4 if scale > 1 else 0)
    assert len(vertices) == 3
    assert len(faces) == 1
    unit = normalize_mesh(vertices)
    assert np.isclose(np.ptp(unit, axis=0).max(), 1.9)


def test_bad_arguments():
    with pytest.raises(ValueError, match="vertex 1 is not finite"):
        clean_mesh([[0, 0, 0], [0, np.inf, 0]], [[0, 1, 0]])
    with pytest.raises(ValueError, match=r"face 0 is \[0, 1, 7\]"):
        clean_mesh(CORNER, [[0, 1, 7]])
    with pytest.raises(ValueError, match="merge_distance"):
        clean_mesh(CORNER, [[0, 1, 2]], merge_distance=float("nan"))
    with pytest.raises(ValueError, match="faces must be"):
        clean_mesh(CORNER, [[0.5, 1, 2]])


# ---- normalising and sorting ----------------------------------------------------------------------------------------


def test_normalize_centres_the_box_and_scales_the_longest_side():
    vertices = np.array([[10, 0, 3], [14, 1, 3], [12, 0.5, 4]])
    unit = normalize_mesh(vertices, bound=0.5)
    np.testing.assert_allclose(unit, [[-0.5, -0.125, -0.125], [0.5, 0.125, -0.125], [0, 0, 0.125]])
    assert normalize_mesh(vertices.astype(np.float32)).dtype == np.float32
    assert np.abs(normalize_mesh(vertices.astype(np.float32), bound=1)).max() <= 1


@pytest.mark.parametrize(
    ("vertices", "message"),
    [([[1, 2, 3]] * 3, "without extent"), (np.zeros((0, 3)), "no vertices"), ([[np.nan] * 3], "finite")],
)
def test_what_cannot_be_normalised(vertices, message):
    with pytest.raises(ValueError, match=message):
        normalize_mesh(vertices)


def test_sort_mesh(mesh):
    vertices, faces = mesh
    sorted_vertices, sorted_faces = sort_mesh(vertices, faces)
    keys = sorted_vertices[:, [1, 2, 0]].tolist()
    assert keys == sorted(keys)
    assert sorted_faces.tolist() == sorted(sorted_faces.tolist())
    assert (sorted_faces[:, 0] == sorted_faces.min(axis=1)).all()

    def turns(v, f):
        corners = [[tuple(v[i]) for i in face] for face in f]
        return sorted(min(c[k:] + c[:k] for k in range(3)) for c in corners)

    assert turns(sorted_vertices, sorted_faces) == turns(vertices, faces)


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf", "dae", "3mf"])
def test_every_format_reads_back(tmp_path, zoo, suffix):
    trimesh = pytest.importorskip("trimesh")
    if suffix == "dae":
        pytest.importorskip("collada")
    if suffix == "3mf":
        pytest.importorskip("lxml")
        pytest.importorskip("networkx")
    vertices, faces = zoo["torus"]
    path = tmp_path / f"torus.{suffix}"
    scene = trimesh.Scene(trimesh.Trimesh(vertices, faces, process=False))
    if suffix == "gltf":
        for name, data in trimesh.exchange.gltf.export_gltf(scene).items():
            (tmp_path / ("torus.gltf" if name == "model.gltf" else name)).write_bytes(data)
    else:
        (next(iter(scene.geometry.values())) if suffix != "3mf" else scene).export(path)
    read_vertices, read_faces = load_mesh(path)
    assert read_vertices.dtype == np.float32
    expected = normalize_mesh(vertices)[faces]
    found = read_vertices[read_faces]
    assert len(read_vertices) == len(vertices)
    order_a, order_b = (np.lexsort(np.round(t.mean(axis=1), 3).T) for t in (expected, found))
    np.testing.assert_allclose(found[order_b].mean(axis=1), expected[order_a].mean(axis=1), atol=2e-4)


def write_gltf(path, nodes, count=3, backed=True):
    """One triangle, drawn by each of the nodes that has a mesh; the first node is the scene's root."""
    data = CORNER.astype("<f4").tobytes() + struct.pack("<3I", 0, 1, 2)
    position = {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3"}
    if not backed:
        del position["bufferView"]
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [position, {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 12}],
        "buffers": [
            {"byteLength": 48, "uri": "data:application/octet-stream;base64," + base64.b64encode(data).decode()}
        ],
    }
    path.write_text(json.dumps(document))
    return path


def test_scene_transforms_and_instances(tmp_path):
    pytest.importorskip("trimesh")
    nodes = [
        {"children": [1, 2], "translation": [0, 0, 7]},
        {"mesh": 0, "translation": [5, 0, 0]},
        {"mesh": 0, "scale": [-1, 1, 1]},
    ]
    vertices, faces = read_mesh(write_gltf(tmp_path / "two.gltf", nodes))
    found = sorted(np.roll(t, -int(np.lexsort(t.T)[0]), axis=0).tolist() for t in vertices[faces])
    # The mirrored copy is turned inside out, so that it still faces the same way.
    assert found == sorted([[[5, 0, 7], [6, 0, 7], [5, 1, 7]], [[-1, 0, 7], [0, 0, 7], [0, 1, 7]]])


PLY = "ply\nformat {form} 1.0\nelement vertex {v}\nproperty float x\nproperty float y\nproperty float z\n"
PLY_FACES = "element face {f}\nproperty list uchar int vertex_indices\nend_header\n"
PLY_BODY = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
HUGE = 4_000_000_000

BROKEN = {
    "text.obj": b"hello world\n",
    "empty.obj": b"",
    "no_such_vertex.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
    "nan.obj": b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "infinite.obj": b"v inf 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "empty.glb": b"",
    "cut.glb": b"glTF\2\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7fJSON{}",
    "empty.stl": b"",
    "huge.stl": bytes(80) + struct.pack("<I", HUGE) + bytes(50),
    "huge.off": f"OFF\n{HUGE} {HUGE} 0\n{PLY_BODY}".encode(),
    "huge.ply": (PLY + PLY_FACES + PLY_BODY).format(form="ascii", v=HUGE, f=HUGE).encode(),
    "huge_binary.ply": (PLY + PLY_FACES).format(form="binary_little_endian", v=HUGE, f=1).encode() + bytes(50),
    "short.ply": (PLY + PLY_FACES + PLY_BODY).format(form="ascii", v=30, f=10).encode(),
    "negative.ply": (PLY + PLY_FACES + PLY_BODY).format(form="ascii", v=-3, f=1).encode(),
    "far_index.ply": (PLY + PLY_FACES + PLY_BODY[:-2] + "2000000000\n").format(form="ascii", v=3, f=1).encode(),
    "broken.dae": b"<COLLADA/>",
    "broken.3mf": b"PK\3\4 nothing",
    "what.xyzzy": b"?",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named(tmp_path, name):
    pytest.importorskip("trimesh")
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=name):
        read_mesh(path)


def test_gltf_that_asks_for_zeros_without_end_or_turns_in_circles(tmp_path):
    pytest.importorskip("trimesh")
    with pytest.raises(ValueError, match=r"zeros.gltf: .*4000000000"):
        read_mesh(write_gltf(tmp_path / "zeros.gltf", [{"mesh": 0}], count=HUGE, backed=False))
    with pytest.raises(ValueError, match=r"count.gltf"):
        read_mesh(write_gltf(tmp_path / "count.gltf", [{"mesh": 0}], count=HUGE))
    circle = [{"mesh": 0, "children": [1]}, {"mesh": 0, "children": [0]}]
    with pytest.raises(ValueError, match=r"circle.gltf"):
        read_mesh(write_gltf(tmp_path / "circle.gltf", circle))


@pytest.mark.parametrize("name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "VENDOR_shape"])
def test_gltf_that_requires_what_is_not_read(tmp_path, name):
    pytest.importorskip("trimesh")
    path = write_gltf(tmp_path / "a.gltf", [{"mesh": 0}])
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"extensionsRequired": ["KHR_texture_transform"]}))
    assert len(read_mesh(path)[1]) == 1
    path.write_text(json.dumps(document | {"extensionsRequired": ["KHR_texture_transform", name]}))
    with pytest.raises(ValueError, match=f"a.gltf: .*{name}"):
        read_mesh(path)


def test_points_are_read_and_are_not_a_mesh(tmp_path):
    pytest.importorskip("trimesh")
    path = tmp_path / "points.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    vertices, faces = read_mesh(path)
    assert vertices.shape == (3, 3)
    assert faces.shape == (0, 3)
    with pytest.raises(ValueError, match=r"points.obj: has no faces"):
        load_mesh(path)
    with pytest.raises(ValueError, match=r"none.obj: no such file"):
        read_mesh(tmp_path / "none.obj")


def test_load_mesh_cleans_at_the_normalised_scale(tmp_path):
    pytest.importorskip("trimesh")
    path = tmp_path / "mesh.obj"
    # A quad whose shared edge is written twice, 1e-5 of its size apart; a stray vertex far away; a speck of a face.
    path.write_text(
        "v 0 0 0\nv 1000 0 0\nv 1000 1000 0\nv 0.01 0 0\nv 1000 1000.01 0\nv 0 1000 0\nv 1e9 0 0\nv 9000 0 0\n"
        "v 9000 0.0001 0\nv 9000 0 0.0001\nf 1 2 3\nf 4 5 6\nf 8 9 10\n"
    )
    vertices, faces = load_mesh(path, bound=0.5)
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    np.testing.assert_allclose(np.abs(vertices[:, :2]), 0.5, atol=1e-4)
    raw_vertices, raw_faces = load_mesh(path, clean=False)
    assert len(raw_faces) == 3
    assert np.isclose(np.abs(raw_vertices).max(), 0.95)


def test_trimesh_is_only_imported_to_read_a_file():
    code = "import sys, meto; meto.normalize_mesh([[0, 0, 0], [1, 1, 1]]); sys.exit('trimesh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
