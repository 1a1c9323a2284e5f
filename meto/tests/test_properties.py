"""Properties of every mesh and every token stream, by hypothesis: the native engine against the oracle among them."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meto import Engine, reference

BACKENDS = ("LR_ABSCO", "LR", "CLERS")
BINS = (2, 3, 8, 64, 513, 4096, 65536)

# The machine may be busy with other things: slowness is no failure.
usual = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

backends = st.sampled_from(BACKENDS)
bins = st.sampled_from(BINS)


@st.composite
def soups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Any faces over few vertices, on a coarse grid half of the time: everything touches everything."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_vertices, num_faces = draw(st.integers(1, 12)), draw(st.integers(1, 30))
    vertices = rng.uniform(-1, 1, (num_vertices, 3))
    if draw(st.booleans()):
        vertices = np.round(vertices * 2) / 2
    return vertices.astype(np.float32), rng.integers(0, num_vertices, (num_faces, 3))


@st.composite
def surfaces(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A grid, rolled up or not, with holes, handles (vertices glued together) and faces turned over."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width, height = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    wrap = draw(st.tuples(st.booleans(), st.booleans()))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    corners = [(x + i) % width + (y + j) % height * width for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    inside = (wrap[0] | (x < width - 1)) & (wrap[1] | (y < height - 1))
    quads = np.stack(corners, axis=-1)[inside]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    faces = faces[rng.random(len(faces)) >= draw(st.sampled_from([0, 0.1, 0.4]))]
    turned = rng.random(len(faces)) < draw(st.sampled_from([0, 0.2]))
    faces[turned] = faces[turned, ::-1]
    glued = np.arange(width * height)
    for _ in range(draw(st.integers(0, 3))):
        glued[rng.integers(width * height)] = rng.integers(width * height)
    vertices = rng.uniform(-1, 1, (width * height, 3)) * 0.1 + np.stack([x, y, x * y], axis=-1).reshape(-1, 3) / 100
    return vertices.astype(np.float32), glued[faces]


meshes = st.one_of(soups(), surfaces())


def halved(vertices: np.ndarray) -> np.ndarray:
    """In the lower half of the grid, where LR has a token for every residual."""
    return vertices * np.float32(0.49) - np.float32(0.5)


def triangles(vertices: np.ndarray, faces: np.ndarray, num_bins: int) -> list[list[tuple[int, ...]]]:
    """Each face as the sorted cells of its corners (which way round it runs is not kept); sorted."""
    cells = np.array(reference.quantise(vertices, num_bins)).reshape(-1, 3).tolist()
    return sorted(sorted(tuple(cells[i]) for i in face) for face in faces)


def outcome(function: Any, *arguments: Any) -> tuple[str, Any]:
    """What a function returns, or the position that its ValueError names."""
    try:
        return "result", function(*arguments)
    except ValueError as error:
        return "error", int(re.match(r"(?:token|face) (\d+)", str(error))[1])


def assert_same(found: tuple[str, Any], expected: tuple[str, Any]) -> None:
    assert found[0] == expected[0], (found, expected)
    if found[0] == "error":
        assert found[1] == expected[1]
        return
    for a, b in zip(found[1], expected[1], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@usual
@given(meshes, backends, bins)
def test_native_is_the_oracle(mesh, backend, num_bins):
    engine = Engine(num_bins, backend=backend)
    expected = outcome(reference.encode, *mesh, backend, num_bins)
    assert_same(outcome(engine.encode, *mesh), expected)
    if expected[0] == "result":
        tokens = expected[1][0]
        assert (engine.grammar.validate(tokens) is None) == (len(mesh[1]) > 0)  # no faces are codable, but no mesh
        assert_same(outcome(engine.decode, tokens), outcome(reference.decode, tokens, backend, num_bins))


@usual
@given(meshes, backends, bins)
def test_round_trip(mesh, backend, num_bins):
    vertices, faces = mesh
    tokens, order, face_type = Engine(num_bins, backend=backend).encode(halved(vertices), faces)
    assert sorted(order.tolist()) == list(range(len(faces)))
    decoded_vertices, decoded_faces, decoded_type = Engine(num_bins, backend=backend).decode(tokens)
    np.testing.assert_array_equal(decoded_type, face_type)
    assert triangles(decoded_vertices, decoded_faces, num_bins) == triangles(halved(vertices), faces, num_bins)


@usual
@given(meshes, backends, st.integers(0, 2**32 - 1))
def test_surface_does_not_depend_on_the_order_of_faces_and_vertices(mesh, backend, seed):
    vertices, faces = mesh
    rng = np.random.default_rng(seed)
    place = rng.permutation(len(vertices))
    shuffled = np.empty_like(vertices)
    shuffled[place] = halved(vertices)
    other_faces = rng.permutation(place[faces])
    engine = Engine(256, backend=backend)
    surfaces = [
        triangles(*engine.decode(engine.encode(v, f)[0])[:2], 256)
        for v, f in ((halved(vertices), faces), (shuffled, other_faces))
    ]
    assert surfaces[0] == surfaces[1]


@usual
@given(surfaces(), backends)
def test_tokens_do_not_depend_on_where_the_mesh_has_its_vertices(mesh, backend):
    """Only a vertex's position counts, not its index, as long as faces keep their order."""
    vertices, faces = mesh
    engine = Engine(64, backend=backend)
    expected = outcome(engine.encode, vertices, faces)
    assert_same(outcome(engine.encode, vertices[::-1].copy(), len(vertices) - 1 - faces), expected)


