"""Forking and releasing slots: a copy goes on as its parent would, and neither disturbs the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import kernels
from core.generation import Engine, SamplingConfig, Stepper
from tests.generation import small, test_face_decoder
from tests.generation.small import masked_engine

WAYS = ("native", "torch", "masked")
CONFIGS = {
    "greedy": SamplingConfig("greedy"),
    "sample": SamplingConfig("sample", refuse_faces=True),
    "guided": SamplingConfig("sample", candidates=4, refuse_faces=True),
}


def build(kind: str, config: SamplingConfig, way: str, slots: int = 3):
    """A stepper, and the requests that it could serve."""
    made_of = small.make() if kind == "token" else (test_face_decoder.make(ends=False), test_face_decoder.TOKENIZER)
    asked = small.requests(4) if kind == "token" else test_face_decoder.requests(4)
    with pytest.MonkeyPatch.context() as patch:
        if way != "native":
            patch.setattr(kernels, "load", lambda: None)
        engine = (masked_engine if way == "masked" else Engine)(*made_of, config, slots)
    return engine.stepper, asked


def finish(stepper: Stepper, slots: list[int]) -> dict[int, tuple]:
    """Step until these slots have ended -> their ids and why they ended."""
    ended: dict[int, tuple] = {}
    while set(slots) - ended.keys():
        for slot, reason in stepper.step().items():
            ended[slot] = (stepper.ids(slot).tolist(), reason)
    return {slot: ended[slot] for slot in slots}


def alone(kind: str, config: SamplingConfig, way: str, which: int) -> tuple:
    stepper, asked = build(kind, config, way, slots=1)
    stepper.admit(0, asked[which])
    return finish(stepper, [0])[0]


CASES = [(kind, name, way) for kind in ("token", "face") for name in CONFIGS for way in WAYS]
CASES = [case for case in CASES if case[:2] != ("token", "guided")]


@pytest.mark.parametrize(("kind", "name", "way"), CASES)
@torch.inference_mode()
def test_a_fork_goes_on_as_its_parent_would(kind, name, way):
    """The same draws give the same mesh, bit for bit: that of a slot which was never forked."""
    config = CONFIGS[name]
    stepper, asked = build(kind, config, way)
    stepper.admit(0, asked[1])
    stepper.admit(1, asked[2])
    stepper.step()
    stepper.fork(0, 2)
    assert stepper.ids(2).tolist() == stepper.ids(0).tolist() != []
    results = finish(stepper, [0, 1, 2])
    assert results[2] == results[0] == alone(kind, config, way, 1)
    assert results[1] == alone(kind, config, way, 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["token", "face"])
@torch.inference_mode()
def test_a_fork_with_another_seed_shares_only_what_was_written(kind, way):
    """It is what resuming from those ids with that seed gives."""
    config = replace(CONFIGS["sample"], temperature=3.0)
    stepper, asked = build(kind, config, way)
    stepper.admit(0, asked[1])
    for _ in range(1 if way == "native" else 4):
        stepper.step()
    shared = stepper.ids(0).tolist()
    stepper.fork(0, 1, seed=99)
    stepper.fork(0, 2, seed=99)
    results = finish(stepper, [0, 1, 2])
    assert results[0] == alone(kind, config, way, 1)
    assert results[1] == results[2] != results[0]
    assert results[1][0][: len(shared)] == shared
    again, _ = build(kind, config, way, slots=1)
    resumed = replace(asked[1], seed=99, prefix=np.array(shared))
    again.check(resumed)
    again.admit(0, resumed)
    assert finish(again, [0])[0] == results[1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["token", "face"])
@torch.inference_mode()
def test_a_released_slot_serves_forks_and_requests_and_disturbs_nobody(kind, way):
    config = CONFIGS["sample"]
    stepper, asked = build(kind, config, way)
    for slot in range(3):
        stepper.admit(slot, asked[slot])
    stepper.step()
    stepper.release(1)
    stepper.fork(0, 1)
    stepper.release(0)  # the parent goes first
    stepper.admit(0, asked[3])
    results = finish(stepper, [0, 1, 2])
    for slot, which in enumerate((3, 0, 2)):
        assert results[slot] == alone(kind, config, way, which)
