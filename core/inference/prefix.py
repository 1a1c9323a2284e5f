"""With what meshes begin (`--test_resume_tokens`): ids from a file, or a partial mesh that is tokenized in place."""

from pathlib import Path

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Mesh, Placement
from core.tokens import EOS, PAD, Tokenizer

FLAG = "--test_resume_tokens"


class Prefix:
    """The ids with which each mesh begins.

    Args:
        path: `_tokens.npy`, or a mesh file in the frame of the inputs (for pictures: of the results); empty for none.
        tokenizer: of the model.
        budget: tokens that a mesh may take.

    Raises:
        ValueError: the file holds neither ids that the grammar lets a mesh begin with, nor a mesh.
    """

    def __init__(self, path: str, tokenizer: Tokenizer, budget: int):
        self.path, self.tokenizer, self.budget = path, tokenizer, budget
        self._ids: np.ndarray | None = None
        self._mesh: Mesh | None = None
        if Path(path).suffix.lower() in meshes.MESH_SUFFIXES:
            self._mesh = _read_mesh(path)
        elif path:
            self._ids = self._checked(read_ids(path))

    def of(self, placement: Placement) -> np.ndarray | None:
        """Ids (T,) for an input, or None.

        Raises:
            ValueError: the partial mesh lies beyond the cube about this input that the model writes in, or is too long.
        """
        if self._mesh is None:
            return self._ids
        try:
            ids = self.tokenizer.encode(placement.apply(self._mesh.vertices), self._mesh.faces)
        except ValueError as error:
            raise ValueError(f"{FLAG} {self.path}: not in this input's place: {error}") from error
        return self._checked(ids)

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        if len(ids) >= self.budget:
            raise ValueError(
                f"{FLAG} {self.path}: its {len(ids)} tokens leave nothing of a budget of {self.budget} tokens"
            )
        wrong = self.tokenizer.grammar.validate(ids)
        if wrong is not None and wrong.position < len(ids):  # at its end: it only goes on
            raise ValueError(f"{FLAG} {self.path}: it breaks the grammar at position {wrong.position}: {wrong.reason}")
        return ids


def read_ids(path: str | Path) -> np.ndarray:
    """Ids (T,) of a `_tokens.npy` file, up to EOS if it has one.

    Raises:
        ValueError: the file holds no such ids.
    """
    try:
        meshes.check_file(path)
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise ValueError(f"{FLAG} {path}: cannot be read ({error})") from error
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype.kind not in "iu":
        what = f"{ids.shape} of {ids.dtype}" if isinstance(ids, np.ndarray) else "several arrays"
        raise ValueError(f"{FLAG} {path}: (T,) integers are needed, this is {what}")
    ids = np.array(ids)  # out of the file, which may be written anew
    ends = np.flatnonzero((ids == EOS) | (ids == PAD))
    return ids[: ends[0]] if len(ends) else ids


def _read_mesh(path: str) -> Mesh:
    try:
        mesh = meshes.clean(meshes.load(path))
    except ValueError as error:
        raise ValueError(f"{FLAG} {path}: {error}" if path not in str(error) else f"{FLAG} {error}") from error
    if mesh.is_points:
        raise ValueError(f"{FLAG} {path}: a partial mesh is needed, this is a point cloud")
    return mesh
