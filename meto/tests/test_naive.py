"""The naive tokenizer: nine coordinates a face, in an order that depends on the surface alone."""

import numpy as np
import pytest

from meto import NaiveEngine


def triangles(vertices: np.ndarray, faces: np.ndarray, bins: int) -> list[list[tuple[int, ...]]]:
    """Every face as its three grid cells, turned to start at the lowest; sorted."""
    cells = np.clip((vertices.astype(np.float32) + 1) / 2 * bins, 0, bins - 1).astype(int)
    corners = [[tuple(cells[i].tolist()) for i in face] for face in faces]
    return sorted(min(c[k:] + c[:k] for k in range(3)) for c in corners)


def test_two_faces_by_hand():
    vertices = np.array([[0.9, 0.9, 0.9], [-0.9, -0.9, -0.9], [0.9, -0.9, -0.9], [0.0, 0.5, -0.9]])
    tokens, order, face_type = NaiveEngine(4).encode(vertices, [[0, 1, 2], [3, 1, 2]])
    # Sorted by (z, y, x): 1, 2, 3, 0. Each vertex is written z, y, x.
    low, right, middle, high = [0, 0, 0], [0, 0, 3], [0, 3, 2], [3, 3, 3]
    assert tokens.tolist() == low + right + middle + low + right + high
    assert order.tolist() == [1, 0]
    assert face_type.tolist() == [0, 0]


@pytest.mark.parametrize("bins", [2, 64, 1024, 65536])
def test_round_trip(mesh, bins):
    vertices, faces = mesh
    engine = NaiveEngine(bins)
    tokens, order, face_type = engine.encode(vertices, faces)
    assert engine.grammar.validate(tokens) is None
    assert (tokens.dtype, order.dtype, face_type.dtype) == (np.int32,) * 3
    assert sorted(order.tolist()) == list(range(len(faces)))
    decoded_vertices, decoded_faces, _ = engine.decode(tokens)
    assert decoded_vertices.dtype == np.float32
    assert triangles(decoded_vertices, decoded_faces, bins) == triangles(vertices, faces, bins)


def test_order_does_not_depend_on_the_input(zoo):
    vertices, faces = zoo["torus"]
    rng = np.random.default_rng(0)
    place = rng.permutation(len(vertices))
    shuffled = np.empty_like(vertices)
    shuffled[place] = vertices
    turned = np.take_along_axis(place[faces], (rng.integers(0, 3, (len(faces), 1)) + np.arange(3)) % 3, axis=1)
    engine = NaiveEngine(128)
    expected = engine.encode(vertices, faces)[0]
    np.testing.assert_array_equal(engine.encode(shuffled, rng.permutation(turned))[0], expected)


def test_decoding_up_to_the_first_error(zoo):
    engine = NaiveEngine(64)
    tokens = engine.encode(*zoo["tetrahedron"])[0]
    tokens[21] = 64
    with pytest.raises(ValueError, match=r"token 21: .*64"):
        engine.decode(tokens)
    _, faces, _ = engine.decode(tokens, strict=False)
    assert len(faces) == 2
    with pytest.raises(ValueError, match=r"token 35: .*1 owed"):
        engine.decode(np.zeros(35, dtype=np.int64))


def test_nothing_in_nothing_out():
    engine = NaiveEngine(64)
    assert len(engine.encode(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))[0]) == 0
    assert [len(part) for part in engine.decode([])] == [0, 0, 0]


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        ([[0, 0, np.nan]] * 3, [[0, 1, 2]], "vertex 0 is not finite"),
        ([[0, 0, 0], [0, 1, 0], [1.2, 0, 0]], [[0, 1, 2]], "vertex 2"),
        ([[0, 0, 0]] * 3, [[0, 1, 3]], "face 0"),
        ([[0, 0, 0]] * 3, [[0, 1, -1]], "face 0"),
        ([[0, 0]] * 3, [[0, 1, 2]], "shape"),
    ],
)
def test_bad_meshes(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        NaiveEngine(64).encode(vertices, faces)
