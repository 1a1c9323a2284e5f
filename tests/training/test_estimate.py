"""What the estimates say, against what a step really does."""

import itertools
import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.config import ARAE, ARAE_NANO_FACE, ARAE_TINY_TOKEN, with_overrides
from core.data.batch import collate
from core.data.dataset import MeshDataset
from core.data.sources import ShapesSource
from core.model.arae import ArAE
from core.tokens import Tokenizer
from core.training import curves, estimate

VOCAB = Tokenizer(ARAE_TINY_TOKEN.tokenizer).vocab_size
MESHES, LENGTH = 3, 150
LONG = 1400  # so that positions and not parameters decide


def inputs(length=LENGTH):
    ids = torch.randint(6, VOCAB, (MESHES, length + 1))
    points = torch.rand(MESHES, ARAE_TINY_TOKEN.model.point_encoder.point_num, 3)
    return ids, torch.full((MESHES,), 50), points


def test_operations_are_those_that_torch_counts(monkeypatch):
    """Attention aside, which torch counts in full where it is causal, and not at all in our kernel."""
    model = ArAE(ARAE_TINY_TOKEN.model, VOCAB)
    ids, faces, points = inputs()
    with FlopCounterMode(display=False) as counter:
        model(ids, faces, points=points)
    counted = counter.get_flop_counts()["Global"]
    products = sum(value for op, value in counted.items() if "attention" not in str(op) and "bmm" not in str(op))
    expected = estimate.forward_flops(ARAE_TINY_TOKEN.model, VOCAB, [LENGTH] * MESHES)
    positions, dim = LENGTH + 33, 256
    layers, latents = 5, 32
    encoder = ARAE_TINY_TOKEN.model.point_encoder
    attention = MESHES * (layers * 2 * positions**2 * dim + 4 * latents * 1024 * encoder.point_hidden_dim)
    assert products == pytest.approx(expected - attention, rel=0.01)


def test_operations_of_the_face_decoder():
    """Attention aside. How many tokens a group has depends on the meshes; the estimate takes an average."""
    tokenizer = Tokenizer(ARAE_NANO_FACE.tokenizer)
    source = ShapesSource(3, 60, progress=False)
    dataset = MeshDataset(source, tokenizer, ARAE_NANO_FACE.data, train=False, point_num=256, max_seq_length=512)
    batch = collate([dataset[k] for k in range(len(dataset))])
    model = ArAE(ARAE_NANO_FACE.model, tokenizer.vocab_size)
    with FlopCounterMode(display=False) as counter:
        model(batch.ids, batch.num_faces, points=batch.points)
    counted = counter.get_flop_counts()["Global"]
    products = sum(value for op, value in counted.items() if "attention" not in str(op) and "bmm" not in str(op))
    lengths = ((batch.ids != 0).sum(1) - 1).tolist()
    expected = estimate.forward_flops(ARAE_NANO_FACE.model, tokenizer.vocab_size, lengths)
    assert products == pytest.approx(expected, rel=0.25)


def bytes_kept(model, ids, faces, points):
    """What autograd keeps of a forward pass in bf16, the parameters aside."""
    kept, parameters = {}, {p.untyped_storage().data_ptr() for p in model.parameters()}
    alive = []  # so that no address is used twice

    def note(tensor):
        alive.append(tensor)
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        model(ids, faces, points=points)
    return sum(size for pointer, size in kept.items() if pointer not in parameters)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("width", [192, 320])
def test_activations_are_those_that_torch_keeps(width, checkpointing):
    """With checkpointing: the layers' inputs, and in the backward pass what one layer keeps as well."""
    config = with_overrides(ARAE_TINY_TOKEN, hidden_dim=width, dropout=0.1).model
    model = ArAE(config, VOCAB).train()
    given, layers = inputs(LONG), config.decoder.num_layers
    held = all_kept = bytes_kept(model, *given)
    if checkpointing:
        model.mesh_decoder.model.checkpointing = True
        inputs_kept = bytes_kept(model, *given)
        held = inputs_kept + (all_kept - inputs_kept) / layers
        assert held < all_kept / 2
    in_flight = MESHES * (LONG + config.num_cond_tokens) * width * estimate.BACKWARD_BYTES  # seen by no hook
    need = estimate.memory(config, VOCAB, [LONG] * MESHES, checkpointing=checkpointing)
    assert need.activations + 2 * need.parameters == pytest.approx(held + in_flight, rel=0.3)


def test_static_memory_and_sharding():
    parameters = sum(p.numel() for p in ArAE(ARAE_TINY_TOKEN.model, VOCAB).parameters())
    whole = estimate.memory(ARAE_TINY_TOKEN.model, VOCAB, [100], checkpointing=False, low_precision=False)
    shared = estimate.memory(ARAE_TINY_TOKEN.model, VOCAB, [100], checkpointing=False, low_precision=False, shards=4)
    assert whole.static == 16 * parameters == 4 * shared.static


def test_checkpointing_and_the_table():
    keeps, again = (estimate.memory(ARAE.model, 518, [4000], checkpointing=c).activations for c in (False, True))
    assert again < keeps / 5
    lines = estimate.table(ARAE.model, 518, 4)
    assert len(lines) == 2 + 8
    assert len({line.count("|") for line in lines}) == 1
    assert "does not fit" in lines[-2]


def test_peak_of_matrix_products():
    """By a clock that says a second for each look, the largest of the products is the fastest: four of 1024^3."""
    ticks = itertools.count()
    assert estimate.matmul_peak(torch.device("cpu"), "no", 0.0, lambda: float(next(ticks))) == 8 * 1024**3
    assert next(ticks) == 4


def test_curves(tmp_path):
    lines = [{"step": k, "split": "train" if k % 2 else "test", "loss": 5.0 - k} for k in range(6)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    picture = curves.sheet(tmp_path, ["loss", "step"])
    assert picture.size == (2 * curves.SIZE[0], curves.SIZE[1])
    colors = {color for _, color in picture.getcolors(1 << 20)}
    assert set(curves.COLORS[:2]) <= colors
    with pytest.raises(ValueError, match="has no accuracy"):
        curves.sheet(tmp_path, ["accuracy"])
