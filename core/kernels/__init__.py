"""The CPU's kernels, in C++: attention to a cache, whole steps of small decoders, and priors for training.

    python -m core.kernels      # compile them now (`make setup` does)

They are compiled for this machine's processor, when first needed if not before, by a C++ compiler (`$CXX`, else g++,
clang++ or c++) and kept in the user's cache folder. Without a compiler, or with EDGERUNNER_NATIVE=0, torch's own
kernels do the same work more slowly.
"""

import ctypes
import functools
import logging
from collections.abc import Callable
from ctypes import c_float, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np
import torch

from core.kernels import build, structs

HEAD_DIMS = (16, 32, 48, 64, 80, 96, 112, 128)
LANES = 16  # sizes are multiples of it
NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}

# The functions of kernels.cpp and surfaces.cpp: their arguments, and what they return.
POINTERS3, POINTERS4, POINTERS8 = ([c_void_p] * count for count in (3, 4, 8))
SIGNATURES: dict[str, tuple[list[Any], Any]] = {
    "struct_size": ([ctypes.c_char_p], c_int64),
    "attend": ([c_int64] * 5 + [c_float, c_int32] + POINTERS8, c_int32),
    "token_step": ([c_void_p, c_int64, c_int32] + POINTERS4, c_int32),
    "token_prefill": ([c_void_p] + [c_int64] * 3 + [c_int32, c_void_p], c_int32),
    "face_steps": (POINTERS4, c_int32),
    "face_prefill": ([c_void_p] + [c_int64] * 3 + [c_int32, c_void_p], c_int32),
    "known_priors_of_steps": ([c_void_p], None),
    "choose_ids": ([c_void_p, c_float, c_void_p, c_int64, c_int64, c_void_p, c_void_p], None),
    "surfaces_create": ([c_int64] * 5 + [c_float], c_void_p),
    "surfaces_destroy": ([c_void_p], None),
    "surfaces_begin": ([c_void_p, c_int64, c_void_p, c_int64, c_int32, c_int32], None),
    "surfaces_fork": ([c_void_p, c_int64, c_int64], None),
    "surfaces_release": ([c_void_p, c_int64], None),
    "surfaces_commit": ([c_void_p, c_int64, c_void_p, c_int64], c_int64),
}

log = logging.getLogger(__name__)


def function(name: str, *types: torch.dtype) -> Callable[..., Any]:
    """A function of the kernels, of these types of computation or cache, where `load()` gives a library."""
    library = load()
    assert library is not None
    arguments, result = SIGNATURES[name]
    found = getattr(library, "_".join([name, *(NAMES[each] for each in types)]))
    found.argtypes, found.restype = arguments, result
    return found


def attention(computed: torch.dtype, cached: torch.dtype, head_dim: int) -> Callable[..., int] | None:
    """The kernel for q, k and v of one type and a cache of another; None where there is none for them."""
    library = load()
    if head_dim not in HEAD_DIMS or not {computed, cached} <= NAMES.keys() or library is None:
        return None
    if not hasattr(library, f"attend_{NAMES[computed]}_{NAMES[cached]}"):
        return None
    return function("attend", computed, cached)


def check(status: int) -> None:
    """A kernel has done its work: its caller has checked what it cannot take."""
    assert status in (0, 1), f"a kernel returned {status}"


def choose(sampling: structs.Sampling, temperature: float, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """`sample` of logits (B, V) float32 by uniform (B,) float32 -> ids (B,); -1 where none can be chosen."""
    ids, logits = np.zeros(len(logits), np.int64), np.ascontiguousarray(logits)
    pointers = (uniform.ctypes.data, ids.ctypes.data)
    function("choose_ids")(ctypes.byref(sampling), temperature, logits.ctypes.data, *logits.shape, *pointers)
    return ids


def known_priors(*values: int, out: list[int]) -> None:
    """Compute the priors of known meshes, where `load()` gives a library; the arguments are the struct's fields."""
    struct = structs.KnownPriors(*values, (structs.Pointer * 3)(*out))
    function("known_priors_of_steps")(ctypes.byref(struct))


@functools.cache
def load() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be had."""
    path = build.library()
    if path is None:
        return None
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        log.warning("the CPU kernels of generation are not used: %s", error)
        return None
    size = library.struct_size
    size.argtypes, size.restype = SIGNATURES["struct_size"]
    for struct in structs.ALL:
        expected = size(struct.__name__.encode())
        assert ctypes.sizeof(struct) == expected, f"{struct.__name__}: {ctypes.sizeof(struct)} bytes, not {expected}"
    return library
