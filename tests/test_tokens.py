"""Ids of meshes: layout, round trip, the grammar with PAD, BOS and EOS."""

import numpy as np
import pytest

from core.tokens import BOS, EOS, ID_OFFSET, PAD, Tokenizer, TokenizerConfig

CUBE_VERTICES = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * 0.9
CUBE_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    + [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)
CASES = [
    (TokenizerConfig(discrete_bins=64), 64 + 6),
    (TokenizerConfig(discrete_bins=64, meto_backend="LR"), 2 * 64 + 6),
    (TokenizerConfig(discrete_bins=64, meto_backend="CLERS"), 4 * 64 + 10),
    (TokenizerConfig(discrete_bins=64, use_meto=False), 64 + 3),
]
every_tokenizer = pytest.mark.parametrize(("config", "vocab_size"), CASES, ids=["LR_ABSCO", "LR", "CLERS", "naive"])


def triangles(vertices: np.ndarray, faces: np.ndarray) -> set[frozenset]:
    return {frozenset(tuple(np.round(vertices[i], 4).tolist()) for i in face) for face in faces}


@every_tokenizer
def test_vocabulary(config, vocab_size):
    assert Tokenizer(config).vocab_size == vocab_size


@every_tokenizer
def test_round_trip(config, vocab_size):
    tokenizer = Tokenizer(config)
    ids = tokenizer.encode(CUBE_VERTICES, CUBE_FACES)
    assert ids.dtype == np.int64
    assert ids.min() >= ID_OFFSET
    assert ids.max() < vocab_size
    quantised = ((CUBE_VERTICES + 1) * 32).astype(int)
    snapped = ((quantised + 0.5) / 64 * 2 - 1).astype(np.float32)
    assert triangles(*tokenizer.decode(ids)) == triangles(snapped, CUBE_FACES)


@every_tokenizer
def test_grammar_takes_whole_meshes_only(config, vocab_size):
    tokenizer = Tokenizer(config)
    ids = tokenizer.encode(CUBE_VERTICES, CUBE_FACES)
    validate = tokenizer.grammar.validate
    assert len(tokenizer.grammar.token_class) == vocab_size
    assert validate(np.append(ids, EOS)) is None
    assert validate(np.append(ids, [EOS, PAD, PAD])) is None
    assert validate(ids).position == len(ids)
    assert validate(np.append(ids[:-1], EOS)).position == len(ids) - 1
    assert validate(np.insert(ids, 5, BOS)).position == 5
    assert validate(np.insert(ids, 5, PAD)).position == 5
    assert validate(np.array([EOS])).position == 0


@every_tokenizer
def test_decoding_stops_at_the_end_and_at_an_error(config, vocab_size):
    tokenizer = Tokenizer(config)
    ids = tokenizer.encode(CUBE_VERTICES, CUBE_FACES)
    whole = triangles(*tokenizer.decode(ids))
    assert triangles(*tokenizer.decode(np.concatenate([ids, [EOS, PAD], ids]))) == whole
    salvaged = triangles(*tokenizer.decode(ids[:30]))
    assert 0 < len(salvaged) < 12
    assert salvaged <= whole


@pytest.mark.parametrize("bins", [1, 0, -3, 65537])
def test_bad_bins_are_named(bins):
    with pytest.raises(ValueError, match=str(bins)):
        TokenizerConfig(discrete_bins=bins)
