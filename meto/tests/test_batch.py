"""Batches are what the single calls give, in flat arrays."""

import numpy as np
import pytest

from meto import Engine

BACKENDS = ("LR_ABSCO", "LR", "CLERS")


@pytest.fixture
def meshes(zoo):
    return [(np.asarray(v, np.float32), np.asarray(f)) for v, f in zoo.values()] * 3


def flat(arrays):
    return np.concatenate(arrays), np.cumsum([0, *map(len, arrays)])


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_is_the_single_calls(backend, threads, meshes):
    engine = Engine(128, backend=backend)
    vertices, faces = [v for v, _ in meshes], [f for _, f in meshes]
    encoded = engine.encode_batch(vertices, faces, mark_out_of_range=True, threads=threads)
    assert len(encoded) == len(meshes)
    for i, (v, f) in enumerate(meshes):
        for a, b in zip(encoded[i], engine.encode(v, f, mark_out_of_range=True), strict=True):
            np.testing.assert_array_equal(a, b)
    streams = [encoded[i][0] for i in range(len(encoded)) if encoded[i][0].min() >= 0]
    decoded = engine.decode_batch(streams, threads=threads)
    assert decoded.violations == [None] * len(streams)
    for i, tokens in enumerate(streams):
        for a, b in zip(decoded[i], engine.decode(tokens), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_flat_arrays_are_the_lists(meshes):
    engine = Engine(128)
    vertices, vertex_offsets = flat([v for v, _ in meshes])
    faces, face_offsets = flat([f for _, f in meshes])
    one = engine.encode_batch(vertices, faces, vertex_offsets, face_offsets)
    other = engine.encode_batch([v for v, _ in meshes], [f for _, f in meshes])
    for name in ("tokens", "token_offsets", "face_order", "face_type", "face_offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    decoded = engine.decode_batch(one.tokens, one.token_offsets)
    assert len(decoded) == len(meshes)
    np.testing.assert_array_equal(decoded.face_offsets, face_offsets)


def test_negative_index_and_end_of_range(meshes):
    engine = Engine(128)
    batch = engine.encode_batch([v for v, _ in meshes], [f for _, f in meshes])
    np.testing.assert_array_equal(batch[-1][0], batch[len(batch) - 1][0])
    with pytest.raises(IndexError):
        batch[len(batch)]
    assert len(list(batch)) == len(batch)


def test_no_meshes_at_all():
    engine = Engine()
    encoded = engine.encode_batch([], [])
    assert (len(encoded), len(encoded.tokens)) == (0, 0)
    decoded = engine.decode_batch([])
    assert (len(decoded), decoded.vertices.shape) == (0, (0, 3))


def test_the_first_bad_mesh_is_named(meshes):
    vertices, faces = [v.copy() for v, _ in meshes], [f.copy() for _, f in meshes]
    faces[7][0, 1] = 10**6
    vertices[11][2, 0] = np.nan
    with pytest.raises(ValueError, match=r"mesh 7: face 0 has vertex index 1000000"):
        Engine().encode_batch(vertices, faces, threads=2)
    with pytest.raises(ValueError, match=r"item 1: faces have shape"):
        Engine().encode_batch(vertices[:2], [faces[0], [[0, 1]]])


def test_strict_or_salvaged_streams(meshes):
    engine = Engine(128, backend="LR")
    encoded = engine.encode_batch([v * 0.4 for v, _ in meshes], [f for _, f in meshes])
    streams = [encoded[i][0].copy() for i in range(len(encoded))]
    streams[2] = streams[2][:-1]
    streams[5][13] = 10**6
    streams[6][1] = 3  # off the grid
    with pytest.raises(ValueError, match=f"stream 2: token {len(streams[2])}: "):
        engine.decode_batch(streams, threads=2)
    salvaged = engine.decode_batch(streams, strict=False, threads=2)
    assert [i for i, violation in enumerate(salvaged.violations) if violation] == [2, 5, 6]
    for i, tokens in enumerate(streams):
        *expected, violation = engine.salvage(tokens)
        assert salvaged.violations[i] == violation
        for a, b in zip(salvaged[i], expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 10], "run from 0 to 10; 0 to 20"),
        ([1, 20], "run from 1 to 20"),
        ([0, 30, 20], "fall from 30 to 20 at item 1"),
        ([], "are empty"),
        ([0, -5, 20], "fall from 0 to -5"),
    ],
)
def test_offsets_that_do_not_fit_are_refused(offsets, message):
    tokens = np.array([2, *[3] * 9] * 2)
    with pytest.raises(ValueError, match=f"token_offsets {message}"):
        Engine().decode_batch(tokens, offsets)


def test_arguments_that_do_not_go_together():
    vertices, faces = np.zeros((3, 3)), np.array([[0, 1, 2]])
    with pytest.raises(ValueError, match="come together"):
        Engine().encode_batch(vertices, faces, [0, 3])
    with pytest.raises(ValueError, match="vertices of 2 meshes and faces of 1"):
        Engine().encode_batch([vertices, vertices], [faces])
    with pytest.raises(ValueError, match="threads is -1"):
        Engine().encode_batch([vertices], [faces], threads=-1)
