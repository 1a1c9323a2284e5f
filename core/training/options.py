"""Options of the training loop; the text under each is its help on the command line."""

import math
from dataclasses import dataclass
from typing import Literal

NOT_NEGATIVE = (
    *("batch_tokens", "max_steps", "max_minutes", "gradient_clip", "weight_decay"),
    *("eval_every", "save_every", "save_minutes", "threads", "seed", "explosion"),
)

# Options that have a new name: the old one still works on the command line, and is in the config.json of older runs.
RENAMED = {"allow_misfit": "ignore_memory_check"}


@dataclass(frozen=True)
class TrainConfig:
    workspace: str = "workspace"
    """Folder of the run: checkpoints, logs, pictures. One that holds a run already continues it."""
    resume: str = ""
    """Weights to start from (of the ArAE): a checkpoint folder, a file, or a hub id."""
    resume2: str = ""
    """More weights to start from, loaded after --resume (of the DiT)."""
    batch_size: int = 4
    """Meshes in a batch of each process."""
    batch_tokens: int = 0
    """Most tokens of a batch, those of the condition included; 0: --batch_size alone decides."""
    sort_by_length: bool = True
    """Put meshes of about the same length in a batch, so that all processes have about equal work."""
    gradient_accumulation_steps: int = 1
    """Batches in an optimizer step."""
    num_epochs: int = 100
    """Passes over the data."""
    max_steps: int = 0
    """Stop after so many optimizer steps; 0: after num_epochs."""
    max_minutes: float = 0.0
    """Stop after so many minutes, restarts included; the learning rate then follows the clock. 0: no limit."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: no limit."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "bf16"
    """Precision of matrix products; weights are float32."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: the matrices of an ArAE's decoder by Muon, everything else by AdamW; not with --shard."""
    lr: float = 1e-4
    """Highest learning rate (of AdamW)."""
    muon_lr: float = 0.02
    """Highest learning rate of Muon."""
    weight_decay: float = 0.01
    """Decay of matrices and tables (not of biases and norms), times the learning rate."""
    warmup_ratio: float = 0.01
    """Share of the run in which the learning rate rises; it then falls to a tenth by a cosine."""
    checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: slower, much less memory."""
    compile: bool = False
    """torch.compile the decoder's layers; takes a minute at the start. (On the CPU it gains nothing.)"""
    shard: bool = False
    """Divide weights, gradients and optimizer among the processes (FSDP); also by acc_configs/fsdp.yaml."""
    ema: float = 0.0
    """Keep a moving average of the weights with this decay (0.999, say), and evaluate the average; 0: off."""
    explosion: float = 4.0
    """Stop where the loss exceeds so many times its moving average, and 1 more; 0: never."""
    ignore_memory_check: bool = False
    """Start even if the estimate says that the memory is not enough (--allow_misfit before)."""
    seed: int = 0
    """Seed of the weights, the data and the dropout."""
    eval_mode: Literal["none", "loss", "generate"] = "loss"
    """On the test split: nothing, the loss and arg-max meshes, or generated meshes as well."""
    eval_every: int = 0
    """Steps between evaluations; 0: after each epoch."""
    save_every: int = 0
    """Steps between checkpoints; 0: after each epoch."""
    save_minutes: float = 15.0
    """Minutes between checkpoints at most; 0: no matter how long."""
    log_every: int = 10
    """Steps between points of the curves."""
    use_wandb: bool = False
    """Log to wandb too, beside TensorBoard."""
    align_posemb: Literal["left", "right"] = "right"
    """Which rows of a position table of another length are kept or filled: the first or the last."""
    threads: int = 0
    """CPU threads of each process; 0: OMP_NUM_THREADS, or its share of the cores less one for the data."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "gradient_accumulation_steps", "num_epochs", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        for name in NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must not be negative")
        for name in ("lr", "muon_lr"):
            rate = getattr(self, name)
            if not (rate > 0 and math.isfinite(rate)):
                raise ValueError(f"--{name} {rate}: a positive number is needed")
        if not 0 <= self.ema < 1:
            raise ValueError(f"--ema {self.ema}: a decay in [0, 1) is needed; 0 is off")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"--warmup_ratio {self.warmup_ratio}: a share of the run in [0, 1) is needed")
