"""Point clouds as numpy's files: .npy and .npz. Nothing is unpickled."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from core.geometry.mesh import Mesh

NAMES = ("points", "xyz", "pc_normal", "pc", "pos", "positions", "vertices", "coords", "point_cloud", "pointcloud")
MOST_COLUMNS = 12
MOST_UNPACKED = 1 << 32


def read(data: bytes, path: Path) -> Mesh:
    """The points of an array (N, 3 or more), or of one with fields x, y and z; in an .npz, of the array called points,
    xyz, vertices or the like, or of its only one.

    Raises:
        ValueError: naming the shape, type or names that are there instead.
    """
    array = _from_archive(data) if data[:2] == b"PK" else _from_bytes(data)
    return Mesh(_points(array), np.zeros((0, 3), np.int64))


def _from_bytes(data: bytes) -> np.ndarray:
    """The array of an .npy file, whose header may promise anything."""
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, kind = header(file)
    except ValueError as error:
        raise ValueError(f"it is no array of numpy's ({error})") from error
    if kind.hasobject:
        raise ValueError("it holds pickled objects, which are not read; save the points as an array (N, 3)")
    count = math.prod(shape)
    if kind.itemsize == 0 or min(shape, default=0) < 0 or count * kind.itemsize > len(data) - file.tell():
        raise ValueError(f"declares {shape} of {kind}, holds {len(data) - file.tell()} bytes: it is truncated")
    return np.frombuffer(data, kind, count, file.tell()).reshape(shape, order="F" if fortran else "C")


def _from_archive(data: bytes) -> np.ndarray:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        name = next((n for n in NAMES if n in members), next(iter(members)) if len(members) == 1 else None)
        if name is None:
            raise ValueError(
                f"holds {', '.join(sorted(members)[:8])}: none is called {', '.join(NAMES[:3])} or the like"
            )
        if members[name].file_size > MOST_UNPACKED:
            raise ValueError(f"{name} unpacks to {members[name].file_size} bytes")
        with archive.open(members[name]) as file:
            return _from_bytes(file.read(members[name].file_size))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"it is no archive of numpy's ({error})") from error


def _points(array: np.ndarray) -> np.ndarray:
    """(N, 3) float64."""
    if array.dtype.names:
        names = array.dtype.names
        fields = {name.lower(): name for name in names}
        if all(axis in fields for axis in "xyz"):
            array = np.stack([array[fields[axis]].reshape(-1).astype(np.float64) for axis in "xyz"], axis=1)
        elif name := next((fields[name] for name in NAMES if name in fields), None):
            array = array[name]
        else:
            raise ValueError(f"a point cloud has fields x, y and z, this has {', '.join(names)}")
    what = f"this is {array.shape} of {array.dtype}"
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise ValueError(f"a point cloud is (N, 3) numbers, {what}")
    if array.shape[1] > MOST_COLUMNS and array.shape[0] <= MOST_COLUMNS:
        raise ValueError(f"a point cloud is (N, 3) numbers, {what}: transpose it")
    return array[:, :3].astype(np.float64)
