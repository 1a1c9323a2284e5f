"""The native engine: equal to the reference's record, and to itself whatever form its input has; bad input is named."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import meto
from meto import Engine, SurfaceBatch, Violation
from meto.surface import estimate_normals, to_groups

BACKENDS = ("LR_ABSCO", "LR", "CLERS")


def assert_equal(found, expected, what=""):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, what)


def streams(golden):
    keys = [key.removesuffix("/tokens") for key in golden if key.endswith("/tokens")]
    assert len(keys) > 0
    return [(key, *key.split("/")) for key in keys]


def test_golden_encoding(golden):
    for key, name, backend, bins in streams(golden):
        found = Engine(int(bins), backend=backend).encode(golden[f"{name}/vertices"], golden[f"{name}/faces"])
        assert_equal(found, [golden[f"{key}/{what}"] for what in ("tokens", "face_order", "face_type")], key)


def test_golden_decoding(golden):
    for key, _, backend, bins in streams(golden):
        found = Engine(int(bins), backend=backend).decode(golden[f"{key}/tokens"])
        assert_equal(found, [golden[f"{key}/decoded_{what}"] for what in ("vertices", "faces", "face_type")], key)


@pytest.mark.parametrize(
    ("backend", "base", "special"), [("LR_ABSCO", 128, 3), ("LR", 256, 3), ("CLERS", 512, 7)], ids=BACKENDS
)
def test_vocabulary(backend, base, special):
    engine = Engine(128, backend=backend)
    assert (engine.num_base_tokens, engine.num_special_tokens, engine.num_tokens) == (base, special, base + special)
    assert engine.grammar.num_tokens == engine.num_tokens


def test_arguments_by_position_and_name():
    engine = Engine(64, False, "CLERS")
    assert (engine.discrete_bins, engine.verbose, engine.backend) == (64, False, "CLERS")
    assert (Engine().discrete_bins, Engine().verbose, Engine().backend) == (512, False, "LR_ABSCO")


@pytest.mark.parametrize("bins", [2, 3, 100, 65535, 65536])
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_bins(backend, bins, zoo):
    engine = Engine(bins, backend=backend)
    vertices, faces = zoo["torus"]
    tokens, order, _ = engine.encode(vertices, faces)
    decoded_vertices, decoded_faces, _ = engine.decode(tokens)
    error = np.sort(decoded_vertices[decoded_faces], axis=1) - np.sort(vertices[faces[order]].astype("f4"), axis=1)
    assert np.abs(error).max() <= 1.001 / bins + 1e-6


@pytest.mark.parametrize("bins", [1, 0, -5, 65537, 2**40])
def test_bad_number_of_bins_is_named(bins):
    with pytest.raises(ValueError, match=f"discrete_bins is {bins}"):
        Engine(bins)


def test_unknown_backend_is_named():
    with pytest.raises(ValueError, match=r'"EB".*"LR_ABSCO", "LR" or "CLERS"'):
        Engine(backend="EB")


# ---- the form of the input ------------------------------------------------------------------------------------------


FORMS = {
    "float64": lambda v, f: (v.astype(np.float64), f),
    "float16": lambda v, f: (v.astype(np.float16), f),
    "fortran": lambda v, f: (np.asfortranarray(v), np.asfortranarray(f)),
    "strided": lambda v, f: (np.repeat(v, 2, axis=0)[::2], np.repeat(f, 3, axis=1)[:, ::3]),
    "reversed": lambda v, f: (v[::-1][::-1], f[::-1][::-1]),
    "big_endian": lambda v, f: (v.astype(">f4"), f.astype(">i4")),
    "read_only": lambda v, f: (np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape), f),
    "lists": lambda v, f: (v.tolist(), f.tolist()),
    "float_faces": lambda v, f: (v, f.astype(np.float32)),
} | {
    dtype: lambda v, f, dtype=dtype: (v, f.astype(dtype))
    for dtype in ("int8", "uint8", "int16", "uint16", "int64", "uint32", "uint64")
}


@pytest.mark.parametrize("form", FORMS)
def test_any_dtype_and_memory_order(form, zoo):
    # On a grid that float16 holds, of which no cell's border is a coordinate.
    vertices = (np.round(zoo["torus"][0] * 64) / 64 + 1 / 256).astype(np.float32)
    faces = zoo["torus"][1].astype(np.int32)
    engine = Engine(64)
    expected = engine.encode(vertices, faces)
    assert_equal(engine.encode(*FORMS[form](vertices, faces)), expected)
    tokens = FORMS[form](vertices, np.repeat(expected[0][:, None], 3, axis=1))[1] if form not in ("int8",) else None
    if tokens is not None:
        tokens = np.asarray(tokens)[:, 0] if np.asarray(tokens).max() < 255 else expected[0].astype(np.int64)
        assert_equal(engine.decode(tokens), engine.decode(expected[0]))


def test_integer_vertices_are_coordinates():
    tokens, _, _ = Engine(4).encode([[-1, 0, 1], [0, 0, 0], [1, 1, 0]], [[0, 1, 2]])
    assert sorted(tokens[1:].tolist()) == sorted(3 + np.array([0, 2, 3, 2, 2, 2, 3, 3, 2]))


def test_no_faces_are_no_tokens(zoo):
    for empty in (np.zeros((0, 3), np.int32), [], np.zeros((0, 3))):
        for backend in BACKENDS:
            engine = Engine(backend=backend)
            tokens, order, face_type = engine.encode(zoo["patch"][0], empty)
            assert len(tokens) == len(order) == len(face_type) == 0
            vertices, faces, face_type = engine.decode(tokens)
            assert vertices.shape == faces.shape == (0, 3)
            assert len(face_type) == 0
    assert len(Engine().encode([], [])[0]) == 0


def test_rounding_beyond_the_range_is_taken():
    vertices = np.array([[1.000001, -1.000001, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    tokens, _, _ = Engine(16).encode(vertices, [[0, 1, 2]])
    assert tokens.min() >= 2
    assert tokens.max() == 3 + 15


def patched(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


V, F = [[0.0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]], [[0, 1, 2]]


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (patched(V, (1, 2), np.nan), F, r"vertex 1 has z = -?nan"),
        (patched(V, (2, 0), np.inf), F, r"vertex 2 has x = inf"),
        (patched(V, (0, 1), 1e300), F, r"vertex 0 has y = inf"),
        (patched(V, (1, 0), -1.01), F, r"vertex 1 has x = -1.01.*\[-1, 1\]"),
        (V, [[0, 1, 2], [0, 1, 3]], r"face 1 has vertex index 3; there are 3 vertices"),
        (V, [[0, -1, 2]], r"face 0 has vertex index -1"),
        (V, np.array([[0, 1, 2**62]]), r"face 0 has vertex index 4611686018427387904"),
        (V, np.array([[0, 1, 2**64 - 1]], np.uint64), r"18446744073709551615"),
        (V, [[0, 1, 1.5]], r"1\.5; a whole number"),
        (V, [[0, 1, np.nan]], r"nan; a whole number"),
        (V, [[0, 1, 2, 0]], r"faces have shape \(1, 4\)"),
        (V, [0, 1, 2], r"faces have shape \(3,\)"),
        ([0.0, 1, 2], F, r"vertices have shape \(3,\)"),
        (np.zeros((3, 3), complex), F, r"vertices have dtype complex128"),
        ([["a", "b", "c"]], F, r"vertices have dtype"),
        (V, np.array([[True, False, True]]), r"faces have dtype bool"),
        ([], F, r"there are 0 vertices"),
    ],
)
def test_bad_meshes_are_refused_by_name(vertices, faces, message):
    for backend in BACKENDS:
        with pytest.raises(ValueError, match=message):
            Engine(backend=backend).encode(vertices, faces)


def test_residual_without_a_token_names_its_face_or_is_marked():
    # Both corners opposite the common edge lie at the far end of the grid: -7 - 7 is below -8.
    vertices = np.array([[-1, -1, -1], [1, 1, -1], [1, 1, -1], [-1, -1, -1]], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    with pytest.raises(ValueError, match=r"face [01] has the relative [xy] value -14; LR has tokens for \[-8, 8\)"):
        Engine(8, backend="LR").encode(vertices, faces)
    tokens, order, _ = Engine(8, backend="LR").encode(vertices, faces, mark_out_of_range=True)
    assert (tokens == -1).sum() == 2
    assert sorted(order.tolist()) == [0, 1]
    with pytest.raises(ValueError, match=f"token {np.argmax(tokens == -1)}: the token is outside the vocabulary"):
        Engine(8, backend="LR").decode(tokens)
    for backend in ("LR_ABSCO", "CLERS"):
        assert Engine(8, backend=backend).encode(vertices, faces)[0].min() >= 0


# ---- decoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_prefix_is_refused_or_whole(backend, zoo):
    engine = Engine(64, backend=backend)
    tokens, _, _ = engine.encode(*zoo["two_tori"])
    vertices, faces, _ = engine.decode(tokens)
    for n in range(len(tokens)):
        found_vertices, found_faces, found_type, violation = engine.salvage(tokens[:n])
        assert violation is None or violation == Violation(n, violation.reason)
        assert violation == engine.grammar.validate(tokens[:n]) or n == 0 or violation.position == n
        np.testing.assert_array_equal(found_faces, faces[: len(found_faces)])
        np.testing.assert_array_equal(found_vertices, vertices[: len(found_vertices)])
        assert len(found_type) == len(found_faces)
        if violation is not None:
            with pytest.raises(ValueError, match=f"token {n}: "):
                engine.decode(tokens[:n])
            assert_equal(engine.decode(tokens[:n], strict=False), (found_vertices, found_faces, found_type))


@pytest.mark.parametrize(
    ("backend", "tokens", "position"),
    [
        ("LR_ABSCO", [0], 0),
        ("LR_ABSCO", [2, 3, 3, 3, 3, 3, 3, 3, 3, 2], 9),
        ("LR_ABSCO", [2, *[3] * 9, 3], 10),
        ("LR_ABSCO", [2, *[3] * 8, 67], 9),
        ("LR_ABSCO", [2, *[3] * 9, 1, 3, 3, 3, 2**31], 14),
        ("LR_ABSCO", [-(2**40)], 0),
        ("LR", [2, 3, *[67] * 8], 1),
        ("LR", [2, *[67] * 9, 0, 67, 66, 67], 12),
        ("CLERS", [5, *[135] * 9, 2, 135], 11),
        ("CLERS", [5, *[135] * 9, 6], 10),
        ("CLERS", [5, *[135] * 9, 4, *[135] * 3, 2, 6], 15),
        ("CLERS", [5, *[135] * 9, 2, 6, 0], 12),
        ("CLERS", [5, *[135] * 9, 2], 11),
        ("CLERS", [5, *[135] * 9, 5], 10),
    ],
)
def test_malformed_tokens_are_refused_at_their_position(backend, tokens, position):
    with pytest.raises(ValueError, match=f"token {position}: "):
        Engine(64, backend=backend).decode(tokens)
    assert Engine(64, backend=backend).salvage(tokens)[3].position == position


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_of_another_backend_are_refused(backend, zoo):
    for other in set(BACKENDS) - {backend}:
        tokens, _, _ = Engine(128, backend=backend).encode(*zoo["torus"])
        with pytest.raises(ValueError, match="token "):
            Engine(128, backend=other).decode(tokens)


@pytest.mark.parametrize("tokens", [[[2]], 2, ["L"], None, [2.5], [np.nan], np.array([1j])])
def test_what_is_no_token_array_is_refused(tokens):
    with pytest.raises(ValueError, match="tokens"):
        Engine().decode(tokens)


# ---- as an object ---------------------------------------------------------------------------------------------------


def test_pickling_keeps_every_setting(zoo):
    engine = Engine(100, verbose=False, backend="CLERS")
    other = pickle.loads(pickle.dumps(engine))
    assert repr(other) == repr(engine) == "Engine(discrete_bins=100, verbose=False, backend='CLERS')"
    assert_equal(other.encode(*zoo["torus"]), engine.encode(*zoo["torus"]))


def test_verbose_prints_a_line_a_mesh(capsys):
    Engine(16, verbose=True).encode(V, F)
    assert capsys.readouterr().out == "meto LR_ABSCO/16: 3 vertices, 1 faces, 1 sub-meshes, 10 tokens (10.00 a face)\n"


def test_one_engine_for_many_threads(zoo):
    engine = Engine(256)
    meshes = [zoo[name] for name in ("torus", "holes", "moebius", "soup", "patch")] * 20
    expected = [engine.encode(*mesh) for mesh in meshes]
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(lambda mesh: engine.encode(*mesh), meshes), expected, strict=True):
            assert_equal(found, right)


def sheet(n):
    """A flat grid of n x n vertices."""
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    vertices = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3) / n
    a = (y * n + x)[:-1, :-1].ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + n + 1], -1), np.stack([a, a + n + 1, a + n], -1)])
    return vertices.astype(np.float32), faces.astype(np.int32)


def long_calls():
    """Calls that take tens of milliseconds, nearly all of them in native code."""
    engine, (vertices, faces) = Engine(), sheet(400)
    tokens = np.tile(engine.encode(*sheet(200))[0], 40)
    groups = to_groups(Engine(64).encode(*sheet(40))[0])
    cloud = np.random.default_rng(0).uniform(-1, 1, (20000, 3)).astype(np.float32)
    return {
        "encode": lambda: engine.encode(vertices, faces),
        "decode": lambda: engine.decode(tokens),
        "encode_batch": lambda: engine.encode_batch([vertices] * 2, [faces] * 2, threads=1),
        "replay": lambda: SurfaceBatch(1, 64).replay(groups, cloud[:1000]),
        "estimate_normals": lambda: estimate_normals(cloud),
    }


def share_of_the_longest_stop(call):
    """The longest time that this thread stood still while another one was in `call`, over the time of the call."""
    seconds, done = [], threading.Event()

    def work():
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
        done.set()

    worker = threading.Thread(target=work)
    last, longest = time.perf_counter(), 0.0
    worker.start()
    while not done.is_set():
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)
    worker.join()
    return max(longest, time.perf_counter() - last) / seconds[0]


@pytest.mark.parametrize("name", ["encode", "decode", "encode_batch", "replay", "estimate_normals"])
def test_other_threads_run_while_native_code_does(name):
    """Held, the interpreter's lock would stop this thread for most of each call."""
    call = long_calls()[name]
    assert np.median([share_of_the_longest_stop(call) for _ in range(5)]) < 0.5


def test_scratch_memory_is_not_shared_with_a_finalizer(zoo):
    """Garbage collection may run Python code, and that encode, in the middle of an encoding."""
    engine = Engine(64)
    expected = engine.encode(*zoo["torus"])

    class Encodes:
        def __del__(self):
            engine.encode(*zoo["soup"])

    for _ in range(2000):
        cycle = Encodes()
        cycle.itself = cycle
        del cycle
        assert_equal(engine.encode(*zoo["torus"]), expected)


def test_version_and_names():
    assert set(meto.__all__) <= set(dir(meto))
    for name in ("Engine", "Decoder", "Grammar", "load_mesh", "normalize_mesh", "sort_mesh"):
        assert name in meto.__all__
