"""Logits that are no numbers: they end one mesh, and neither its neighbours, those after it, nor the process."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import kernels
from core.generation import Request
from core.generation.native_face import sampling_struct
from core.generation.sampling import SamplingConfig, can_choose
from tests.generation import small, test_face_decoder

POISONED, REQUESTS = 2, 7
WAYS = ("native", "torch", "masked")
FACE_CONFIGS = {
    "greedy": test_face_decoder.GREEDY,
    "sample": SamplingConfig("sample", refuse_faces=True),
    "guided": SamplingConfig("sample", candidates=4, refuse_faces=True),
}


def poison(asked: list[Request]) -> list[Request]:
    """One of the conditions gets a NaN; attention carries it to every logit."""
    condition = asked[POISONED].condition.clone()
    condition[0, 0] = torch.nan
    return [*asked[:POISONED], replace(asked[POISONED], condition=condition), *asked[POISONED + 1 :]]


def run_face(asked, config, slots, way, monkeypatch):
    with monkeypatch.context() as patch:
        if way != "native":
            patch.setattr(kernels, "load", lambda: None)
        return test_face_decoder.run(test_face_decoder.make(), asked, config, slots, masked=way == "masked")


def run_tokens(asked, config, slots, way, monkeypatch):
    with monkeypatch.context() as patch:
        if way != "native":
            patch.setattr(kernels, "load", lambda: None)
        return small.as_lists(small.run(small.make(), asked, config, slots, masked=way == "masked"))


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("name", FACE_CONFIGS)
@pytest.mark.parametrize("way", WAYS)
def test_a_face_decoder_ends_that_mesh_alone(way, name, slots, monkeypatch):
    asked, config = test_face_decoder.requests(REQUESTS), FACE_CONFIGS[name]
    expected = run_face(asked, config, slots, way, monkeypatch)
    # As if the NaN came up in the decoder itself: what is asked for is checked before.
    monkeypatch.setattr(Request, "is_finite", True)
    made = run_face(poison(asked), config, slots, way, monkeypatch)
    assert made.pop(POISONED) == ([], "invalid")
    del expected[POISONED]
    assert made == expected


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("config", [small.GREEDY, small.SAMPLE], ids=["greedy", "sample"])
@pytest.mark.parametrize("way", WAYS)
def test_a_token_decoder_ends_that_mesh_alone(way, config, slots, monkeypatch):
    asked = small.requests(REQUESTS)
    expected = run_tokens(asked, config, slots, way, monkeypatch)
    monkeypatch.setattr(Request, "is_finite", True)
    made = run_tokens(poison(asked), config, slots, way, monkeypatch)
    assert made.pop(POISONED) == ([], "invalid")
    del expected[POISONED]
    assert made == expected


@pytest.mark.parametrize("run", [run_face, run_tokens])
def test_a_condition_that_is_no_number_is_not_computed_on(run, monkeypatch):
    module = test_face_decoder if run is run_face else small
    made = run(poison(module.requests(REQUESTS)), module.SAMPLE, 3, "native", monkeypatch)
    assert made[POISONED] == ([], "invalid")
    assert [key for key, (_, ending) in made.items() if ending == "invalid"] == [POISONED]
    assert len(made) == REQUESTS


def test_points_that_are_no_numbers_are_not_looked_at(monkeypatch):
    asked = test_face_decoder.requests(4)
    points = asked[1].points.copy()
    points[5, 1] = np.inf
    asked[1] = replace(asked[1], points=points)
    made = run_face(asked, test_face_decoder.SAMPLE, 2, "native", monkeypatch)
    assert [key for key, (_, ending) in made.items() if ending == "invalid"] == [1]


LOGITS = np.array(
    [
        [0.5, 1, -np.inf, 2],
        [0.5, np.nan, -np.inf, 2],
        [0.5, 1, np.inf, 2],
        [-np.inf] * 4,
        [np.nan] * 4,
        [-np.inf, -np.inf, -3e38, -np.inf],
    ],
    np.float32,
)
VALID = [True, False, False, False, False, True]


def test_it_is_known_whether_something_can_be_chosen():
    assert can_choose(torch.from_numpy(LOGITS)).tolist() == VALID


@pytest.mark.skipif(kernels.load() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("options", [{"generate_mode": "greedy"}, {"top_k": 2}, {"top_p": 0.5, "min_p": 0.1}], ids=str)
def test_the_native_choice_is_never_an_index_beyond_the_logits(options):
    how = sampling_struct(SamplingConfig(**options))
    wide = np.concatenate([LOGITS, np.full((len(LOGITS), 600), -np.inf, np.float32)], axis=1)
    wide[1, 300:] = np.nan  # among them what a sort by `>` would lose its way in
    for logits in (LOGITS, wide):
        ids = kernels.choose(how, 1.0, logits, np.full(len(logits), 0.9, np.float32))
        assert ((ids >= 0) == VALID).all()
        assert (ids < 4).all()
