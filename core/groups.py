"""Mesh ids as vertex groups, a step of the face decoder each, with the observation of the unfinished mesh before each.

A group is (kind, x, y, z); see `meto.surface`. An observation is a function of the groups before it and of the input
points, so training computes it as generation does.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.tokens import ID_OFFSET
from meto import SurfaceBatch
from meto.surface import Observation, estimate_normals, to_groups, to_tokens

NEVER = np.iinfo(np.int32).max
MOST_THREADS = 8


@dataclass(frozen=True)
class StepConfig:
    near_points: int = 16
    """Input points that the face decoder sees about each edge that the next face may attach to, sparser with the
    distance, among the sixteen times as many nearest."""
    spread_points: int = 16
    """Input points that the face decoder sees among all that no face covers yet."""
    near_open: int = 0
    """Vertices of the open boundary nearest to each edge that the next face may attach to, which the face decoder sees
    and may copy; 0: only those beside the edge."""
    cover_distance: float = 0.03
    """A face covers the input points that are no farther from it, in the frame of [-1, 1]."""

    def __post_init__(self) -> None:
        for name in ("near_points", "spread_points", "near_open", "cover_distance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must not be negative")

    def surfaces(self, batch: int, bins: int) -> SurfaceBatch:
        """The unfinished meshes of a number of sequences."""
        sizes = self.near_points, self.spread_points, self.cover_distance, self.near_open
        return SurfaceBatch(batch, bins, *sizes)


@dataclass(frozen=True)
class Steps:
    """The steps of one mesh, or of a batch's meshes one after the other (N in all), as arrays or tensors.

    Attributes:
        groups: (N, 4) int32 what is written at each step.
        observed: what is observed before each.
        normals: (B, P, 3) float32 normals of the input points, estimated from them alone (so for scans as for meshes).
        first_use: (B, 3, bins) int32 the step, counted in each mesh, after which a coordinate of an axis has been used.
        lengths: (B,) int64 steps of each mesh.
        learned: (N,) bool, off for vertices that the augmentation has put in the wrong place.
    """

    groups: Any
    observed: Observation
    normals: Any
    first_use: Any
    lengths: Any
    learned: Any = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Steps":
        return map_steps(lambda x: x.to(device, non_blocking=non_blocking), self)

    def pin_memory(self) -> "Steps":
        return map_steps(lambda x: x.pin_memory(), self)


def map_steps(function: Callable[..., Any], *steps: Steps) -> Steps:
    """Steps each of whose arrays is function(that array of each of the given ones)."""
    values: dict[str, Any] = {}
    for field in fields(Steps):
        parts = [getattr(each, field.name) for each in steps]
        if field.name == "observed":
            values[field.name] = Observation(*map(function, *parts))
        else:
            values[field.name] = None if parts[0] is None else function(*parts)
    return Steps(**values)


def mesh_steps(
    ids: np.ndarray,
    points: np.ndarray | None,
    config: StepConfig,
    bins: int,
    wrong: np.ndarray | None = None,
    normals: np.ndarray | None = None,
) -> Steps:
    """The steps of one mesh.

    Args:
        ids: (T,) of LR_ABSCO, without BOS and EOS.
        points: (N, 3) of its surface, or None.
        wrong: (W, 3) vertices on the grid that are not to be learned where they are made.
        normals: (N, 3) of the points; None: they are estimated from them.
    """
    groups = to_groups(np.asarray(ids) - ID_OFFSET)
    cloud = np.zeros((0, 3), np.float32) if points is None else points
    observed = config.surfaces(1, bins).replay(groups, points)
    first_use = np.full((1, 3, bins), NEVER, np.int32)
    for axis in range(3):  # the last assignment stands, so the first use comes last
        first_use[0, axis, groups[-2::-1, 1 + axis]] = np.arange(len(groups) - 2, -1, -1)
    learned = np.ones(len(groups), bool)
    if wrong is not None and len(wrong):
        learned[_first_steps(groups[:-1, 1:], wrong, bins)] = False
    normals = estimate_normals(cloud) if normals is None else normals
    return Steps(groups, observed, normals[None], first_use, np.array([len(groups)]), learned)


def _first_steps(vertices: np.ndarray, wanted: np.ndarray, bins: int) -> np.ndarray:
    """The first of the steps that write vertices (T, 3) to write each of the wanted ones (W, 3)."""
    place = np.array([bins * bins, bins, 1], np.int64)
    values, first = np.unique(vertices.astype(np.int64) @ place, return_index=True)
    return first[np.isin(values, wanted.astype(np.int64) @ place)]


def to_ids(groups: np.ndarray) -> np.ndarray:
    """The mesh ids (T,) int64 of groups (G, 4)."""
    return to_tokens(groups).astype(np.int64) + ID_OFFSET


def join_steps(steps: Sequence[Steps]) -> Steps:
    """The steps of several meshes as one batch of tensors."""
    return map_steps(lambda *parts: torch.from_numpy(np.concatenate(parts)), *steps)


def batch_steps(
    ids: Tensor, points: Tensor | None, config: StepConfig, bins: int, normals: Tensor | None = None
) -> Steps:
    """The steps of padded sequences (B, T) [BOS, ids, EOS, PAD ...], on their device.

    Args:
        points, normals: (B, P, 3) each, or None: see `mesh_steps`.
    """
    rows = ids.cpu().numpy()
    clouds, known = (
        [None] * len(rows) if x is None else list(x.detach().float().cpu().numpy()) for x in (points, normals)
    )
    meshes = [row[1 : 1 + int((row[1:] >= ID_OFFSET).sum())] for row in rows]
    with ThreadPoolExecutor(MOST_THREADS) as pool:  # meto works without the interpreter's lock
        each = list(
            pool.map(lambda ids, cloud, n: mesh_steps(ids, cloud, config, bins, normals=n), meshes, clouds, known)
        )
    return join_steps(each).to(ids.device)
