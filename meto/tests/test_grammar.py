"""The grammar table: what it accepts, what it refuses, and that validate agrees with running the table by hand."""

import pickle
import re

import numpy as np
import pytest

from meto import Grammar, grammar, naive_grammar

GRAMMARS = {**{b: grammar(b, 4) for b in ("LR_ABSCO", "LR", "CLERS")}, "naive": naive_grammar(4)}
BOM = {"LR_ABSCO": 2, "LR": 2, "CLERS": 5}


def run_table(table: Grammar, tokens: list[int]) -> int | None:
    """The first offending position, token by token, as the module's docstring says a sampler does it."""
    state, open_splits = table.start, 0
    for position, token in enumerate(tokens):
        if not 0 <= token < table.num_tokens:
            return position
        c = table.token_class[token]
        following = table.next_state[int(open_splits > 0), state, c]
        if following < 0:
            return position
        state, open_splits = following, max(open_splits + int(table.open_change[c]), 0)
    return None if table.accepts[int(open_splits > 0), state] else len(tokens)


def random_walk(table: Grammar, rng: np.random.Generator, length: int, finish: bool = False) -> list[int]:
    """Tokens that the table allows, every class that may come equally likely; `finish` goes on to an end."""
    state, open_splits, tokens = table.start, 0, []
    closing = [table.class_names.index(name) for name in ("E", "EOM", "coordinate") if name in table.class_names]
    while len(tokens) < length or (finish and not table.accepts[int(open_splits > 0), state]):
        allowed = np.flatnonzero(table.next_state[int(open_splits > 0), state] >= 0)
        if len(tokens) >= length and np.isin(closing, allowed).any():
            allowed = np.intersect1d(allowed, closing)[:1]
        c = rng.choice(allowed)
        tokens.append(int(rng.choice(np.flatnonzero(table.token_class == c))))
        state = table.next_state[int(open_splits > 0), state, c]
        open_splits = max(open_splits + int(table.open_change[c]), 0)
    return tokens


@pytest.mark.parametrize("name", GRAMMARS)
def test_validate_agrees_with_the_table(name):
    table, rng = GRAMMARS[name], np.random.default_rng(0)
    accepted = 0
    for trial in range(1200):
        tokens = random_walk(table, rng, int(rng.integers(0, 50)), finish=trial % 2 == 0)
        for _ in range(int(rng.integers(0, 3)) if tokens else 0):
            tokens[rng.integers(len(tokens))] = int(rng.integers(-1, table.num_tokens + 1))
        violation = table.validate(np.array(tokens, dtype=np.int64))
        assert (violation.position if violation else None) == run_table(table, tokens), tokens
        accepted += violation is None
    assert 100 < accepted < 1100  # both answers were put to the test


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_op_leads_to_one_state(name):
    """`validate` relies on it, and so may a sampler that works on whole batches."""
    table = GRAMMARS[name]
    for flag in range(2):
        for c in range(table.num_classes - 1):
            assert len({s for s in table.next_state[flag, :, c] if s >= 0}) <= 1


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_state_can_be_reached_and_left(name):
    table, rng = GRAMMARS[name], np.random.default_rng(1)
    state, open_splits, seen = table.start, 0, set()
    for token in random_walk(table, rng, 3000):
        seen.add(int(state))
        c = table.token_class[token]
        state = table.next_state[int(open_splits > 0), state, c]
        open_splits = max(open_splits + int(table.open_change[c]), 0)
    assert seen == set(range(table.num_states))


@pytest.mark.parametrize(
    ("name", "tokens", "position", "reason"),
    [
        ("LR_ABSCO", [], 0, "BOM"),
        ("LR_ABSCO", [0], 0, "BOM"),
        ("LR_ABSCO", [2, *[3] * 8], 9, "1 owed"),
        ("LR_ABSCO", [2, *[3] * 10], 10, "L, R, BOM or the end"),
        ("LR_ABSCO", [2, *[3] * 9, 0, 3, 3], 13, "1 owed"),
        ("LR_ABSCO", [2, *[3] * 9, 0, 3, 2], 12, "coordinate"),
        ("LR_ABSCO", [2, *[3] * 9, 7], 10, "not in [0, 7)"),
        ("LR", [2, *[3] * 9, -1], 10, "not in [0, 11)"),
        ("CLERS", [5, *[7] * 9, 2], 11, "only EOM"),
        ("CLERS", [5, *[7] * 9, 2, 5], 11, "only EOM"),
        ("CLERS", [5, *[7] * 9, 6], 10, "C, L, E, R or S"),
        ("CLERS", [5, *[7] * 9, 4, 7, 7, 7, 2, 6], 15, "coordinate"),
        ("CLERS", [5, *[7] * 9, 2, 6, 0], 12, "BOM or the end"),
        ("naive", [0] * 10, 10, "8 owed"),
        ("naive", [], 0, "9 owed"),
    ],
)
def test_first_offence_and_its_reason(name, tokens, position, reason):
    violation = GRAMMARS[name].validate(tokens)
    assert violation is not None
    assert violation.position == position
    assert reason in violation.reason


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("LR_ABSCO", [2, *[3] * 9, 2, *[6] * 9, 0, 3, 3, 3, 1, 3, 3, 3]),
        ("CLERS", [5, *[7] * 9, 2, 6]),
        ("CLERS", [5, *[7] * 9, 4, 7, 7, 7, 4, 7, 7, 7, 2, 7, 7, 7, 2, 7, 7, 7, 2, 6, 5, *[22] * 9, 2, 6]),
        ("naive", [3] * 18),
    ],
)
def test_whole_meshes_are_accepted(name, tokens):
    assert GRAMMARS[name].validate(tokens) is None


@pytest.mark.parametrize(
    ("backend", "special", "per_bin"), [("LR_ABSCO", 3, 1), ("LR", 3, 2), ("CLERS", 7, 4), ("naive", 0, 1)]
)
def test_vocabulary(backend, special, per_bin):
    table = naive_grammar(64) if backend == "naive" else grammar(backend, 64)
    assert table.num_tokens == special + 64 * per_bin
    assert table.class_names[-1] == "coordinate"
    np.testing.assert_array_equal(table.token_class[:special], np.arange(special))
    assert (table.token_class[special:] == special).all()


def test_golden_streams_are_accepted(golden):
    for key, tokens in golden.items():
        if key.endswith("/tokens"):
            _, backend, bins, _ = key.split("/")
            assert grammar(backend, int(bins)).validate(tokens) is None, key


def test_tables_are_read_only_and_picklable():
    table = pickle.loads(pickle.dumps(grammar("CLERS", 8)))
    assert table.validate([5, *[7] * 9, 2, 6]) is None
    with pytest.raises(ValueError, match="read-only"):
        grammar("CLERS", 8).next_state[0, 0, 0] = 1


@pytest.mark.parametrize("bins", [1, 0, -5, 65537, 2.5, "512", None])
def test_bad_bins(bins):
    with pytest.raises(ValueError, match=re.escape(repr(bins))):
        grammar("LR", bins)


def test_bad_backend_and_tokens():
    with pytest.raises(ValueError, match="'lr'.*LR_ABSCO, LR, CLERS"):
        grammar("lr", 8)
    with pytest.raises(ValueError, match="shape"):
        grammar("LR", 8).validate([[1, 2]])
    with pytest.raises(ValueError, match="whole"):
        grammar("LR", 8).validate([1.5])
