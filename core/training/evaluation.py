"""Meshes of a model in training beside the true ones: arg-max and generated, measured and drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.data.batch import Batch
from core.data.finish import finish
from core.data.mesh import Mesh
from core.data.metrics import chamfer
from core.generation import SamplingConfig, generate
from core.groups import to_ids
from core.model.arae import ArAE, ArAEOutput
from core.tokens import PAD, Tokenizer

PICTURE_SIZE = 320  # pixels
# Budget of a generated mesh: that of the longest true one of its batch, and some.
BUDGET_FACTOR, BUDGET_SPARE = 1.25, 32


class GeneratedMesh(NamedTuple):
    """A mesh, finished as inference does it, and whether its token sequence ended with EOS."""

    mesh: Mesh
    finished: bool


def true_meshes(batch: Batch, tokenizer: Tokenizer) -> list[Mesh]:
    """The meshes that the batch's tokens encode."""
    return [_mesh(ids, tokenizer) for ids in batch.ids[:, 1:].cpu().numpy()]


def argmax_meshes(output: ArAEOutput, batch: Batch, tokenizer: Tokenizer) -> list[Mesh]:
    """Meshes of the likeliest tokens, each predicted from the true ones before it, by one forward pass.

    Each token is chosen among those that the grammar allows in the true one's place whatever follows: a coordinate
    for a coordinate, a turn for a turn. So the tokens encode a complete mesh.

    Args:
        output: of the batch; the face decoder's with `predict`.
    """
    if output.groups is not None:
        assert output.groups.predicted is not None
        assert batch.steps is not None
        parts = torch.split(output.groups.predicted.cpu(), batch.steps.lengths.tolist())
        return [_mesh(to_ids(part.numpy()), tokenizer) for part in parts]
    assert output.logits is not None
    lengths = ((batch.ids != PAD).sum(1) - 1).tolist()
    kind = torch.as_tensor(interchangeable(tokenizer), device=output.logits.device)  # (vocab,)
    logits = output.logits.masked_fill(kind[output.labels].unsqueeze(1) != kind, -torch.inf)
    return [_mesh(ids.cpu().numpy(), tokenizer) for ids in torch.split(logits.argmax(-1), lengths)]


def interchangeable(tokenizer: Tokenizer) -> np.ndarray:
    """(vocab,) a number for each id, the same for ids that lead the grammar from any state to the same one."""
    grammar = tokenizer.grammar
    moves = np.concatenate([grammar.next_state.reshape(-1, grammar.num_classes), grammar.open_change[None]])
    classes: np.ndarray = np.unique(moves, axis=1, return_inverse=True)[1].reshape(-1)[grammar.token_class]
    return classes


def is_coordinate(tokenizer: Tokenizer, device: torch.device) -> Tensor:
    """(vocab,) whether an id is a coordinate; the others are ops: turns, beginnings and ends."""
    grammar = tokenizer.grammar
    coordinates = [name == "coordinate" for name in grammar.class_names]
    return torch.as_tensor(np.array(coordinates)[grammar.token_class], device=device)


@torch.no_grad()
def generated_meshes(model: ArAE, batch: Batch, tokenizer: Tokenizer) -> list[GeneratedMesh]:
    """Meshes generated greedily from the batch's conditions, in float32."""
    longest = int((batch.ids != PAD).sum(1).max())
    budget = min(int(BUDGET_FACTOR * longest) + BUDGET_SPARE, model.config.decoder.max_seq_length + 1)
    # Under autocast the cache would hold keys of another type than is computed; and one row gains nothing from bf16.
    with torch.autocast(batch.ids.device.type, enabled=False):
        condition = model.condition(model.encode(batch.points, batch.latents, batch.images), batch.num_faces)
        seeds, config = list(range(len(batch))), SamplingConfig(generate_mode="greedy")
        points = None if batch.points is None else batch.points.float().cpu().numpy()
        counts = batch.num_faces.tolist()
        sequences = generate(
            model.mesh_decoder, condition, tokenizer, budget, config, seeds, points=points, num_faces=counts
        )
    return [GeneratedMesh(_mesh(sequence.ids, tokenizer), sequence.finished) for sequence in sequences]


def compare(generated: Sequence[GeneratedMesh], truth: Sequence[Mesh]) -> dict[str, tuple[float, float]]:
    """(sum, count) of: share of meshes that ended, their faces over the true number, and the Chamfer distance."""
    pairs = [(result.mesh, mesh) for result, mesh in zip(generated, truth, strict=True) if len(result.mesh.faces)]
    return {
        "generated_finished": (sum(result.finished for result in generated), len(generated)),
        "generated_faces_ratio": (sum(len(a.faces) / len(b.faces) for a, b in pairs), len(pairs)),
        "generated_chamfer": (sum(chamfer(a, b) for a, b in pairs), len(pairs)),
    }


def draw_sheet(rows: Sequence[dict[str, Mesh]]) -> np.ndarray:
    """A picture (H, W, 3) uint8: a row of meshes each, under the titles that are their keys."""
    from core.data.render import contact_sheet, render

    pictures = [[render(mesh, size=PICTURE_SIZE) if len(mesh.faces) else None for mesh in row.values()] for row in rows]
    labels = [[f"{len(mesh.faces)} faces" for mesh in row.values()] for row in rows]
    return contact_sheet(pictures, labels, header=list(rows[0]))


def _mesh(ids: np.ndarray, tokenizer: Tokenizer) -> Mesh:
    return finish(Mesh(*tokenizer.decode(ids)))
