"""Options of generation, and their checks that need no model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import environ
from typing import Literal

import torch

from core.data.finish import FinishConfig
from core.generation.sampling import SamplingConfig
from core.model.arae import FACE_COUNT_BOUNDS

UNKNOWN_FACE_COUNT = -1


@dataclass(frozen=True)
class InferConfig:
    test_path: str = ""
    """A mesh or point cloud, or a folder of them."""
    drop_strays: bool = False
    """Leave out of point clouds what is likely no part of the object: blocks of points at exactly 0 0 0, and lone
    points far off. Without it they are kept, and said."""
    test_resume_tokens: str = ""
    """What every generated mesh begins with: tokens (.npy, as written beside each result), or a partial mesh (.ply,
    .obj, ...) in the place of the input."""
    test_repeat: int = 1
    """Meshes generated for each input and face count, with seeds --seed, --seed + 1, ..."""
    keep: Literal["all", "best"] = "all"
    """best: of the --test_repeat meshes of an input and face count, write only the nearest to the input points."""
    test_num_face: tuple[int, ...] = (1000,)
    """Target face counts, a mesh for each; -1: none. The model only sees the bucket: to 1000, 2000, 4000, 8000, +."""
    max_faces: int = 0
    """Largest number of faces; a mesh that reaches it is closed and ends. 0: no limit."""
    test_max_seq_length: int = 0
    """Largest number of tokens of a mesh; 0: the model's own limit."""
    test_batch_size: int = 8
    """Meshes generated at a time; when one ends, the next takes its place."""
    time_limit: float = 0.0
    """Seconds after which the run stops and writes unfinished meshes as partial; 0: no limit."""
    overwrite: bool = False
    """Generate everything again, also what an earlier run with the same options has written."""
    device: str = "auto"
    """auto (CUDA if available), cpu, cuda or cuda:N."""
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the model; auto is bf16 on CUDA (fp16 if the GPU has no bf16) and fp32 on the CPU. Half precision
    takes half the memory."""
    sheet: bool = True
    """Write sheet.png: each input, its points and its results side by side."""
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
