"""Training without padding against a plain loop, and the share of the machine's matrix-product speed that it reaches.

    python benchmarks/train.py [--data FOLDER_OR_NPZ] [--presets ArAE-tiny ArAE-tiny-token] [--threads N]

1. For each preset, on real meshes (`../shared/data` where it is there, else procedural shapes) in the preset's own
   batches, by tokens: useful, that is unpadded, tokens a second of this project's training step (packed sequences)
   against a plain loop's, which pads the same batches to their longest and has torch's attention (train_plain.py).
   Weights, optimizers, precision, threads and batches are the same, and both run in turns, so that a busy machine slows
   both. A third loop pads but has this project's attention, which says what part of the gain is the padding's.
   face_over_token is the faces/s of the first preset over those of the second.
2. The token decoder, 512 channels and 8 layers, in bf16: its model operations a second over those of the fastest square
   matrix product measured in the same run (MFU).

Each figure is given by the clock and, as `_cpu_time`, by processor time, for machines that have other work too; ranges
are the least and the largest of the rounds. The last line is one JSON object.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import finish, medians, rates, ratios, timed
from benchmarks.meshes import dataset_of, training_source
from benchmarks.models import own_loss, train_step
from benchmarks.train_plain import LossOf, padded_attention_of_ours, padded_loss
from core import cli
from core.config import PRESETS, Config, with_overrides
from core.data.batch import Batch, BatchSampler, collate
from core.data.sources import ShapesSource
from core.model.arae import ArAE
from core.tokens import PAD, Tokenizer
from core.training.estimate import matmul_peak, step_flops
from core.training.optim import build_optimizers
from core.training.steps import seed_all

TOKEN = "ArAE-tiny-token"
LOOPS: dict[str, LossOf] = {
    "ours": own_loss,
    "plain": padded_loss,
    "plain, our attention": partial(padded_loss, attention=padded_attention_of_ours),
}


class Loop:
    """A model and its optimizers, and the time it takes over batches."""

    def __init__(self, config: Config, loss_of: LossOf):
        seed_all("weights")
        self.model = ArAE(config.model, Tokenizer(config.tokenizer).vocab_size).train()
        self.optimizers = build_optimizers(self.model, config.train)
        self.loss_of = loss_of
        self.losses: list[float] = []

    def run(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            seed_all("step", len(self.losses))  # the same face counts and points are withheld in all loops
            self.losses.append(train_step(self.model, batch, self.optimizers, loss_of=self.loss_of))


def tokens_of(batches: Iterable[Batch]) -> list[int]:
    """Tokens of each mesh that are predicted."""
    return [n for batch in batches for n in ((batch.ids != PAD).sum(1) - 1).tolist()]


def useful_share(batches: Iterable[Batch]) -> float:
    """Of the decoder's positions beyond the condition, those that are not padding once batches are padded."""
    counts = [batch.steps.lengths if batch.steps else (batch.ids != PAD).sum(1) - 1 for batch in batches]
    return round(float(sum(n.sum() for n in counts) / sum(n.max() * len(n) for n in counts)), 3)


def make_batches(config: Config, options: argparse.Namespace) -> tuple[list[Batch], str]:
    """An epoch's augmented meshes, as the preset's training batches them, and what the meshes are."""
    source, name = training_source(options.data, config.data.max_face_length, 4 * options.meshes)
    dataset = dataset_of(source, config, train=True)
    chosen = np.random.default_rng(0).permutation(len(dataset))[: options.meshes]
    dataset.items, dataset.token_counts = dataset.items[chosen], dataset.token_counts[chosen]
    sampler = BatchSampler(
        dataset,
        config.train.batch_size,
        sort_by_length=config.train.sort_by_length,
        batch_tokens=config.train.batch_tokens,
        extra_tokens=2 + config.model.num_cond_tokens,
    )
    return [collate([dataset[key] for key in keys]) for keys in sampler], name


