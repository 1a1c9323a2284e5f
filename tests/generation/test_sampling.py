"""Choosing ids: each filter against its definition; what repetition control and refused faces do to meshes."""

from collections import Counter

import numpy as np
import pytest
import torch

from core.generation import Engine, Request
from core.generation.faces import FaceGuard, GuardedStream
from core.generation.sampling import SamplingConfig, sample, uniform_numbers
from core.tokens import Tokenizer, TokenizerConfig
from tests.generation.small import GREEDY, as_lists, make, requests, run

LOGITS = torch.tensor([2.0, -torch.inf, 1.0, 0.0, -3.0, 1.5])


def drawn(config: SamplingConfig, count: int = 20000) -> torch.Tensor:
    """Share of each id among draws at evenly spaced places."""
    uniform = torch.linspace(0, 1, count + 1)[:-1]
    return sample(LOGITS.expand(count, -1), config, uniform).bincount(minlength=len(LOGITS)) / count


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 100}, [0, 2, 3, 4, 5]),
        ({"top_k": 2}, [0, 5]),
        ({"top_p": 0.5}, [0, 5]),  # 0.447 alone is too little
        ({"top_p": 0.4}, [0]),
        ({"min_p": 0.3}, [0, 2, 5]),  # e^-1 = 0.37 is kept, e^-2 is not
        ({"min_p": 0.3, "top_p": 0.5}, [0, 5]),
        ({"min_p": 0.5, "temperature": 4.0}, [0, 2, 3, 5]),
        ({"top_k": 4, "top_p": 0.98, "temperature": 0.5}, [0, 2, 5]),
    ],
)
def test_filters_keep_the_likeliest(options, kept):
    config = SamplingConfig(**{"top_k": 100, **options})
    expected = torch.zeros(len(LOGITS))
    expected[kept] = (LOGITS[kept] / config.temperature).softmax(-1)
    assert torch.allclose(drawn(config), expected, atol=1e-3)


def test_the_draw_never_leaves_the_possible():
    config, largest = SamplingConfig(top_k=100), torch.tensor([1 - 2**-24])
    for size in range(2, 40):
        logits = torch.randn(1, size, generator=torch.Generator().manual_seed(size))
        logits[:, size // 2 :] = -torch.inf
        assert int(sample(logits, config, largest)) < size // 2


def test_numbers_depend_on_the_seed_alone():
    assert torch.equal(uniform_numbers(3, 50), uniform_numbers(3, 5000)[:50])
    assert not torch.equal(uniform_numbers(3, 50), uniform_numbers(4, 50))


@pytest.mark.parametrize(
    ("option", "value"),
    [("top_p", 0.0), ("min_p", 1.5), ("repetition_penalty", 0.0), ("repetition_window", 0)],
)
def test_bad_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option} {value}"):
        SamplingConfig(**{option: value})


def test_repetition_penalty_avoids_what_was_just_written():
    made_of = make(ends=False)
    windowed = SamplingConfig(generate_mode="greedy", repetition_penalty=1e30, repetition_window=6)
    plain, varied = (run(made_of, requests(4), config, slots=2) for config in (GREEDY, windowed))
    assert as_lists(varied) == as_lists(run(made_of, requests(4), windowed))
    for key, made in varied.items():
        ids = made.ids.tolist()
        for at, id in enumerate(ids):
            assert id < 6 or id not in ids[max(0, at - 6) : at]  # 16 bins: there is always another coordinate
        said = plain[key].ids.tolist()
        assert any(id >= 6 and id in said[max(0, at - 6) : at] for at, id in enumerate(said))


def test_face_guard():
    a, b, c, d = (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)
    guard = FaceGuard()
    assert guard.refused_corners(a, b) == {a, b}
    guard.add(a, b, c)
    guard.add(b, a, d)
    assert guard.refused_corners(a, b) == {a, b, c, d}
    assert guard.refused_corners(c, b) == {b, c, a}
    assert guard.refused_corners(c, d) == {c, d}


def spoiled(ids: np.ndarray, tokenizer: Tokenizer) -> int:
    """Faces that repeat one or have coinciding corners, from the decoded mesh."""
    vertices, faces = tokenizer.decode(ids)
    corners = [frozenset(map(tuple, vertices[face].tolist())) for face in faces]
    twice = sum(count - 1 for count in Counter(corners).values())
    return twice + sum(len(face) < 3 for face in corners)


@pytest.mark.parametrize("config", [TokenizerConfig(5), TokenizerConfig(5, use_meto=False)], ids=["LR_ABSCO", "naive"])
def test_duplicate_and_degenerate_faces_are_refused(config):
    made_of = make(ends=False, config=config)
    free, refusing = SamplingConfig(top_k=100), SamplingConfig(top_k=100, refuse_faces=True)
    assert sum(spoiled(made.ids, made_of[1]) for made in run(made_of, requests(6), free, slots=3).values()) > 0
    made = run(made_of, requests(6), refusing, slots=3)
    assert [spoiled(each.ids, made_of[1]) for each in made.values()] == [0] * 6
    assert as_lists(made) == as_lists(run(made_of, requests(6), refusing))
    prefixed = [Request(r.condition, r.seed, r.max_new_tokens, made[r.key].ids[:14], key=r.key) for r in requests(6)]
    assert as_lists(run(made_of, prefixed, refusing, slots=6)) == as_lists(made)


def test_stream_knows_the_gate_of_each_turn():
    tokenizer = Tokenizer(TokenizerConfig(discrete_bins=16))
    stream, (left, right, bom, value) = GuardedStream(tokenizer), (3, 4, 5, 6)
    p, q, r, s = ([value + x for x in corner] for corner in ([0, 0, 0], [1, 2, 3], [1, 2, 5], [1, 2, 7]))
    for id in [bom, *p, *q, *r[:2]]:
        stream.feed(id)
    assert stream.refused() == [q[2]]  # p is elsewhere
    stream.feed(r[2])  # gate: tip p, start q, end r
    for id in [left, *s[:2]]:  # on the edge p-r, whose face has q
        stream.feed(id)
    assert sorted(stream.refused()) == sorted([q[2], r[2]])
    stream.feed(s[2])  # gate: tip s, start p, end r
    for id in [right, *q[:2]]:  # on the edge p-s, whose face has r
        stream.feed(id)
    assert sorted(stream.refused()) == sorted([r[2], s[2]])


def test_refusing_needs_absolute_coordinates():
    with pytest.raises(ValueError, match="--refuse_faces needs coordinates as they are"):
        Engine(*make("CLERS"), SamplingConfig(refuse_faces=True))
