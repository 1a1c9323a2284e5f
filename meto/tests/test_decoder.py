"""Decoding while tokens come in gives what decoding them all at once does."""

import numpy as np
import pytest

from meto import BatchDecoder, Decoder, Engine

BACKENDS = ("LR_ABSCO", "LR", "CLERS")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("step", [1, 3, 7, 10**6])
def test_faces_come_out_as_tokens_go_in(backend, step, zoo):
    engine = Engine(64, backend=backend)
    for name in ("two_tori", "holes", "moebius", "fan", "triangle"):
        tokens, _, _ = engine.encode(*zoo[name], mark_out_of_range=True)
        if tokens.min() < 0:
            continue
        decoder = Decoder(64, backend)
        triangles = np.concatenate([decoder.feed(tokens[i : i + step]) for i in range(0, len(tokens), step)])
        decoder.finish()
        vertices, faces, face_type = engine.decode(tokens)
        np.testing.assert_array_equal(triangles, vertices[faces])
        for a, b in zip(decoder.mesh(), (vertices, faces, face_type), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        assert (decoder.num_faces, decoder.position) == (len(faces), len(tokens))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_face_comes_with_its_last_token(backend, zoo):
    engine = Engine(64, backend=backend)
    tokens, _, _ = engine.encode(*zoo["patch"])
    decoder = Decoder(64, backend)
    given = 0
    for n, token in enumerate(tokens, start=1):
        given += len(decoder.feed(int(token)))
        assert given == len(engine.salvage(tokens[:n])[1])


def test_a_refused_token_changes_nothing():
    decoder = Decoder(64)
    decoder.feed([2, *[3] * 8])
    for wrong in (0, 2, 67, -1, 2**40):
        with pytest.raises(ValueError, match="token 9: "):
            decoder.feed(wrong)
    with pytest.raises(ValueError, match="token 9: the stream ends inside"):
        decoder.finish()
    assert len(decoder.feed(3)) == 1
    decoder.finish()
    with pytest.raises(ValueError, match="token 14: "):
        decoder.feed([0, 3, 3, 3, 3])
    assert decoder.position == 14
    assert len(decoder.feed([])) == 1, "the face finished before the error"


def test_a_value_off_the_grid_is_refused_at_once():
    decoder = Decoder(16, "LR")
    decoder.feed([2, *[19] * 9, 0])
    with pytest.raises(ValueError, match="token 11: the relative value leaves the grid"):
        decoder.feed(18)
    assert len(decoder.feed([34, 19, 19])) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_streams_in_lock_step(backend, zoo):
    engine = Engine(64, backend=backend)
    streams = [engine.encode(v * 0.4, f)[0] for v, f in zoo.values()]
    padded = np.full((len(streams), max(map(len, streams))), -1)
    for row, tokens in zip(padded, streams, strict=True):
        row[: len(tokens)] = tokens
    batch = BatchDecoder(len(streams), 64, backend)
    for column in padded.T[:100]:
        batch.feed(column)
    batch.feed(padded[:, 100:])
    assert batch.violations == [None] * len(streams)
    assert batch.positions.tolist() == [len(tokens) for tokens in streams]
    for i, tokens in enumerate(streams):
        expected = engine.decode(tokens)
        for a, b in zip(batch.mesh(i), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert batch.num_faces[i] == len(expected[1])


def test_a_wrong_token_stops_its_stream_alone():
    batch = BatchDecoder(3, 64)
    batch.feed([2, 0, 2])
    batch.feed(np.full((3, 9), 3))
    assert batch.num_faces.tolist() == [1, 0, 1]
    assert batch.positions.tolist() == [10, 0, 10]
    assert [v and v.position for v in batch.violations] == [None, 0, None]
    batch.reset(1)
    batch.feed([-1, 2, -1])
    assert batch.violations == [None] * 3
    assert batch.positions.tolist() == [10, 1, 10]


@pytest.mark.parametrize("backend", BACKENDS)
def test_value_ranges_are_the_tokens_that_stay_on_the_grid(backend, zoo):
    engine = Engine(8, backend=backend)
    tokens, _, _ = engine.encode(zoo["patch"][0] * 0.4, zoo["patch"][1])
    for n in range(0, 120, 7):
        batch = BatchDecoder(engine.num_tokens, 8, backend)
        batch.feed(np.tile(tokens[:n], (engine.num_tokens, 1)))
        first, last = batch.value_ranges[0]
        batch.feed(np.arange(engine.num_tokens))
        taken = [v is None for v in batch.violations]
        if first < last:
            assert taken == [first <= token < last for token in range(engine.num_tokens)]
        else:
            assert not any(taken[engine.num_special_tokens :])


def test_gates_are_the_latest_faces(zoo):
    engine = Engine(64)
    tokens, _, _ = engine.encode(*zoo["patch"])
    batch = BatchDecoder(2, 64)
    assert (batch.gates == -1).all()
    batch.feed(np.stack([tokens[:34], np.r_[tokens[:10], np.full(24, -1)]]))
    vertices, faces, _ = engine.decode(tokens)
    assert batch.num_faces[0] > 3
    cells = ((vertices + 1) * 32).astype(int)
    np.testing.assert_array_equal(batch.gates, cells[faces[batch.num_faces - 1]])


@pytest.mark.parametrize("tokens", [[2], [[2]], 2, [[[2]], [[2]]], [2.5, 2], ["a", "b"], None])
def test_tokens_of_another_shape_are_refused(tokens):
    with pytest.raises(ValueError, match="tokens"):
        BatchDecoder(2).feed(tokens)


def test_bad_sizes_and_streams_are_refused():
    with pytest.raises(ValueError, match="batch_size is 0"):
        BatchDecoder(0)
    with pytest.raises(ValueError, match="stream 2 of 2"):
        BatchDecoder(2).mesh(2)
    with pytest.raises(ValueError, match="discrete_bins is 1"):
        Decoder(1)
