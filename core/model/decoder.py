"""Auto-regressive decoder of mesh tokens: a post-norm transformer in OPT's shape (arXiv 2205.01068).

Parameter names are those of the reference's checkpoints, which therefore load as they are.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.model.layers import LAYER_NORM_EPS, Attend, causal_attention
from core.model.packed import packed_attention

# The reference's position table has these rows to spare: its checkpoints' shapes depend on it.
SPARE_POSITIONS = 10
INIT_STD = 0.02


@dataclass(frozen=True)
class DecoderConfig:
    decoder: Literal["token", "face"] = "token"
    """token: a step of the decoder writes a token (the reference's). face: a step writes a face, four tokens or so."""
    max_seq_length: int = 10240
    """Longest mesh in tokens, without BOS, EOS and the condition."""
    hidden_dim: int = 1024
    """Width of the decoder."""
    intermediate_dim: int | None = None
    """Width of its MLPs; None is 4 x hidden_dim."""
    num_layers: int = 24
    """Layers of the decoder."""
    num_heads: int = 16
    """Attention heads of the decoder."""
    dropout: float = 0.1
    """Dropout on both branches of each layer while training."""
    head_dim: int | None = None
    """Width of the face decoder's heads; None is 2 x hidden_dim."""

    def __post_init__(self):
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"--hidden_dim {self.hidden_dim} is not divisible by --num_heads {self.num_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--dropout {self.dropout}: a probability in [0, 1) is needed")


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with biases."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.q_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        return self.out_proj(attend(*self.heads(x)))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (..., H, D) of x (..., C)."""
        q, k, v = (proj(x).unflatten(-1, (self.num_heads, -1)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return q, k, v


class DecoderLayer(nn.Module):
    """x = LN(x + attn(x)); x = LN(x + mlp(x)): the post-norm of the original transformer."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        dim = config.hidden_dim
        self.dropout = config.dropout
        self.self_attn = SelfAttention(dim, config.num_heads)
        self.self_attn_layer_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(dim, config.intermediate_dim or 4 * dim)
        self.fc2 = nn.Linear(config.intermediate_dim or 4 * dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        attended = F.dropout(self.self_attn(x, attend), self.dropout, self.training)
        return self.after_attention(x, attended)

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """The position-wise part: norms and MLP."""
        x = self.self_attn_layer_norm(x + attended)
        hidden = F.dropout(self.fc2(F.relu(self.fc1(x))), self.dropout, self.training)
        return self.final_layer_norm(x + hidden)


class Transformer(nn.Module):
    """Token and position embeddings and the stack of layers; positions count from the first condition token."""

    def __init__(self, config: DecoderConfig, vocab_size: int, num_cond_tokens: int):
        super().__init__()
        num_positions = config.max_seq_length + num_cond_tokens + SPARE_POSITIONS
        self.embd = nn.Embedding(vocab_size, config.hidden_dim)
        self.embed_positions = nn.Embedding(num_positions, config.hidden_dim)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        """Embedded inputs (B, T, C) -> hidden states (B, T, C)."""
        return self._through_layers(x + self._positions(x.shape[1]), causal_attention)

    def forward_packed(self, x: Tensor, is_real: Tensor) -> Tensor:
        """`forward` of sequences of different lengths, without computing on their padding.

        Args:
            x: (B, T, C) embedded inputs, padded on the right.
            is_real: (B, T) bool, False on the padding.

        Returns:
            (N, C) hidden states of the N real positions, sequence after sequence.
        """
        x = x + self._positions(x.shape[1])
        return self._through_layers(x[is_real], partial(packed_attention, lengths=is_real.sum(1).tolist()))

    def compile_layers(self) -> None:
        """torch.compile the position-wise part of each layer. Attention is a kernel already, and is recompiled whenever
        the sequences' lengths change."""
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            layer.after_attention = torch.compile(layer.after_attention, dynamic=True)  # type: ignore[method-assign]

    def _positions(self, count: int) -> Tensor:
        if count > self.embed_positions.num_embeddings:
            raise ValueError(
                f"a sequence of {count} tokens, condition included, does not fit the decoder's "
                f"{self.embed_positions.num_embeddings} positions: raise --max_seq_length"
            )
        return self.embed_positions.weight[:count]

    def _through_layers(self, x: Tensor, attend: Attend) -> Tensor:
        for layer in self.layers:
            if self.checkpointing and self.training:
                x = checkpoint(layer, x, attend, use_reentrant=False)
            else:
                x = layer(x, attend)
        return x


class MeshDecoder(nn.Module):
    """The transformer and its language-model head (no bias, not tied to the token embedding)."""

    def __init__(self, config: DecoderConfig, vocab_size: int, num_cond_tokens: int):
        super().__init__()
        self.config = config
        self.model = Transformer(config, vocab_size, num_cond_tokens)
        self.lm_head = nn.Linear(config.hidden_dim, vocab_size, bias=False)
        self.apply(_init_weights)
        for layer in self.model.layers:
            assert isinstance(layer, DecoderLayer)
            nn.init.normal_(layer.self_attn.out_proj.weight, std=INIT_STD / (2 * config.num_layers) ** 0.5)

    def forward_packed(self, condition: Tensor, ids: Tensor, is_real: Tensor) -> Tensor:
        """`forward` of the real positions only, the condition's and those of `is_real` (B, T) -> (N, C)."""
        is_real = torch.cat([is_real.new_ones(condition.shape[:2]), is_real], dim=1)
        return self.model.forward_packed(torch.cat([condition, self.model.embd(ids)], dim=1), is_real)

    def forward(self, condition: Tensor, ids: Tensor) -> Tensor:
        """Condition tokens (B, S, C) followed by ids (B, T) -> hidden states (B, S + T, C) before the head."""
        return self.model(torch.cat([condition, self.model.embd(ids)], dim=1))


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
