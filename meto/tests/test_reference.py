"""The oracle: equal to the reference's record, and what must hold where there is none."""

import numpy as np
import pytest

from meto import reference

BACKENDS = ("LR_ABSCO", "LR", "CLERS")


def keys(golden: dict[str, np.ndarray]) -> list[tuple[str, str, int]]:
    streams = [key.split("/") for key in golden if key.endswith("/tokens")]
    return [(name, backend, int(bins)) for name, backend, bins, _ in streams]


def test_golden_encoding(golden):
    assert len(keys(golden)) > 0
    for name, backend, bins in keys(golden):
        found = reference.encode(golden[f"{name}/vertices"], golden[f"{name}/faces"], backend, bins)
        for what, array in zip(("tokens", "face_order", "face_type"), found, strict=True):
            np.testing.assert_array_equal(array, golden[f"{name}/{backend}/{bins}/{what}"], f"{name} {backend} {bins}")


def test_golden_decoding(golden):
    for name, backend, bins in keys(golden):
        key = f"{name}/{backend}/{bins}/"
        found = reference.decode(golden[key + "tokens"], backend, bins)
        for what, array in zip(("vertices", "faces", "face_type"), found, strict=True):
            np.testing.assert_array_equal(array, golden[f"{key}decoded_{what}"], key)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_face_once_and_back(mesh, backend):
    vertices, faces = mesh
    tokens, order, face_type = reference.encode(vertices, faces, backend, 1024)
    assert sorted(order.tolist()) == list(range(len(faces)))
    decoded_vertices, decoded_faces, decoded_type = reference.decode(tokens, backend, 1024)
    np.testing.assert_array_equal(face_type, decoded_type)
    cells = np.array(reference.quantise(np.asarray(vertices), 1024))
    expected = np.sort(reference.dequantise(cells[faces[order]].reshape(-1, 3), 1024).reshape(-1, 3, 3), axis=1)
    np.testing.assert_array_equal(np.sort(decoded_vertices[decoded_faces], axis=1), expected)


def test_one_triangle_by_hand():
    vertices = np.array([[-1.0, -1.0, -1.0], [0.0, -1.0, -1.0], [-1.0, 0.0, 1.0]])
    # No half edge has a twin, so the last one is the start: opposite vertex 2, from vertex 0 to vertex 1.
    tokens, order, face_type = reference.encode(vertices, [[0, 1, 2]], "LR_ABSCO", 4)
    assert tokens.tolist() == [2, *(3 + np.array([0, 2, 3, 0, 0, 0, 2, 0, 0]))]
    assert (order.tolist(), face_type.tolist()) == ([0], [2])
    tokens, _, _ = reference.encode(vertices, [[0, 1, 2]], "LR", 4)
    assert tokens.tolist() == [2, *(7 + np.array([0, 2, 3, 0, -2, -3, 2, 0, 0]))]
    tokens, _, face_type = reference.encode(vertices, [[0, 1, 2]], "CLERS", 4)
    assert tokens.tolist() == [5, *(15 + np.array([0, 2, 3, 0, -2, -3, 2, 0, 0])), 2, 6]
    assert face_type.tolist() == [2]


def test_faces_that_repeat_a_vertex_have_no_twin_of_their_own():
    first, second = reference.build_half_edges([(0, 0, 0)] * 3, [[0, 1, 0], [0, 1, 2]])
    # [0, 1, 0] has the edge 0-1 twice; the first of them waits for another face, the second has no twin.
    assert first.half_edges[0].twin is second.half_edges[2]
    assert first.half_edges[2].twin is None
    assert second.half_edges[2].twin is first.half_edges[0]


def test_third_face_at_an_edge_has_no_twin_there():
    a, b, c = reference.build_half_edges([(0, 0, 0)] * 5, [[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    assert a.half_edges[2].twin is b.half_edges[2]
    assert c.half_edges[2].twin is None


def test_a_split_whose_other_side_was_consumed_becomes_an_l(zoo):
    """On a torus the walk meets itself: fewer E than S would not decode."""
    tokens, _, face_type = reference.encode(*zoo["torus"], "CLERS", 512)
    op = reference.Language("CLERS", 512).op
    splits, ends = (face_type == op["S"]).sum(), (face_type == op["E"]).sum()
    assert ends == splits + 1
    assert reference.Language("CLERS", 512).grammar.validate(tokens) is None


def test_relative_values_out_of_range():
    # Unfolding the first triangle over its long edge predicts a corner far outside.
    vertices = np.array([[-1, -1, 0], [1, 1, 0], [1, -1, 0], [-0.9, -1, 0.0]])
    faces = [[0, 1, 2], [1, 0, 3]]
    vertices[2], vertices[3] = [-0.9, -1, 0], [-1, -0.9, 0]
    vertices[0], vertices[1] = [1, 1, 0], [0.9, 1, 0]
    with pytest.raises(ValueError, match=r"face \d has the relative value -?\d+, outside \[-8, 8\)"):
        reference.encode(vertices, faces, "LR", 8)
    tokens, _, _ = reference.encode(vertices, faces, "LR", 8, mark_out_of_range=True)
    assert (tokens == -1).any()
    tokens, _, _ = reference.encode(vertices, faces, "CLERS", 8)
    assert len(reference.decode(tokens, "CLERS", 8)[1]) == 2


@pytest.mark.parametrize("backend", ["LR", "CLERS"])
def test_values_off_the_grid_are_refused_with_their_position(zoo, backend):
    tokens = reference.encode(*zoo["patch"], backend, 16)[0]
    zero = reference.Language(backend, 16).zero
    tokens[3] = zero - 1
    with pytest.raises(ValueError, match=r"token 3: z becomes -1"):
        reference.decode(tokens, backend, 16)
    tokens[-3 if backend == "LR" else 12] = zero + 15
    assert reference.decode_prefix(tokens, backend, 16)[3].position == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_prefix_gives_the_faces_that_are_whole(zoo, backend):
    tokens = reference.encode(*zoo["tetrahedron"], backend, 64)[0]
    whole = reference.decode(tokens, backend, 64)
    for length in range(len(tokens)):
        vertices, faces, face_type, violation = reference.decode_prefix(tokens[:length], backend, 64)
        assert len(faces) == max(0, (length - 6) // 4) if length < 22 else 4
        np.testing.assert_array_equal(faces, whole[1][: len(faces)])
        np.testing.assert_array_equal(vertices, whole[0][: len(vertices)])
        assert len(face_type) == len(faces)
        if violation is None:
            assert length == 0 or (length - 6) % 4 == 0
        else:
            assert violation.position == length


def test_a_million_faces_deep_is_no_recursion():
    """The longest way is one strip; here long enough for any recursion limit."""
    count = 3000
    x = np.linspace(-1, 1, count)
    vertices = np.stack([x, np.arange(count) % 2 * 0.1, np.zeros(count)], axis=1)
    faces = np.stack([np.arange(count - 2), np.arange(1, count - 1), np.arange(2, count)], axis=1)
    for backend in BACKENDS:
        tokens, _, _ = reference.encode(vertices, faces, backend, 4096)
        assert len(reference.decode(tokens, backend, 4096)[1]) == count - 2


def test_ties_in_the_order_go_by_index():
    vertices = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]] * 3)
    _, order, _ = reference.encode(vertices, [[6, 7, 8], [0, 1, 2], [3, 4, 5]])
    assert order.tolist() == [0, 1, 2]