@usual
@given(meshes, backends, st.data())
def test_mutated_streams_are_refused_where_the_oracle_refuses_them(mesh, backend, data):
    engine = Engine(16, backend=backend)
    tokens = engine.encode(halved(mesh[0]), mesh[1])[0].astype(np.int64)
    assume(len(tokens))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        kind = data.draw(st.sampled_from(["change", "insert", "delete", "cut"]))
        if kind == "change":
            tokens[at] = data.draw(st.integers(-1, engine.num_tokens))
        elif kind == "insert":
            tokens = np.insert(tokens, at, data.draw(st.integers(0, engine.num_tokens - 1)))
        elif len(tokens) > 1:
            tokens = np.delete(tokens, at) if kind == "delete" else tokens[: at + 1]
    *mesh, violation = reference.decode_prefix(tokens, backend, 16)
    *salvaged, native_violation = engine.salvage(tokens)
    assert_same(("result", salvaged), ("result", mesh))
    assert (native_violation and native_violation.position) == (violation and violation.position)
    found = outcome(engine.decode, tokens)
    assert_same(found, outcome(reference.decode, tokens, backend, 16))
    assert (found[0] == "error") == (violation is not None)
    if violation is not None:
        assert found[1] == violation.position
    grammatical = engine.grammar.validate(tokens)
    if grammatical is not None:
        assert violation is not None
        assert violation.position <= grammatical.position


@usual
@given(meshes, backends)
def test_any_one_special_token_turned_into_another_kind_is_refused(mesh, backend):
    """The grammar notices every op that becomes a coordinate and every coordinate that becomes an op."""
    engine = Engine(16, backend=backend)
    tokens = engine.encode(halved(mesh[0]), mesh[1])[0]
    for at in range(0, len(tokens), 3):
        changed = tokens.copy()
        is_op = tokens[at] < engine.num_special_tokens
        changed[at] = engine.num_special_tokens if is_op else 0
        violation = engine.grammar.validate(changed)
        assert violation is not None
        assert violation.position == at
        with pytest.raises(ValueError, match=r"token \d+"):
            engine.decode(changed)


@usual
@given(st.lists(st.integers(-2, 90), max_size=60), backends)
def test_any_tokens_at_all(tokens, backend):
    engine = Engine(16, backend=backend)
    assert_same(outcome(engine.decode, np.array(tokens)), outcome(reference.decode, tokens, backend, 16))
