"""More members of the kinds in `tests/inputs`: each is written here, read, and looked at."""

import json
import re
import struct

import numpy as np
import pytest

from core.data.mesh import load
from tests.geometry.known import facts
from tests.geometry.written import CORNERS, FACES, PLY, PLY_F, PLY_V, F, V, facet, gltf, mixed_ply, stl, uri, with_data

GOOD = {
    "mark_and_cr.obj": ("\ufeff" + V + F).replace("\n", "\r").encode(),
    "big_endian_16.obj": ("\ufeff" + V + F).encode("utf-16-be"),
    "tabs_everywhere.obj": re.sub(r"(?m)^f (\d) (\d) (\d)", r"\tF\t\1/7/\1\t\2//\2 \t\3  # note", V + F).encode(),
    "counted_back.obj": (V + "f -4 -2 -3\nf 1 -3 -1/5\nf -4/-1/-1 4 3\n" + "v 9 9 9\nf -4 -3 -2\n").encode(),
    "colours_and_weights.obj": (V.replace("3\n", "3 0.5 0.5 0.5\n").replace("2 0\n", "2 0 1\n") + F).encode(),
    "names.obj": (
        "mtllib f 1 2 3.mtl\no v 1 2 3\ng f 1 2 9\nusemtl v#1\n" + V + "s off\n" + F + "call rm.sh\n"
    ).encode(),
    "split_line.obj": (V + F).replace("f 1 3 2", "f 1 3 \\\r\n 2").encode(),
    "trailing.stl": stl(behind=b"\0" * 7),
    "much_behind.stl": stl(behind=b"\xff" * 100),
    "no_count.stl": stl(0xFFFFFFFF),
    "too_small_count.stl": stl(3),
    "solid.stl": stl(header=b"solid facet normal"),
    "one_line.stl": ("solid facet vertex 1 2 3\n" + " ".join(facet(c) for c in CORNERS[FACES])).encode(),
    "remark_first.stl": (
        "# vertex of a test\r\n SOLID\r\n" + "\r\n".join(facet(c).upper() for c in CORNERS[FACES])
    ).encode(),
    "no_space.off": ("OFF4 4 6\n" + PLY_V + PLY_F).encode(),
    "order_of_letters.off": ("CNOFF # here\n\n4 4\n" + PLY_V.replace("\n", " 0 0 1 9 9 9 255\n") + PLY_F).encode(),
    "free.off": ("OFF 4 4 6 " + (PLY_V + PLY_F).replace("\n", " ")).encode(),
    "half.ply": (
        PLY.format("ascii") + "element face 4\nproperty list char int vertex_ids\nend_header\n" + PLY_V + PLY_F
    )
    .replace("ply\n", "ply\r\n")
    .encode(),
    "faces_first.ply": (
        "ply\nformat ascii 1.0\nelement face 4\nproperty list uchar int vertex_indices\nelement vertex 4\n"
        "property double Z\nproperty double Y\nproperty double X\nend_header\n" + PLY_F + "0 0 0\n0 0 1\n0 2 0\n3 0 0\n"
    ).encode(),
    "strip.gltf": json.dumps(
        with_data(gltf({"mode": 5, "indices": 2}), (np.array([0, 2, 1, 3, 0, 2], "u1"), "SCALAR"))
    ),
    "scaled_bytes.gltf": json.dumps(
        with_data(
            gltf({"attributes": {"POSITION": 2}}, [{"mesh": 0, "scale": [3, 3, 3]}]),
            (np.array([[0, 0, 0, 9], [85, 0, 0, 9], [0, 170, 0, 9], [0, 0, 255, 9]], "u1")[:, :3].copy(), "VEC3"),
            normalized=True,
        )
    ),
    "no_scene.gltf": json.dumps({k: v for k, v in gltf().items() if k not in ("scene", "scenes")}),
    "only_meshes.gltf": json.dumps({k: v for k, v in gltf().items() if k not in ("scene", "scenes", "nodes")}),
    "turned_in_quarters.gltf": json.dumps(
        gltf(nodes=[{"children": [1], "rotation": [0, 0, 1, 0]}, {"mesh": 0, "rotation": [0, 0, -3, 0]}])
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_tetrahedron_in_many_writings(tmp_path, name):
    content = GOOD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = facts(*load(tmp_path / name))
    assert found["faces"] == 4
    assert found["area"] == pytest.approx(9)
    np.testing.assert_allclose(found["extent"], [1, 2, 3], rtol=1e-6)
    if name != "strip.gltf":
        assert found["volume"] == pytest.approx(1)


BAD = {
    "zero.obj": (V + "f 0/1 1/1 2/1\n", "index 0"),
    "before_the_first.obj": (V + "f -5 -1 -2\n", "index -5, there are 4"),
    "half_index.obj": (V + "f 1 2.5 3\n", "'2.5'"),
    "no_index.obj": (V + "f /1 /2 /3\n", "'/1'"),
    "two_numbers.obj": ("v 1 2\n" + F, "'1 2'"),
    "comma.obj": ("v 0,5 1 2\nv 1 1 1\nv 0 0 1\nf 1 2 3\n", "decimal commas"),
    "cut.ply": (mixed_ply("<")[:-60], "declares 3 elements 'face', holds"),
    "cut_points.ply": (
        PLY.format("binary_big_endian") + "end_header\n" + "x" * 40,
        "declares 4 elements 'vertex', holds 3",
    ),
    "type.ply": (PLY.format("ascii").replace("float z", "quaternion z") + "end_header\n" + PLY_V, "quaternion"),
    "count.stl": (stl(5), "declares 5 triangles, has room for 4"),
    "cut.stl": (("solid\n" + "\n".join(facet(c) for c in CORNERS[FACES]))[:-30], "truncated"),
    "four.off": ("4OFF\n4 4 0\n" + PLY_V + PLY_F, "three dimensions"),
    "binary.off": ("OFF BINARY\n" + "\0" * 30, "three dimensions"),
    "cut.off": ("OFF\n4 5 0\n" + PLY_V + PLY_F, "declares 5 faces, holds 4"),
    "unknown.gltf": (json.dumps(gltf(extensionsRequired=["KHR_texture_transform", "ADOBE_shape"])), "ADOBE_shape"),
    "first.gltf": (json.dumps({"asset": {"version": "1.1"}, "nodes": {}}), "version 1.1"),
    "circle.gltf": (json.dumps(gltf(nodes=[{"children": [1]}, {"children": [0], "mesh": 0}])), "below itself"),
    "outside.gltf": (json.dumps(gltf(buffers=[{"byteLength": 80, "uri": "/etc/passwd"}])), "/etc/passwd"),
    "network.gltf": (json.dumps(gltf(buffers=[{"byteLength": 80, "uri": "http://a.b/c.bin"}])), "http"),
    "short.gltf": (
        json.dumps(gltf(buffers=[{"byteLength": 80, "uri": uri(b"abc")}])),
        "declares 80 bytes, 3 are there",
    ),
    "first.glb": (struct.pack("<4sII", b"glTF", 1, 30) + b" " * 18, "version 1.0"),
    "page.obj": ("\n <!DOCTYPE HTML><html><body>Sign in</body>", "HTML"),
    "pointer.npy": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
    "empty.3mf": (b"", "empty"),
    "points.csv": ("x;y;z\n0,5;1,5;2,5\n", "decimal comma"),
    "commas.xyz": ("0,0236,0,9009,-0,7117\n0,5,0,25,0,75\n", "decimal comma"),
    "one_comma.xyz": ("1 2,5 3\n2 3,5 4\n", "decimal comma"),
    "tabs.xyz": ("1,5e-3\t2,5e-3\t1\n1\t2\t3\n", "decimal comma"),
    "count.pts": ("4\n0 0 0\n1 0 0\n", "declares 4 points, holds 2"),
    "words.xyz": ("a cloud\nof words\n", "'a cloud'"),
    "ragged.xyz": ("0 0 0\n1 0 0\n1 1\n", "'1 1' has 2 columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_line_with_the_file(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(name)) as error:
        load(tmp_path / name)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("order", "index"), [("<", "i4"), (">", "i4"), ("<", "u2")])
def test_ply_of_lists_and_mixed_polygons(tmp_path, order, index):
    (tmp_path / "a.ply").write_bytes(mixed_ply(order, index))
    vertices, faces = load(tmp_path / "a.ply")
    np.testing.assert_array_equal(vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("suffix", ["obj", "ply", "off", "stl"])
def test_a_dart_is_cut_inside_in_every_format(tmp_path, suffix):
    dart = ["0 0 0", "4 2 0", "0 4 0", "1 2 0"]
    written = {
        "obj": "".join(f"v {v}\n" for v in dart) + "f 1 2 3 4\n",
        "ply": PLY.format("ascii")
        + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        + "\n".join([*dart, "4 0 1 2 3\n"]),
        "off": "OFF\n4 1 0\n" + "\n".join([*dart, "4 0 1 2 3\n"]),
        "stl": "solid\nfacet normal 0 0 1\nouter loop\n"
        + "".join(f"vertex {v}\n" for v in dart)
        + "endloop\nendfacet\n",
    }
    (tmp_path / f"dart.{suffix}").write_text(written[suffix])
    found = facts(*load(tmp_path / f"dart.{suffix}"))
    assert found["faces"] == 2
    assert found["area"] == pytest.approx(6)
