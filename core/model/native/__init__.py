"""The CPU kernels of generation, compiled for this machine when they are first needed, in a second or two.

They need a C++ compiler (`$CXX`, else g++, clang++ or c++). Without one, or with EDGERUNNER_NATIVE=0, torch's
own kernels do the same work more slowly. The compiled library is kept in the user's cache folder.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "kernels.cpp"
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++17", "-shared", "-fPIC", "-fopenmp", "-w")
SWITCH = "EDGERUNNER_NATIVE"
HEAD_DIMS = (16, 32, 48, 64, 80, 96, 112, 128)
NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
LANES = 16  # sizes are multiples of it
# rows, heads, dim, capacity, stride; scale; threads; q, k, v, keys, values, slots, lengths, out
ATTEND_ARGUMENTS = [ctypes.c_int64] * 5 + [ctypes.c_float, ctypes.c_int32] + [ctypes.c_void_p] * 8
# decoder; rows, capacity; threads; slots, lengths, ids, logits
STEP_ARGUMENTS = [ctypes.c_void_p] + [ctypes.c_int64] * 2 + [ctypes.c_int32] + [ctypes.c_void_p] * 4
# decoder, tables, shown, run, choice
FACE_ARGUMENTS = [ctypes.c_void_p] * 5
# decoder; capacity, slot, start, rows; read; states
PREFILL_ARGUMENTS = [ctypes.c_void_p] + [ctypes.c_int64] * 4 + [ctypes.c_int32, ctypes.c_void_p]
# sampling; logits; rows, count; uniform, ids
CHOOSE_ARGUMENTS = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p] * 2

log = logging.getLogger(__name__)


def attention(computed: torch.dtype, cached: torch.dtype, head_dim: int) -> Callable[..., int] | None:
    """The kernel for q, k and v of one type and a cache of another; None where there is none for them."""
    if head_dim not in HEAD_DIMS:
        return None
    library = load()
    name = f"attend_{NAMES.get(computed)}_{NAMES.get(cached)}"
    if library is None or not hasattr(library, name):
        return None
    return _typed(getattr(library, name), ATTEND_ARGUMENTS)


def decoder_step(cached: torch.dtype) -> Callable[..., int] | None:
    """The kernel of a whole float32 decoder's step with a cache of this type; None where there is none."""
    library = load()
    return None if library is None else _typed(getattr(library, f"decoder_step_{NAMES[cached]}"), STEP_ARGUMENTS)


def face_run(cached: torch.dtype) -> Callable[..., int] | None:
    """The kernel of a float32 face decoder's steps with a cache of this type; None where there is none."""
    library = load()
    return None if library is None else _typed(getattr(library, f"face_run_{NAMES[cached]}"), FACE_ARGUMENTS)


def face_prefill(cached: torch.dtype) -> Callable[..., int] | None:
    """The kernel that takes many positions of one sequence through the same decoder's layers, likewise."""
    library = load()
    return None if library is None else _typed(getattr(library, f"face_prefill_{NAMES[cached]}"), PREFILL_ARGUMENTS)


def choose(sampling: bytes, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Ids (B,) of logits (B, V) float32 by `core.model.sampling.sample`'s rules, where `load()` gives a library.

    Args:
        sampling: the C structure `Sampling` of choose.hpp.
        uniform: (B,) float32.
    """
    function = load().choose_ids  # type: ignore[union-attr]
    function.argtypes, function.restype = CHOOSE_ARGUMENTS, None
    ids = np.zeros(len(logits), np.int64)
    pointers = (uniform.ctypes.data, ids.ctypes.data)
    function(sampling, np.ascontiguousarray(logits).ctypes.data, *logits.shape, *pointers)
    return ids


def face_maps(numbers: Sequence[int], arrays: Sequence[torch.Tensor]) -> None:
    """Fill the maps of known meshes, where `load()` gives a library; see `TrainMaps` of train_maps.hpp.

    Args:
        numbers, arrays: the structure's members, in their order; the arrays contiguous.
    """
    function = load().face_maps  # type: ignore[union-attr]
    function.argtypes, function.restype = [ctypes.c_void_p], None
    assert all(array.is_contiguous() for array in arrays)
    members = structure(numbers, [array.data_ptr() for array in arrays])
    function(ctypes.addressof(members))


def _typed(function: Any, arguments: list[Any]) -> Callable[..., int]:
    function.argtypes, function.restype = arguments, ctypes.c_int
    return function


@functools.cache
def load() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be had."""
    if os.environ.get(SWITCH) == "0":
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++", "c++"))), None)
    if compiler is None:
        log.info("no C++ compiler: generation on the CPU goes through torch's kernels, which are slower")
        return None
    try:
        return ctypes.CDLL(str(_built(compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        log.warning("the CPU kernels of generation are not used: %s %s", error, said.decode(errors="replace")[-500:])
        return None


def _built(compiler: str) -> Path:
    """The library's file, compiled if this machine has not done so before."""
    sources = b"".join(file.read_bytes() for file in sorted(FOLDER.glob("*.[ch]pp")))
    key = hashlib.sha256(" ".join((compiler, *FLAGS, _processor())).encode() + sources).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgerunner"
    library = folder / f"kernels-{key}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            made = Path(place) / library.name
            command = [compiler, *FLAGS, str(SOURCE), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            made.replace(library)  # at once, for other processes may be at it too
    return library


def _processor() -> str:
    """What `-march=native` depends on: a home folder may be shared by unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def structure(numbers: Sequence[int], pointers: Sequence[int] = ()) -> ctypes.Array:
    """A C structure of 64-bit integers followed by pointers (a name's address where it is one)."""
    values = [*numbers, *pointers]
    return (ctypes.c_int64 * len(values))(*values)
