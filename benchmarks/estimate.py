"""Memory and time of training steps on common GPUs, by formula: computed from a preset's sizes, not measured.

python benchmarks/estimate.py ArAE --batch_size 4

The last line is one JSON object: memory and operations of a step on a batch of the longest sequences.
"""

import json
import sys
from pathlib import Path

sys.path.pop(0)  # this folder: meto.py in it is no package
sys.path.insert(0, str(Path(__file__).parents[1]))

from core import cli
from core.config import parse_cli
from core.tokens import Tokenizer
from core.training import estimate


def main() -> int:
    preset, config = parse_cli(__doc__ or "", sys.argv[1:] or ["ArAE"])
    size, share = config.train.batch_size, 100 * estimate.STATED_MFU
    print(f"{preset}, batch size {size}, bf16: computed, not measured; times at {share:.0f} % of the data sheet's peak")
    vocab_size = Tokenizer(config.tokenizer).vocab_size
    print("\n".join(estimate.table(config.model, vocab_size, size)))
    lengths = [config.model.decoder.max_seq_length] * size
    need = estimate.memory(config.model, vocab_size, lengths, checkpointing=config.train.checkpointing)
    flops = estimate.step_flops(config.model, vocab_size, lengths)
    figures = {"name": "estimate", "preset": preset, "longest_gib": need.total / estimate.GIB, "step_flops": flops}
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
