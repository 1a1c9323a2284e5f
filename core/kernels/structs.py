"""The structures that cross the border to the kernels, as in structs.hpp; their sizes are compared on loading."""

import ctypes
from ctypes import c_double, c_int64, c_void_p

Pointer = c_void_p


class Linear(ctypes.Structure):
    """A blocked layer, see `core.generation.linear.BlockedLinear.struct`."""

    _fields_ = (("panels", Pointer), ("bias", Pointer), ("inputs", c_int64), ("outputs", c_int64))


class Sampling(ctypes.Structure):
    """The parts of `SamplingConfig` that the kernels read."""

    _fields_ = (
        *(("greedy", c_int64), ("top_k", c_int64)),
        *(("top_p", c_double), ("min_p", c_double), ("end_cover", c_double)),
        *(("candidates", c_int64), ("refuse_faces", c_int64)),
    )


class TokenLayer(ctypes.Structure):
    _fields_ = (
        *((name, Linear) for name in ("qkv", "out", "fc1", "fc2")),
        *((name, Pointer) for name in ("norm1", "norm1_shift", "norm2", "norm2_shift", "keys", "values")),
    )


class TokenDecoder(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("width", "heads", "layers", "capacity")),
        *(("tokens", Pointer), ("positions", Pointer), ("layer", ctypes.POINTER(TokenLayer)), ("head", Linear)),
    )


class FaceLayer(ctypes.Structure):
    _fields_ = (
        *((name, Linear) for name in ("qkv", "out", "fc1", "fc2")),
        *((name, Pointer) for name in ("norm1", "norm2", "q_norm", "k_norm", "keys", "values")),
    )


class PointSet(ctypes.Structure):
    _fields_ = (("fc1", Linear), ("fc2", Linear), ("empty", Pointer))


class FaceDecoder(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("width", "heads", "layers", "capacity", "bins")),
        *((name, c_int64) for name in ("near", "spread", "counted", "open", "per_axis")),
        *((name, Pointer) for name in ("coordinates", "place_table", "offset_table", "kinds", "phases")),
        *((name, PointSet) for name in ("near_set", "spread_set", "open_set")),
        *(("input1", Linear), ("input2", Linear), ("layer", ctypes.POINTER(FaceLayer))),
        *((name, Pointer) for name in ("norm", "cosines", "sines")),
        *(("ops", Linear), ("key", Linear), ("written_kinds", Pointer)),
        *((name, Linear) for name in ("copy1", "copy2", "query", "open_query", "open_key1", "open_key2")),
        *(("values", Pointer * 2), ("coordinate1", Linear * 3), ("coordinate2", Linear * 3), ("fading", Pointer)),
    )


class FaceTables(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("slots", "room", "point_room", "has_points")),
        *((name, Pointer) for name in ("keys", "used", "density", "cloud", "places", "normals", "cells", "num_points")),
        *((name, Pointer) for name in ("groups", "written", "faces", "ids", "lengths")),
        *((name, Pointer) for name in ("wished", "max_faces", "max_ids", "temperatures", "status")),
    )


class FaceRun(ctypes.Structure):
    _fields_ = (
        *(("surfaces", Pointer), ("rows", c_int64), ("steps", c_int64), ("threads", c_int64)),
        *(("slots", Pointer), ("uniforms", Pointer), ("uniform_room", c_int64), ("uniform_width", c_int64)),
        *(("trace_states", Pointer), ("trace_logits", Pointer)),
    )


class KnownPriors(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("steps", "bins", "near", "point_room", "threads")),
        *((name, Pointer) for name in ("rows", "numbers", "right", "used", "near_points", "groups", "density")),
        *((name, Pointer) for name in ("num_points", "places", "normals", "cells", "fading")),
        ("out", Pointer * 3),
    )


ALL = (Linear, Sampling, TokenLayer, TokenDecoder, FaceLayer, PointSet, FaceDecoder, FaceTables, FaceRun, KnownPriors)
