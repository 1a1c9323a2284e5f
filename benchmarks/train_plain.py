"""A plain training step, as benchmarks/train.py compares with: sequences padded to the longest, torch's attention.

The weights are those of the project's model, of either decoder, and so is the loss; heads run at labels alone in both.
Padding is on the right, so causal attention needs no mask for it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.batch import Batch
from core.groups import Steps
from core.model.arae import ArAE
from core.model.face_decoder import FaceDecoder, FaceLayer, faces_before, rotary_angles
from core.model.face_input import Points, count_features
from core.model.packed import packed_attention, packing
from core.tokens import PAD
from meto.surface import NUM_KINDS

LossOf = Callable[[ArAE, Batch], Tensor]
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Causal, of q, k and v (B, H, T, D)."""


def torch_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def padded_attention_of_ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """This project's, computed on the padding as on the rest."""
    batch, heads, longest, _ = q.shape
    q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))  # (B * T, H, D)
    attended = packed_attention(q, k, v, [longest] * batch)
    return attended.view(batch, longest, heads, -1).transpose(1, 2)


def padded_loss(model: ArAE, batch: Batch, attention: Attention = torch_attention) -> Tensor:
    """The model's loss with every layer computed on padding."""
    if isinstance(model.mesh_decoder, FaceDecoder):
        with _padded_layers(attention):
            return model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps).loss
    latent = model.encode(batch.points)
    condition = model.condition(latent, model.drop_face_counts(batch.num_faces))
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:]
    if attention is torch_attention:
        hidden = model.mesh_decoder(condition, inputs)
    else:
        hidden = model.mesh_decoder.forward_packed(condition, inputs, torch.ones_like(inputs, dtype=torch.bool))
        hidden = hidden.unflatten(0, (len(batch), -1))
    logits = model.mesh_decoder.lm_head(hidden[:, condition.shape[1] :][targets != PAD])
    loss = F.cross_entropy(logits.float(), targets[targets != PAD])
    return loss + model.config.point_encoder.kl_weight * model.latent_penalty(latent)


def _padded_layers(attention: Attention) -> AbstractContextManager:
    """A context in which the face decoder's layers see a padded batch (B, S + T, C)."""

    def through_layers(
        self: FaceDecoder, condition: Tensor, steps: Steps, points: Tensor | None, num_faces: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        packed = packing(tuple(steps.lengths.tolist()), condition.device)
        before = F.pad(steps.groups[:-1, 0].long(), (1, 0)).masked_fill(packed.number == 0, NUM_KINDS)
        counts = None
        if self.counted and num_faces is not None:
            faces = faces_before(steps.groups[:, 0], packed.number)
            counts = count_features(num_faces[packed.row], faces, steps.observed.open_edges)
        given = None if points is None else Points(points, steps.normals)
        inputs = self.input(steps.observed, given, packed.row, before, counts).to(condition.dtype)
        x = torch.cat([condition, packed.pad(inputs)], dim=1)
        batch, longest, _ = x.shape
        positions = torch.arange(longest, device=x.device).repeat(batch)
        angles = rotary_angles(positions, self.config.hidden_dim // self.config.num_heads)
        x = x.flatten(0, 1)
        for layer in self.layers:
            assert isinstance(layer, FaceLayer)
            q, k, v = (part.unflatten(0, (batch, -1)).transpose(1, 2) for part in layer.heads(x, angles))
            x = layer.after_attention(x, attention(q, k, v).transpose(1, 2).flatten(2).flatten(0, 1))
        hidden = self.norm(x).unflatten(0, (batch, -1))[:, condition.shape[1] :]
        return packed.rows(hidden), packed.number, packed.row

    return patch.object(FaceDecoder, "_through_layers", through_layers)
