"""AdamW, or Muon with AdamW, and their learning-rate schedule, a pure function of how far the run is."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from core.training.options import TrainConfig

BETAS = (0.9, 0.95)
FINAL_SHARE = 0.1  # of the learning rate, at the end of the cosine


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[tuple[Optimizer, float]]:
    """The optimizers of the trainable parameters and the highest learning rate of each.

    With `--optimizer muon` the decoder's matrices (not its tables of embeddings) are Muon's: momentum, made orthogonal
    by Newton-Schulz iterations (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).
    """
    if config.optimizer == "adamw":
        return [(build_optimizer(model, config.lr, config.weight_decay), config.lr)]
    decoder = getattr(model, "mesh_decoder", None)
    if not isinstance(decoder, nn.Module):
        raise ValueError("--optimizer muon: it is for the decoder of an ArAE, and this model has none")
    tables = {id(m.weight) for m in decoder.modules() if isinstance(m, nn.Embedding)}
    weights = [m.weight for m in decoder.modules() if isinstance(m, nn.Linear) and id(m.weight) not in tables]
    matrices = [weight for weight in weights if weight.requires_grad]
    if not matrices:
        raise ValueError("--optimizer muon: every matrix of the decoder is frozen")
    muon = Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay, momentum=BETAS[1])
    rest = build_optimizer(model, config.lr, config.weight_decay, exclude=matrices)
    return [(muon, config.muon_lr), (rest, config.lr)]


def build_optimizer(model: nn.Module, lr: float, weight_decay: float, exclude: Sequence[Tensor] = ()) -> AdamW:
    """AdamW over the trainable parameters, those of `exclude` left out.

    Matrices and tables decay; biases, norms and other vectors do not: pulling a norm's gain towards zero regularises
    nothing, and at the published 0.01 x lr the difference to decaying everything is far below the noise of a run.
    """
    others = {id(p) for p in exclude}
    trainable = [p for p in model.parameters() if p.requires_grad and id(p) not in others]
    if not trainable:
        raise ValueError("every parameter of the model is frozen: there is nothing to train")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    # One kernel for all parameters: a step of a small model on the CPU takes half the time.
    fused = {p.device.type for p in trainable} <= {"cpu", "cuda"}
    return AdamW([g for g in groups if g["params"]], lr=lr, betas=BETAS, fused=fused)


def step_optimizers(optimizers: Sequence[tuple[Any, float]], position: float, warmup_ratio: float) -> None:
    """Step all optimizers at the learning rate of `position`, scaled from the highest of each; clear the gradients."""
    for optimizer, highest in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(position, highest, warmup_ratio)
        optimizer.step()
        optimizer.zero_grad()


def learning_rate(position: float, lr: float, warmup_ratio: float) -> float:
    """Rate of the step that brings the run to `position`.

    Linear from zero over the first `warmup_ratio` of the run, then a cosine to a tenth of `lr` at its end.

    Args:
        position: how much of the run is done with this step, in (0, 1].
        lr: the highest rate.
        warmup_ratio: share of the run, in [0, 1).
    """
    position = min(max(position, 0.0), 1.0)
    if position < warmup_ratio:
        return lr * position / warmup_ratio
    falling = (position - warmup_ratio) / (1 - warmup_ratio)
    return lr * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * falling)))