def compare(preset: str, options: argparse.Namespace) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Useful tokens a second of all loops, ours over the others', and our faces a second in each round."""
    config = PRESETS[preset][1]
    batches, data = make_batches(config, options)
    useful, faces = sum(tokens_of(batches)), sum(int(batch.num_faces.sum()) for batch in batches)
    loops = {name: Loop(config, loss_of) for name, loss_of in LOOPS.items()}
    for loop in loops.values():
        loop.run(batches[:2])
    check_losses({name: loop.losses for name, loop in loops.items()})
    tokens: dict[str, list[np.ndarray]] = {name: [] for name in loops}
    face_rates = []
    for _ in range(options.rounds):
        for name, loop in loops.items():
            _, spent = timed(partial(loop.run, batches))
            tokens[name].append(rates(useful, spent))
            if name == "ours":
                face_rates.append(rates(faces, spent))
    for name, values in tokens.items():
        rate = np.median(values, axis=0)
        print(f"{preset}, {name:20s} {rate[0]:8,.0f} useful tokens/s, {rate[1]:8,.0f} a second of processor time")
    print(f"{preset}: {len(batches)} steps for {options.meshes} meshes of {faces:,} faces", flush=True)
    return {
        "data": data,
        "plain_useful_share": useful_share(batches),
        **medians("useful_tokens_per_second", tokens["ours"]),
        **medians("faces_per_second", face_rates),
        **ratios("useful_tokens_ratio", tokens["ours"], tokens["plain"]),
        **ratios("useful_tokens_ratio_same_attention", tokens["ours"], tokens["plain, our attention"]),
    }, face_rates


def check_losses(losses: dict[str, list[float]]) -> None:
    """Raises ValueError if the loops do not train the same."""
    if not all(np.allclose(each, losses["ours"], rtol=0.01) for each in losses.values()):
        raise ValueError(f"the loops differ: {losses}")


def utilisation(preset: str, sizes: dict[str, int], rounds: int) -> dict[str, Any]:
    """Model operations of a decoder's training over the measured peak, taken in turns with it."""
    config = with_overrides(PRESETS[preset][1], **sizes, cond_mode="none", num_cond_tokens=0, use_num_face_cond=False)
    dataset = dataset_of(ShapesSource(1, 64, progress=False), config, train=True)
    batch = collate([dataset[0, k] for k in range(32)])
    lengths = tokens_of([batch])
    loop = Loop(config, own_loss)
    loop.run([batch])
    flops = step_flops(config.model, Tokenizer(config.tokenizer).vocab_size, lengths)
    speeds, peaks = [], []
    for _ in range(rounds):
        clocks = (time.perf_counter, time.process_time)
        peaks.append(np.array([matmul_peak(torch.device("cpu"), "bf16", 0.5, clock) for clock in clocks]))
        speeds.append(rates(flops, timed(lambda: loop.run([batch]))[1]))
        texts = [f"{a / 1e9:,.0f} of {b / 1e9:,.0f}" for a, b in zip(speeds[-1], peaks[-1], strict=True)]
        print(f"{preset}, {sizes}: {texts[0]} GFLOP/s ({texts[1]} by processor time) on {sum(lengths)} tokens")
    return {**ratios("mfu", speeds, peaks), "mfu_tokens_per_step": sum(lengths)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of meshes or packed .npz")
    parser.add_argument("--presets", nargs="*", default=["ArAE-tiny", TOKEN], choices=PRESETS, metavar="PRESET")
    parser.add_argument("--meshes", type=int, default=96, help="of an epoch (default: 96)")
    parser.add_argument("--rounds", type=int, default=3, help="of all loops (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a small decoder in part 2")
    parser.add_argument("--threads", type=int, default=0, help="of torch (default: as in training, every core but one)")
    options = parser.parse_args()
    figures: dict[str, Any] = {"name": "train", "threads": cli.use_threads(options.threads)}
    faces = []
    for preset in options.presets:
        figures[preset], face_rates = compare(preset, options)
        faces.append(face_rates)
    if len(faces) == 2:
        figures |= ratios("face_over_token", *faces)
    wide = {"hidden_dim": 512, "num_layers": 8, "num_heads": 8}
    narrow = {"hidden_dim": 64, "num_layers": 1, "num_heads": 2}
    figures |= utilisation(TOKEN, narrow if options.quick else wide, options.rounds)
    return finish(figures)


if __name__ == "__main__":
    sys.exit(cli.run(main))
