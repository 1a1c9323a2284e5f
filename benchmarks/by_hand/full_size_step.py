"""One training step of the full-size ArAE on the CPU: forward, backward and AdamW, activations checkpointed, in bf16.

    python benchmarks/by_hand/full_size_step.py [--tokens 4000] [--threads 2] [--preset ArAE]

Shows that the published size trains in this much memory; takes minutes and 13 GiB. The last line is one JSON
object: seconds, peak resident memory in GiB, what the estimate said, and the loss before and after the step.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import finish, peak_bytes
from core import cli
from core.config import PRESETS
from core.model.arae import ArAE
from core.tokens import BOS, EOS, Tokenizer
from core.training import estimate
from core.training.optim import build_optimizer
from core.training.steps import seed_all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    token_presets = [name for name, (_, c) in PRESETS.items() if c.model.decoder.decoder == "token"]
    parser.add_argument("--preset", default="ArAE", choices=token_presets, help="(default: ArAE)")
    parser.add_argument("--tokens", type=int, default=4000, help="of the mesh (default: 4000); condition more")
    parser.add_argument("--threads", type=int, default=cli.usable_cores(), help="of torch (default: every core)")
    options = parser.parse_args()
    cli.use_threads(options.threads)
    config = PRESETS[options.preset][1]
    vocab_size = Tokenizer(config.tokenizer).vocab_size
    need = estimate.memory(config.model, vocab_size, [options.tokens + 1], checkpointing=True)
    print(f"estimate: {estimate.describe(need)}", flush=True)
    seed_all("full size")
    model = ArAE(config.model, vocab_size).train()
    model.mesh_decoder.model.checkpointing = True
    optimizer = build_optimizer(model, 1e-5, 0.01)
    ids = torch.randint(6, vocab_size, (1, options.tokens + 2))
    ids[:, 0], ids[:, -1] = BOS, EOS
    points = torch.rand(1, config.model.point_encoder.point_num, 3) * 1.9 - 0.95

    def loss() -> torch.Tensor:
        seed_all("dropout")
        with torch.autocast("cpu", torch.bfloat16):
            return model(ids, torch.tensor([1000]), points=points).loss

    begun, seconds = time.perf_counter(), {}
    before = loss()
    seconds["forward"] = time.perf_counter() - begun
    before.backward()
    seconds["backward"] = time.perf_counter() - begun - seconds["forward"]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    total = time.perf_counter() - begun
    print({name: round(value, 1) for name, value in seconds.items()}, flush=True)
    peak = peak_bytes() / 2**30
    with torch.no_grad():
        after = loss().item()
    result = {
        "name": "full_size_step",
        "preset": options.preset,
        "tokens": options.tokens,
        "parameters": need.parameters,
    }
    result |= {"seconds": round(total, 1), "peak_gib": round(peak, 1), "estimate_gib": round(need.total / 2**30, 1)}
    result |= {"loss_before": round(before.item(), 4), "loss_after": round(after, 4), "threads": options.threads}
    return finish(result)


if __name__ == "__main__":
    sys.exit(cli.run(main))
