"""What training costs, from the sizes alone: floating-point operations, memory, and the speed of the machine at hand.

python -m core.training.estimate ArAE --batch_size 4        # a table for common GPUs: computed, not measured
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from core.model.arae import FACE_VOCABULARY_SPECIAL, ArAE, ArAEConfig
from core.model.coordinate_priors import NUM_PRIORS
from core.model.face_decoder import FaceDecoder
from core.model.face_head import POINTER_DIM

GIB = 2**30
# Bytes a parameter: float32 weight, gradient and two moments of AdamW; and its bf16 copy in a step under autocast.
STATIC_BYTES, COPY_BYTES = 16, 2
# Bytes that a decoder layer keeps for its backward pass, per position and channel, under autocast: the residual stream
# and its norms in float32, the rest (q, k, v and their casts, the MLP's input and output) in two bytes; two masks.
KEPT_BYTES, KEPT_MLP_BYTES = 36.0, 2.0
BACKWARD_BYTES = 24.0  # gradients in flight in one layer
# Tokens a group of the face decoder, on artist meshes (4.46 tokens and 1.15 groups a face).
TOKENS_PER_GROUP = 3.87
# Per pair of groups of a mesh: the pointer's scores in float32, their softmax and gradient, masks.
PAIR_BYTES = 14.0
LABEL_BYTES = 14.0  # logits in bf16 and float32, their softmax and gradient, per label and word
CUDA_CONTEXT = 1.5 * GIB


def forward_flops(config: ArAEConfig, vocab_size: int, lengths: Sequence[int]) -> float:
    """Operations of the matrix products in one forward pass over meshes of so many tokens (BOS or EOS included).

    Multiplying and adding count as two. Attention counts as far as it is causal; padding and what activation
    checkpointing repeats do not count: these are the model's operations, not the hardware's.
    """
    decoder = config.decoder
    dim, mlp = decoder.hidden_dim, decoder.intermediate_dim or 4 * decoder.hidden_dim
    is_face = decoder.decoder == "face"
    ends = _face_ends_flops(config, vocab_size) if is_face else 2 * dim * vocab_size
    total = 0.0
    for length in lengths:
        steps = length / TOKENS_PER_GROUP if is_face else length
        positions = steps + config.num_cond_tokens
        products = 2 * positions * (4 * dim**2 + 2 * dim * mlp)  # a gated MLP is as large, by design
        total += decoder.num_layers * (products + 2 * positions**2 * dim) + steps * ends
        total += POINTER_DIM * steps**2 * is_face
    return total + len(lengths) * (_point_encoder_flops(config) if config.cond_mode == "point" else 0.0)


def _point_encoder_flops(config: ArAEConfig) -> float:
    encoder, dim = config.point_encoder, config.decoder.hidden_dim
    points, size, width = encoder.point_num, encoder.point_latent_size, encoder.point_hidden_dim
    context = 2 * points * (51 * width + 2 * width**2)
    queries = 2 * size * (2 * width**2 + 12 * width**2 + width * encoder.point_latent_dim)
    attention = 4 * size * points * width
    return context + queries + attention + 2 * size * encoder.point_latent_dim * dim


def _face_ends_flops(config: ArAEConfig, vocab_size: int) -> float:
    """Operations of the face decoder's input and head for one group."""
    with torch.device("meta"):
        bins = vocab_size - FACE_VOCABULARY_SPECIAL
        decoder = FaceDecoder(config.decoder, config.steps, bins, config.use_face_count)
    total = 0
    for name, module in [*decoder.input.named_modules(), *decoder.head.named_modules()]:
        if isinstance(module, torch.nn.Linear):
            steps = config.steps
            shown = {
                "near_set": 2 * steps.near_points,
                "spread_set": steps.spread_points,
                "open_set": 2 * steps.near_open,
                "open_key": steps.near_open,
            }.get(name.split(".")[0], 1)
            total += 2 * shown * module.weight.numel()
    return total


def step_flops(config: ArAEConfig, vocab_size: int, lengths: Sequence[int]) -> float:
    """Operations of a training step: the backward pass takes twice those of the forward pass."""
    return 3 * forward_flops(config, vocab_size, lengths)


