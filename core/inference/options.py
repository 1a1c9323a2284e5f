"""Options of generation, and their checks that need no model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import environ
from typing import Literal

import torch

from core.data.finish import FinishConfig
from core.model.arae import FACE_COUNT_BOUNDS
from core.model.sampling import SamplingConfig

UNKNOWN_FACE_COUNT = -1


@dataclass(frozen=True)
class InferConfig:
    test_path: str = ""
    """A mesh or point cloud, or a folder of them."""
    drop_strays: bool = False
    """Leave out of point clouds what is likely no part of the object: blocks of points at exactly 0 0 0, and lone
    points far off. Without it they are kept, and said."""
    test_resume_tokens: str = ""
    """With what every generated mesh begins: tokens (.npy, as written beside each result), or a partial mesh (.ply,
    .obj, ...) that stands in the input's place."""
    test_repeat: int = 1
    """Meshes made of each input and face count, with seeds --seed, --seed + 1, ..."""
    keep: Literal["all", "best"] = "all"
    """best: of the --test_repeat meshes of an input and face count, write only the one nearest to the input points."""
    test_num_face: tuple[int, ...] = (1000,)
    """Face counts to aim at, a mesh for each; -1: unknown. The model knows buckets: to 1000, 2000, 4000, 8000, more."""
    max_faces: int = 0
    """Most faces that a mesh may have: it is closed there, and ends; 0: no bound."""
    test_max_seq_length: int = 0
    """Most tokens that a mesh may take; 0 is as many as the model holds."""
    test_batch_size: int = 8
    """Meshes generated side by side; as one ends, the next begins."""
    time_limit: float = 0.0
    """Seconds after which the run stops, and writes what there is of unfinished meshes; 0: none."""
    overwrite: bool = False
    """Make what an earlier run of the same options has written anew, too."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the model; auto is bf16 on CUDA (fp16 where the GPU has none), fp32 on the CPU. Halves take half the
    memory."""
    sheet: bool = True
    """Write sheet.png: input, points and results of each input side by side."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    finish: FinishConfig = field(default_factory=FinishConfig)

    def __post_init__(self):
        for name in ("test_repeat", "test_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        if not self.test_num_face:
            raise ValueError(f"--test_num_face needs a face count, or {UNKNOWN_FACE_COUNT} for unknown")
        for name, what in (("test_max_seq_length", "tokens"), ("max_faces", "faces"), ("time_limit", "seconds")):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: a number of {what}, or 0 for no bound")


def check_face_counts(counts: Sequence[int], max_face_length: int) -> None:
    """Refuse face counts that mean nothing to a model trained on meshes of at most `max_face_length` faces.

    Raises:
        ValueError: naming the count.
    """
    largest = min((bound for bound in FACE_COUNT_BOUNDS if bound >= max_face_length), default=max_face_length)
    for count in counts:
        if count != UNKNOWN_FACE_COUNT and not 1 <= count <= largest:
            raise ValueError(
                f"--test_num_face {count}: this model takes 1 to {largest}, or {UNKNOWN_FACE_COUNT} for unknown"
            )
        if counts.count(count) > 1:
            raise ValueError(f"--test_num_face {count}: given twice; --test_repeat makes several meshes of one count")


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of a `--dtype` value on a device."""
    if name == "auto":
        half = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else "fp16"
        name = half if device.type == "cuda" else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def pick_device(name: str) -> torch.device:
    """The device of a `--device` value; among several processes of a machine, each one's own GPU.

    Raises:
        ValueError: no such device on this machine.
    """
    count = torch.cuda.device_count()
    own = int(environ.get("LOCAL_RANK", "0")) % max(count, 1)
    if name == "auto":
        return torch.device("cuda", own) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"--device {name}: this machine has {count} CUDA devices")
    return torch.device("cuda", own) if name == "cuda" else device
