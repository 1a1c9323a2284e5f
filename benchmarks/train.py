"""Training without padding against a plain loop, and the share of the machine's matrix-product speed that it reaches.

    python benchmarks/train.py [--data FOLDER_OR_NPZ] [--threads N]

1. The ArAE-tiny preset on real meshes (`../shared/data` where it is there, else procedural shapes): useful, that is
   unpadded, tokens a second of this project's training step (packed sequences, batches by tokens) against a plain loop
   over the same meshes (batches of 4, shuffled, padded to their longest, torch's attention). Weights, optimizer,
   precision, threads and data are the same, and both run in turns, so that a busy machine slows both. A third loop
   pads but has this project's attention, which says what part of the gain is the padding's.
2. A decoder of 512 channels and 8 layers in bf16: its model operations a second over those of the fastest square matrix
   product measured in the same run (MFU).

Each figure is given by the clock and, as `_cpu_time`, by processor time, for machines that have other work too.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from core import cli
from core.config import ARAE_TINY_TOKEN as ARAE_TINY
from core.config import Config, with_overrides
from core.data.batch import Batch, BatchSampler, collate
from core.data.dataset import MeshDataset
from core.data.mesh import Mesh, normalize
from core.data.sources import FolderSource, PackedMeshes, ShapesSource
from core.model.arae import ArAE
from core.tokens import PAD, Tokenizer
from core.training.estimate import matmul_peak, step_flops
from core.training.optim import build_optimizer
from core.training.steps import seed_all

SHARED = Path(__file__).resolve().parents[2] / "shared/data/lowpoly_cc0.npz"
MESHES = 96
BATCH_TOKENS = 4096
ROUNDS = 3

Forward = Callable[[ArAE, Batch], torch.Tensor]


def packed(model: ArAE, batch: Batch) -> torch.Tensor:
    """The project's own: nothing is computed on padding."""
    return model(batch.ids, batch.num_faces, points=batch.points).loss


def plain(model: ArAE, batch: Batch, same_attention: bool = False) -> torch.Tensor:
    """What a plain loop does: sequences padded to the longest; the head at labels alone, as in `packed`."""
    latent = model.encode(batch.points)
    condition = model.condition(latent, model.drop_face_counts(batch.num_faces))
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:]
    if same_attention:
        hidden = model.mesh_decoder.forward_packed(condition, inputs, torch.ones_like(inputs, dtype=torch.bool))
        hidden = hidden.unflatten(0, (len(batch), -1))
    else:
        hidden = model.mesh_decoder(condition, inputs)
    logits = model.mesh_decoder.lm_head(hidden[:, condition.shape[1] :][targets != PAD])
    loss = F.cross_entropy(logits.float(), targets[targets != PAD])
    return loss + model.config.point_encoder.kl_weight * model.latent_penalty(latent)


def plain_same_attention(model: ArAE, batch: Batch) -> torch.Tensor:
    return plain(model, batch, same_attention=True)