def matmul_peak(
    device: torch.device, precision: str, seconds: float = 0.3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Operations a second, by `clock`, of the fastest of a few square matrix products in the training precision."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    sizes = (1024, 4096, 8192) if device.type == "cuda" else (512, 1024)
    return max(_matmul_speed(size, dtype, device, seconds / len(sizes), clock) for size in sizes)


def _matmul_speed(
    size: int, dtype: torch.dtype, device: torch.device, seconds: float, clock: Callable[[], float]
) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, until = 0.0, time.perf_counter() + seconds
    a @ b
    while best == 0.0 or time.perf_counter() < until:
        _synchronise(device)
        begun = clock()
        for _ in range(4):
            a @ b
        _synchronise(device)
        best = max(best, 4 * 2 * size**3 / (clock() - begun))
    return best


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes on each device."""

    parameters: int
    """Parameters, a number and not bytes."""
    static: float
    """Weights, gradients, moments and the low-precision copy."""
    activations: float
    """Kept between the forward and the backward pass, and the largest temporaries."""

    @property
    def total(self) -> float:
        return self.static + self.activations


def memory(
    config: ArAEConfig,
    vocab_size: int,
    lengths: Sequence[int],
    *,
    checkpointing: bool,
    low_precision: bool = True,
    shards: int = 1,
) -> Memory:
    """Memory of a training step on meshes of so many tokens.

    Args:
        lengths: tokens of each mesh of the largest batch of one process.
        checkpointing: activations of one layer at a time, of the others their inputs alone.
        low_precision: bf16 or fp16 under autocast.
        shards: processes that weights, gradients and moments are divided among (FSDP).
    """
    parameters = count_parameters(config, vocab_size)
    static = parameters * (STATIC_BYTES + (COPY_BYTES if low_precision else 0)) / shards
    decoder = config.decoder
    is_face = decoder.decoder == "face"
    steps = [length / TOKENS_PER_GROUP for length in lengths] if is_face else list(lengths)
    positions = sum(steps) + len(lengths) * config.num_cond_tokens
    dim, mlp = decoder.hidden_dim, decoder.intermediate_dim or 4 * decoder.hidden_dim
    wider = 1.0 if low_precision else 1.5
    layer = positions * (KEPT_BYTES * dim + KEPT_MLP_BYTES * mlp) * wider
    layers = layer + 4 * positions * dim * decoder.num_layers if checkpointing else layer * decoder.num_layers
    in_flight = positions * dim * BACKWARD_BYTES * wider
    head = sum(steps) * vocab_size * LABEL_BYTES
    if is_face:  # three coordinates, the maps of each, and the pointer
        head = sum(steps) * vocab_size * (3 * LABEL_BYTES + 4 * sum(NUM_PRIORS)) + PAIR_BYTES * sum(n**2 for n in steps)
    return Memory(parameters, static, layers + in_flight + head + len(lengths) * _point_encoder_bytes(config) * wider)


def _point_encoder_bytes(config: ArAEConfig) -> float:
    """Per mesh: embedded points (float32, norm, casts, keys and values), and the queries' wide MLP."""
    if config.cond_mode != "point":
        return 0.0
    encoder = config.point_encoder
    return encoder.point_hidden_dim * (encoder.point_num * 14.0 + encoder.point_latent_size * 60.0)


def count_parameters(config: ArAEConfig, vocab_size: int) -> int:
    """Parameters of the model, its image tower aside, without making it."""
    with torch.device("meta"):
        if config.cond_mode == "image":  # its tower would be loaded; the rest is as for points, but for the projection
            from dataclasses import replace

            config = replace(config, cond_mode="point_latent", freeze_encoder=False, use_num_face_cond=False)
            config = replace(config, num_cond_tokens=config.expected_cond_tokens())
        return sum(p.numel() for p in ArAE(config, vocab_size).parameters())


def describe(need: Memory) -> str:
    """The estimate in words."""
    return (
        f"{need.total / GIB:.1f} GiB: {need.parameters / 1e6:,.1f} M parameters with gradients and moments "
        f"{need.static / GIB:.1f}, activations {need.activations / GIB:.1f}"
    )


GPUS = {"A100 80 GB": (312e12, 80e9), "H100 80 GB": (989e12, 80e9)}  # bf16 peak of the data sheet (dense), memory
STATED_MFU = 0.4


def table(config: ArAEConfig, vocab_size: int, batch_size: int) -> list[str]:
    """Lines of Markdown: memory and time a step for sequences of several lengths; computed, not measured."""
    lines = [
        "| tokens a mesh | checkpointing | static GiB | activations GiB | TFLOP a step | "
        + " | ".join(f"{gpu}: s a step" for gpu in GPUS)
        + " |",
        "|---|---|---|---|---|" + "---|" * len(GPUS),
    ]
    longest = config.decoder.max_seq_length
    for length in sorted({min(longest, n) for n in (longest // 40, longest // 10, longest // 4, longest)}):
        for checkpointing in (False, True):
            lengths = [length] * batch_size
            need = memory(config, vocab_size, lengths, checkpointing=checkpointing)
            flops = step_flops(config, vocab_size, lengths)
            repeated = 4 / 3 if checkpointing else 1.0
            times = [
                f"{flops * repeated / (STATED_MFU * peak):.2f}" if need.total + CUDA_CONTEXT < size else "does not fit"
                for peak, size in GPUS.values()
            ]
            cells = [f"{length:,}", "yes" if checkpointing else "no", f"{need.static / GIB:.1f}"]
            cells += [f"{need.activations / GIB:.1f}", f"{flops / 1e12:,.1f}", *times]
            lines.append("| " + " | ".join(cells) + " |")
    return lines
