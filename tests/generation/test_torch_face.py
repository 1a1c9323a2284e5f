"""The torch backend's step: its device part has fixed shapes and waits for nothing; one copy each way."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from core.generation import SamplingConfig
from core.generation.face_state import DRAWS
from core.generation.torch_face import StepInputs, StepTable, TorchFaceBackend
from tests.generation.small import masked_engine
from tests.generation.test_face_decoder import TOKENIZER, make, requests

GUIDED = SamplingConfig("sample", candidates=4, refuse_faces=True, end_cover=0.2)


def running_backend(config=GUIDED, steps=5) -> TorchFaceBackend:
    """With three of four slots running, by the way that GPUs take."""
    stepper = masked_engine(make(ends=False), TOKENIZER, config, 4).stepper
    with torch.no_grad():
        for slot, request in enumerate(requests(3)):
            stepper.admit(slot, request)
        for _ in range(steps):
            stepper.step()
    return stepper.backend


def device_inputs(backend: TorchFaceBackend) -> tuple[StepTable, int, int]:
    state = backend.state
    inputs, _ = backend._observe(state, state.rows.computed)
    return StepTable(inputs), state.cache.bound(state.rows), backend._history_span(state)


@pytest.mark.parametrize("config", [GUIDED, SamplingConfig("greedy"), SamplingConfig("sample", top_p=0.9, min_p=0.1)])
def test_the_device_part_has_no_shape_and_no_branch_that_depends_on_a_value(config):
    """Fake tensors have shapes and no values: whatever asks for a value raises."""
    backend = running_backend(config)
    table, bound, span = device_inputs(backend)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        packed = mode.from_tensor(torch.from_numpy(table.array))
        out = backend.draw(table, packed, bound, span)
        assert out.shape == (4, 4 * config.num_candidates + 1)
        with pytest.raises(DataDependentOutputException):
            out.sum().item()  # the test would see it


class Copies(TorchDispatchMode):
    """Counts what waits for a device: values that are read on the host."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_dim"):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def test_a_step_reads_nothing_of_the_device_but_its_result():
    backend = running_backend()
    with torch.inference_mode(), Copies() as copies:
        backend.step(backend.state)
    assert copies.names == []
    with torch.inference_mode(), Copies() as copies:
        bool(torch.ones(2).any())
    assert copies.names  # the test would see it


def test_inputs_cross_as_they_are():
    backend = running_backend()
    inputs, _ = backend._observe(backend.state, backend.state.rows.computed)
    table = StepTable(inputs)
    assert table.array.dtype == np.int32
    got = table.unpack(torch.from_numpy(table.array))
    for sent, received in zip((*inputs.observed, *inputs[1:]), (*got.observed, *got[1:]), strict=True):
        assert np.array_equal(np.asarray(sent), received.numpy())
    assert isinstance(got, StepInputs)
    assert got.uniform.shape == (4, GUIDED.num_candidates, DRAWS)