class Loop:
    """A model and its optimizer, and the time it takes over batches."""

    def __init__(self, config: Config, forward: Forward):
        seed_all("weights")
        self.model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).train()
        self.optimizer = build_optimizer(self.model, 1e-4, 0.01)
        self.forward = forward
        self.losses: list[float] = []

    def step(self, batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.forward(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss.item())

    def seconds(self, batches: Iterable[Batch]) -> np.ndarray:
        """By the clock, and of all its threads' processor time, which other programs on the machine change little."""
        begun = time.perf_counter(), time.process_time()
        for batch in batches:
            self.step(batch)
        return np.array([time.perf_counter() - begun[0], time.process_time() - begun[1]])


def tokens_of(batches: Iterable[Batch]) -> list[int]:
    """Tokens of each mesh that are predicted."""
    return [n for batch in batches for n in ((batch.ids != PAD).sum(1) - 1).tolist()]


def make_batches(dataset: MeshDataset, indices: np.ndarray, config: Config) -> tuple[list[Batch], list[Batch]]:
    """The same augmented meshes as plain batches and as the project's."""
    chosen = [dataset[0, int(k)] for k in indices]

    class Chosen:
        def __len__(self) -> int:
            return len(chosen)

        def __getitem__(self, key: tuple[int, int]):
            return chosen[key[1]]

        def lengths(self, _epoch: int) -> np.ndarray:
            return dataset.token_counts[indices]

    extra = 2 + config.model.num_cond_tokens
    samplers = (
        BatchSampler(Chosen(), 4),
        BatchSampler(Chosen(), MESHES, sort_by_length=True, batch_tokens=BATCH_TOKENS, extra_tokens=extra),
    )
    ours, others = ([collate([chosen[k] for _, k in keys]) for keys in sampler] for sampler in reversed(samplers))
    return others, ours


def read_source(path: Path | None) -> tuple[PackedMeshes, str]:
    if path is None and not SHARED.exists():
        return ShapesSource(0, 4 * MESHES, progress=False), "procedural shapes"
    path = path or SHARED
    if path.suffix != ".npz":
        return FolderSource(path).train, str(path)
    pack = np.load(path)
    v, f = pack["vertex_offsets"], pack["face_offsets"]
    keep = np.flatnonzero(np.diff(f) <= ARAE_TINY.data.max_face_length)
    vertices, faces = pack["vertices"].astype(np.float32), pack["faces"].astype(np.int32)
    meshes = [normalize(Mesh(vertices[v[k] : v[k + 1]], faces[f[k] : f[k + 1]]))[0] for k in keep]
    return PackedMeshes(meshes, [str(k) for k in keep]), path.name


def compare(path: Path | None) -> dict[str, float | str]:
    """Useful tokens a second, ours over the plain loop's."""
    config = ARAE_TINY
    source, name = read_source(path)
    tokenizer, points = Tokenizer(config.tokenizer), config.model.point_encoder.point_num
    longest = config.model.decoder.max_seq_length
    dataset = MeshDataset(source, tokenizer, config.data, train=True, point_num=points, max_seq_length=longest)
    indices = np.random.default_rng(0).permutation(len(dataset))[:MESHES]
    padded, ours = make_batches(dataset, indices, config)
    useful = sum(tokens_of(ours))
    assert useful == sum(tokens_of(padded))
    share = useful / sum(batch.ids[:, 1:].numel() for batch in padded)
    loops = {"ours": (Loop(config, packed), ours), "plain": (Loop(config, plain), padded)}
    loops["plain, our attention"] = (Loop(config, plain_same_attention), padded)
    for loop, batches in loops.values():
        loop.seconds(batches[:2])
    times = {key: [] for key in loops}
    for _ in range(ROUNDS):
        for key, (loop, batches) in loops.items():
            times[key].append(loop.seconds(batches))
    a, b = (loops[key][0].losses[:2] for key in ("plain", "plain, our attention"))
    assert np.allclose(a, b, rtol=0.01), f"the loops differ: {a}, {b}"
    rates = {key: useful / np.min(values, axis=0) for key, values in times.items()}
    for key, rate in rates.items():
        steps = f"{len(loops[key][1])} steps for {MESHES} meshes"
        print(f"{key:22s} {rate[0]:8,.0f} useful tokens/s, {rate[1]:8,.0f} a second of processor time; {steps}")
    ratio, ratio_cpu = np.median([p / o for o, p in zip(times["ours"], times["plain"], strict=True)], axis=0)
    pairs = zip(times["ours"], times["plain, our attention"], strict=True)
    same, same_cpu = np.median([p / o for o, p in pairs], axis=0)
    return {
        "data": name,
        "plain_useful_share": round(share, 3),
        "useful_tokens_per_second": round(rates["ours"][0]),
        "useful_tokens_ratio": round(ratio, 2),
        "useful_tokens_ratio_cpu_time": round(ratio_cpu, 2),
        "useful_tokens_ratio_same_attention": round(same, 2),
        "useful_tokens_ratio_same_attention_cpu_time": round(same_cpu, 2),
    }


def utilisation() -> dict[str, float]:
    """Model operations of a 512-wide decoder's training over the measured peak, taken in turns with it."""
    sizes = {"hidden_dim": 512, "num_layers": 8, "num_heads": 8}
    config = with_overrides(ARAE_TINY, **sizes, cond_mode="none", num_cond_tokens=0, use_num_face_cond=False)
    tokenizer = Tokenizer(config.tokenizer)
    source = ShapesSource(1, 64, progress=False)
    dataset = MeshDataset(source, tokenizer, config.data, train=True, point_num=0, max_seq_length=1280)
    batch = collate([dataset[0, k] for k in range(32)])
    lengths = tokens_of([batch])
    loop = Loop(config, packed)
    loop.seconds([batch])
    flops = step_flops(config.model, tokenizer.vocab_size, lengths)
    shares = []
    for _ in range(ROUNDS):
        clocks = (time.perf_counter, time.process_time)
        peak = np.array([matmul_peak(torch.device("cpu"), "bf16", 0.5, clock) for clock in clocks])
        speed = flops / loop.seconds([batch])
        texts = [f"{a / 1e9:,.0f} of {b / 1e9:,.0f}" for a, b in zip(speed, peak, strict=True)]
        print(f"512-wide decoder: {texts[0]} GFLOP/s ({texts[1]} by processor time) on {sum(lengths)} tokens")
        shares.append(speed / peak)
    mfu, mfu_cpu = np.median(shares, axis=0)
    return {"mfu": round(mfu, 3), "mfu_cpu_time": round(mfu_cpu, 3), "tokens_per_step": sum(lengths)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of meshes or packed .npz")
    parser.add_argument("--threads", type=int, default=0, help="of torch (default: as in training, every core but one)")
    options = parser.parse_args()
    threads = cli.use_threads(options.threads)
    load = round(os.getloadavg()[0], 1)
    result = {"name": "train", **compare(options.data), **utilisation(), "threads": threads, "load_before": load}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
