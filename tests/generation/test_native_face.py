"""The face decoder's step as one native call: it computes what torch does, and chooses what torch would."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import kernels
from core.generation import Engine
from core.generation.face_stepper import FaceStepper
from core.generation.native_face import NativeFaceBackend, sampling_struct
from core.generation.sampling import SamplingConfig, sample
from core.generation.torch_face import TorchFaceBackend
from core.groups import batch_steps
from core.model.coordinate_priors import CoordinatePriors, KnownPriors
from core.model.face_head import AXES, CHOSEN, VertexDistribution
from core.tokens import BOS, EOS
from meto.surface import END, RIGHT, TURN_PHASE
from tests.generation.test_face_decoder import BINS, COND, DIM, GREEDY, SAMPLE, TOKENIZER, cloud, make, requests, run

pytestmark = pytest.mark.skipif(kernels.load() is None, reason="no C++ compiler here")

REFUSING = SamplingConfig("sample", refuse_faces=True)
CONFIGS = {
    "greedy": GREEDY,
    "sample": SAMPLE,
    "refusing": REFUSING,
    "covering": SamplingConfig("sample", end_cover=0.3),
    "guided": SamplingConfig("sample", candidates=4, refuse_faces=True),
    "filtered": SamplingConfig("sample", top_k=6, temperature=1.3, top_p=0.9, min_p=0.05),
}


def stepper_of(decoder, config=SAMPLE, slots=1) -> FaceStepper:
    stepper = Engine(decoder, TOKENIZER, config, slots).stepper
    assert isinstance(stepper, FaceStepper)
    return stepper


def by_torch(decoder, asked, config, monkeypatch, slots=3):
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "load", lambda: None)
        assert isinstance(stepper_of(decoder).backend, TorchFaceBackend)
        return run(decoder, asked, config, slots)


@pytest.mark.parametrize("sizes", [(3, 3), (16, 8), (0, 4), (5, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("points", [True, False])
@torch.inference_mode()
def test_states_and_logits_are_those_of_one_pass_without_a_cache(points, sizes):
    decoder = make(ends=False, near_points=sizes[0], spread_points=sizes[1])
    decoder.head.copy[-1].bias[0] += 2  # more of the vertices are new
    stepper = stepper_of(decoder)
    assert isinstance(stepper.backend, NativeFaceBackend)
    for request in requests(3, points=points):
        stepper.backend.trace = []
        stepper.admit(0, request)
        while not stepper.step():
            pass
        hidden, logits = (torch.from_numpy(np.concatenate(each)) for each in zip(*stepper.backend.trace, strict=True))
        _compare(decoder, request, stepper.ids(0), hidden, logits)
        stepper.release(0)


def _compare(decoder, request, ids, hidden, logits):
    """With one pass over the whole mesh, as in training; the budget has cut it, so its last face may not be whole."""
    ids = ids[: len(ids) - _cut(ids)]
    given = None if request.points is None else torch.from_numpy(request.points)[None]
    steps = batch_steps(torch.tensor([[BOS, *ids, EOS]]), given, decoder.steps, BINS)
    wished = torch.tensor([request.num_faces])
    expected, number, row = decoder._through_layers(request.condition[None], steps, given, wished)
    hidden, logits = hidden[: len(expected)], logits[: len(expected)]
    torch.testing.assert_close(hidden, expected[: len(hidden)], rtol=1e-4, atol=1e-4)
    turn = (steps.observed.phase == TURN_PHASE)[: len(hidden)]
    kinds = decoder.head.kind_logits(expected)[: len(hidden)]
    torch.testing.assert_close(logits[turn, : len(CHOSEN)], kinds[turn], rtol=1e-4, atol=1e-4)
    written = steps.groups[:, 0] != END
    points = torch.zeros(1, 0, 3) if given is None else given
    context = decoder._context(expected, steps, points, number, row, written)
    distribution = VertexDistribution(decoder.head, expected[written], steps.groups[written, 0], context)
    ours = logits[: int(written.sum()), len(CHOSEN) :].unflatten(1, (3, BINS))
    new = (ours != 0).any(-1).all(-1)  # the others are copied
    assert int(new.sum()) > 5
    for k, axis in enumerate(AXES):
        torch.testing.assert_close(ours[new, k], distribution.logits(k)[new], rtol=1e-4, atol=1e-4)
        distribution.condition_on(k, steps.groups[written, 1 + axis].long())


def _cut(ids):
    """How many ids at the end are of a face that is not whole."""
    return next(n for n in range(len(ids)) if TOKENIZER.grammar.validate([*ids[: len(ids) - n], EOS]) is None)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("points", [True, False])
def test_meshes_are_those_of_torch(points, name, monkeypatch):
    decoder = make(near_points=5, spread_points=4)
    asked = requests(6, points=points)
    made = run(decoder, asked, CONFIGS[name], slots=3)
    assert by_torch(decoder, asked, CONFIGS[name], monkeypatch) == made
    assert len({tuple(ids) for ids, _ in made.values()}) > 3


def test_face_budgets_are_those_of_torch(monkeypatch):
    decoder, asked = make(ends=False), requests(5, max_faces=6)
    made = run(decoder, asked, REFUSING, slots=2)
    assert by_torch(decoder, asked, REFUSING, monkeypatch) == made
    assert {ending for _, ending in made.values()} == {"faces"}


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("name", ["greedy", "refusing"])
def test_a_batch_of_16_equals_16_singles(name, points):
    decoder, asked = make(ends=False), requests(16, points=points)
    singles = {}
    for request in asked:
        singles |= run(decoder, [request], CONFIGS[name])
    assert run(decoder, asked, CONFIGS[name], slots=16) == singles


@pytest.mark.parametrize("name", ["greedy", "refusing"])
def test_resuming_equals_going_on(name):
    """The tables of a prefix are filled as by its steps; its faces are refused, too."""
    decoder = make(ends=False)
    for request in requests(3):
        ((ids, _ending),) = run(decoder, [request], CONFIGS[name]).values()
        for cut in range(10, 60):
            if TOKENIZER.grammar.validate([*ids[:cut], EOS]) is None:
                begun = replace(request, max_new_tokens=len(ids), prefix=np.array(ids[:cut]))
                assert next(iter(run(decoder, [begun], CONFIGS[name]).values()))[0] == ids


def test_later_requests_may_be_longer_and_have_more_points():
    """Tables and cache grow while other slots run."""
    decoder, asked = make(ends=False), requests(8)
    for k, request in enumerate(asked):
        object.__setattr__(request, "max_new_tokens", 40 + 10 * k)
    singles = {}
    for request in asked:
        singles |= run(decoder, [request], REFUSING)
    assert run(decoder, asked, REFUSING, slots=2) == singles


def test_taken_weights_and_a_rounded_cache():
    decoder, asked = make(ends=False), requests(2)
    made = {}
    for dtype in (torch.float16, torch.bfloat16):
        engine = Engine(decoder, TOKENIZER, GREEDY, 2, cache_dtype=dtype)
        assert isinstance(engine.stepper.backend, NativeFaceBackend)
        made[dtype] = {request.key: each.ids.tolist() for request, each in engine.run(iter(asked))}
    engine = Engine(decoder, TOKENIZER, GREEDY, 2, take_weights=True, cache_dtype=torch.float16)
    assert {request.key: each.ids.tolist() for request, each in engine.run(iter(asked))} == made[torch.float16]
    assert not isinstance(decoder.layers[0].fc1, torch.nn.Linear)


@pytest.mark.parametrize(("sizes", "bins"), [({"hidden_dim": 96, "num_heads": 4}, 16), ({}, 24)], ids=str)
def test_what_no_kernel_takes_goes_through_torch(sizes, bins):
    from core.groups import StepConfig
    from core.model.decoder import DecoderConfig
    from core.model.face_decoder import FaceDecoder

    config = DecoderConfig("face", max_seq_length=400, **{"hidden_dim": 64, "num_layers": 2, "num_heads": 4, **sizes})
    decoder = FaceDecoder(config, StepConfig(3, 3), bins).eval()
    assert isinstance(stepper_of(decoder).backend, TorchFaceBackend)
    assert isinstance(stepper_of(make().double()).backend, TorchFaceBackend)
    assert isinstance(stepper_of(make(), slots=64).backend, TorchFaceBackend)


@pytest.mark.parametrize(
    "options",
    [
        {"generate_mode": "greedy"},
        {"top_k": 1},
        {"top_k": 10},
        {"top_k": 500, "temperature": 0.7},
        {"top_k": 12, "top_p": 0.9},
        {"top_k": 12, "min_p": 0.2},
        {"top_k": 30, "top_p": 0.8, "min_p": 0.03, "temperature": 1.7},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [4, 128, 700])
def test_choices_are_those_of_sample(count, options):
    """Equal logits and forbidden ids among them."""
    config = SamplingConfig(**options)
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(1000, count, generator=generator) * 3
    logits[::2] = logits[::2].round()
    logits[torch.rand(logits.shape, generator=generator) < 0.3] = -torch.inf
    logits[:, 1] = 0.5
    uniform = torch.rand(len(logits), generator=generator)
    how = sampling_struct(config)
    assert np.array_equal(
        kernels.choose(how, config.temperature, logits.numpy(), uniform.numpy()),
        sample(logits, config, uniform).numpy(),
    )


@pytest.mark.parametrize("points", [0, 37, 200])
def test_priors_of_known_meshes_are_those_step_by_step(points):
    decoder, bins = make(near_points=5), BINS
    clouds = torch.from_numpy(np.stack([cloud(seed, points) for seed in range(2)]))
    streams = [run(decoder, [request], SAMPLE)[request.key][0] for request in requests(2)]
    rows = [torch.tensor([BOS, *ids[: len(ids) - _cut(ids)], EOS]) for ids in streams]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    given = clouds if points else None
    steps = batch_steps(ids, given, decoder.steps, bins)
    with torch.no_grad():
        hidden, number, row = decoder._through_layers(torch.zeros(2, COND, DIM), steps, given)
        written = steps.groups[:, 0] != END
        context = decoder._context(hidden, steps, clouds, number, row, written)
    groups = steps.groups[written]
    plain = CoordinatePriors(context.priors, context.history, groups[:, 0] == RIGHT)
    known = KnownPriors(context.priors, context.history, groups[:, 0] == RIGHT, groups)
    for k, axis in enumerate(AXES):
        expected = plain.features(k, axis)
        assert not points or expected.abs().amax((0, 2)).min() > 0  # every prior has something to compare
        torch.testing.assert_close(known.features(k, axis), expected, rtol=1e-4, atol=1e-5)
        plain.fix(axis, groups[:, 1 + axis].long())
