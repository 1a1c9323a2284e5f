"""glTF: accessors of every sort, instances, skins, morphs, buffers, and what is compressed."""

import base64
import json

import numpy as np
import pytest

from core.data.mesh import load
from tests.geometry.known import facts
from tests.geometry.written import CORNERS, FACES, gltf, uri, with_data


def write(path, document: dict):
    path.write_text(json.dumps(document))
    return path


def test_sparse_positions_without_any_others(tmp_path):
    document = with_data(gltf(), (np.array([1, 2, 3], "<u2"), "SCALAR"), (CORNERS[1:], "VEC3"))
    sparse = {"count": 3, "indices": {"bufferView": 2, "componentType": 5123}, "values": {"bufferView": 3}}
    document["accessors"][0] = {"componentType": 5126, "count": 4, "type": "VEC3", "sparse": sparse}
    assert facts(*load(write(tmp_path / "a.gltf", document)))["area"] == pytest.approx(9)
    sparse["count"] = 4
    with pytest.raises(ValueError, match="sparse indices declares 4"):
        load(write(tmp_path / "b.gltf", document))


def test_instances_are_turned_scaled_and_moved(tmp_path):
    names = {"TRANSLATION": 2, "ROTATION": 3, "SCALE": 4}
    nodes = [{"mesh": 0, "translation": [100, 0, 0], "extensions": {"EXT_mesh_gpu_instancing": {"attributes": names}}}]
    turns = np.array([[0, 0, 0, 1], [0, 0, np.sqrt(0.5), np.sqrt(0.5)]], np.float32)
    scales = np.array([[1, 1, 1], [-2, 2, 2]], np.float32)
    moves = np.array([[0, 0, 0], [10, 0, 0]], np.float32)
    document = with_data(gltf(nodes=nodes), (moves, "VEC3"), (turns, "VEC4"), (scales, "VEC3"))
    vertices, faces = load(write(tmp_path / "a.gltf", document))
    np.testing.assert_allclose(vertices[:4], CORNERS + [100, 0, 0], atol=1e-5)
    np.testing.assert_allclose(vertices[4:], [[110, 0, 0], [110, -2, 0], [106, 0, 0], [110, 0, 6]], atol=1e-5)
    assert facts(vertices - [100, 0, 0], faces)["volume"] == pytest.approx(1 + 8)  # mirrored, and yet outside out


def test_a_skin_stands_where_its_joints_are(tmp_path):
    nodes = [
        {"mesh": 0, "skin": 0, "translation": [77, 7, 7]},
        {"translation": [5, 0, 0], "children": [2]},
        {"scale": [2] * 3},
    ]
    document = gltf(
        {"attributes": {"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3}},
        nodes,
        scenes=[{"nodes": [0, 1]}],
        skins=[{"joints": [1, 2], "inverseBindMatrices": 4}],
    )
    joints = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], np.uint8)
    weights = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]], np.float32)
    inverse = np.tile(np.eye(4, dtype=np.float32).ravel(), (2, 1))
    document = with_data(document, (joints, "VEC4"), (weights, "VEC4"), (inverse, "MAT4"))
    vertices, _ = load(write(tmp_path / "a.gltf", document))
    np.testing.assert_allclose(vertices, [[5, 0, 0], [6, 0, 0], [5, 4, 0], [5, 0, 4.5]], atol=1e-6)


def test_morphs_have_their_default_weights(tmp_path):
    document = with_data(gltf({"targets": [{"POSITION": 2}, {"POSITION": 2}]}), (np.ones((4, 3), np.float32), "VEC3"))
    document["meshes"][0]["weights"] = [0.5, 0]
    np.testing.assert_allclose(load(write(tmp_path / "a.gltf", document)).vertices, CORNERS + 0.5)


def test_buffers_beside_the_file_under_encoded_names(tmp_path):
    document = gltf()
    data = base64.b64decode(document["buffers"][0].pop("uri").split(",")[1])
    document["buffers"][0]["uri"] = "parts/m%C3%A4%20x.bin"
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mä x.bin").write_bytes(data)
    assert len(load(write(tmp_path / "a.gltf", document)).faces) == 4
    (tmp_path / "parts" / "mä x.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="mä x.bin.*LFS"):
        load(tmp_path / "a.gltf")
    (tmp_path / "parts" / "mä x.bin").unlink()
    with pytest.raises(ValueError, match="mä x.bin is not there"):
        load(tmp_path / "a.gltf")


def draco(required: bool) -> dict:
    from DracoPy import encode

    packed = encode(CORNERS, FACES.astype(np.uint32), quantization_bits=14)
    document = with_data(gltf(), (np.frombuffer(packed, np.uint8), "SCALAR"))
    extension = {"KHR_draco_mesh_compression": {"bufferView": 2, "attributes": {"POSITION": 0}}}
    document["meshes"][0]["primitives"][0]["extensions"] = extension
    document["extensionsUsed"] = list(extension)
    if required:
        document["extensionsRequired"] = list(extension)
        for accessor in document["accessors"]:
            accessor.pop("bufferView")
    return document


def meshopt(required: bool) -> dict:
    from meshopt import encode_gltf_buffer

    indices = FACES.ravel().astype(np.uint32)
    packed = [encode_gltf_buffer(CORNERS, "ATTRIBUTES"), encode_gltf_buffer(indices, "TRIANGLES")]
    document = with_data(gltf(), *((np.frombuffer(p, np.uint8), "SCALAR") for p in packed))
    document["accessors"][1]["componentType"] = 5125
    document["buffers"][0] = {"byteLength": 96, "uri": uri(CORNERS.tobytes() + indices.astype("<u4").tobytes())}
    document["bufferViews"][1]["byteLength"] = 48
    for k, (mode, count, stride) in enumerate([("ATTRIBUTES", 4, 12), ("TRIANGLES", 12, 4)]):
        told = {"buffer": 1 + k, "byteLength": len(packed[k]), "byteStride": stride, "mode": mode, "count": count}
        document["bufferViews"][k]["extensions"] = {"EXT_meshopt_compression": told}
    document["extensionsUsed"] = ["EXT_meshopt_compression"]
    if required:
        document["extensionsRequired"] = ["EXT_meshopt_compression"]
        document["buffers"][0].pop("uri")
    return document


@pytest.mark.parametrize(
    ("package", "make", "extension"),
    [
        ("DracoPy", draco, "KHR_draco_mesh_compression"),
        ("meshopt", meshopt, "EXT_meshopt_compression"),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_compressed_meshes(tmp_path, monkeypatch, package, make, extension, required):
    pytest.importorskip(package)
    path = write(tmp_path / "a.gltf", make(required))
    found = facts(*load(path))
    assert found["faces"] == 4
    assert found["volume"] == pytest.approx(1, rel=1e-3)
    monkeypatch.setitem(__import__("sys").modules, package, None)  # not installed
    if not required:
        assert facts(*load(path))["volume"] == pytest.approx(1, rel=1e-3)
        return
    with pytest.raises(ValueError, match=f"{extension}.*pip install {package}"):
        load(path)
