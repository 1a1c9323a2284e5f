"""Mesh ids as vertex groups, a step of the face decoder each, with what is known of the unfinished mesh before each.

A group is (kind, x, y, z); see `meto.surface`. What is known is a function of the groups before and of the input points
alone, so generation comes by it as training does.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.tokens import ID_OFFSET
from meto import SurfaceBatch
from meto.surface import estimate_normals, to_groups, to_tokens

NEVER = np.iinfo(np.int32).max
MOST_THREADS = 8


@dataclass(frozen=True)
class StepConfig:
    near_points: int = 16
    """Input points shown to the face decoder about each edge that the next face may attach to, the nearest and ever
    sparser ones to sixteen times as many away."""
    spread_points: int = 16
    """Input points shown to the face decoder from all that no face covers yet."""
    near_open: int = 0
    """Vertices of the open boundary shown to the face decoder about each edge that the next face may attach to, the
    nearest ones, and offered to be copied; 0: only those beside the edge."""
    cover_distance: float = 0.03
    """A face covers the input points that are no farther from it, in the frame of [-1, 1]."""

    def __post_init__(self) -> None:
        for name in ("near_points", "spread_points", "near_open", "cover_distance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must not be negative")

    def surfaces(self, batch: int, bins: int) -> SurfaceBatch:
        """Unfinished meshes, a row a sequence."""
        sizes = self.near_points, self.spread_points, self.cover_distance, self.near_open
        return SurfaceBatch(batch, bins, *sizes)


@dataclass(frozen=True)
class Steps:
    """The steps of one mesh, or of a batch's meshes one after the other (N in all), as arrays or tensors.

    Attributes:
        groups: (N, 4) int32 what is written at each step; this and the last three are None while it is being generated.
        phase, open_edges, waiting, gate, neighbours, points, uncovered, open_vertices: what is known before, see
            `meto.surface.Shown`.
        normals: (B, P, 3) float32 of the input points, estimated from them alone, so of scans as of meshes.
        first_use: (B, 3, bins) int32 the step, counted in each mesh, after which a coordinate of an axis has been used.
        lengths: (B,) int64 steps of each mesh.
        learned: (N,) bool, off for vertices that the augmentation has put in the wrong place.
    """

    groups: Any
    phase: Any
    open_edges: Any
    waiting: Any
    gate: Any
    neighbours: Any
    points: Any
    uncovered: Any
    open_vertices: Any
    normals: Any
    first_use: Any
    lengths: Any
    learned: Any = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Steps":
        return self.map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Steps":
        return self.map(lambda x: x.pin_memory())

    def map(self, function: Any) -> "Steps":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: function(value) for name, value in values.items() if value is not None})


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
    shown = config.surfaces(1, bins).replay(groups, points)
    first_use = np.full((1, 3, bins), NEVER, np.int32)
    for axis in range(3):  # the last assignment stands, so the first use comes last
        first_use[0, axis, groups[-2::-1, 1 + axis]] = np.arange(len(groups) - 2, -1, -1)
    learned = np.ones(len(groups), bool)
    if wrong is not None and len(wrong):
        learned[_first_steps(groups[:-1, 1:], wrong, bins)] = False
    normals = estimate_normals(cloud) if normals is None else normals
    return Steps(groups, *shown, normals[None], first_use, np.array([len(groups)]), learned)


def _first_steps(vertices: np.ndarray, asked: np.ndarray, bins: int) -> np.ndarray:
    """The steps that first write each of the vertices asked for, of those that write vertices (T, 3)."""
    place = np.array([bins * bins, bins, 1], np.int64)
    values, first = np.unique(vertices.astype(np.int64) @ place, return_index=True)
    return first[np.isin(values, asked.astype(np.int64) @ place)]


def to_ids(groups: np.ndarray) -> np.ndarray:
    """The mesh ids (T,) int64 of groups (G, 4)."""
    return to_tokens(groups).astype(np.int64) + ID_OFFSET


def join_steps(steps: Sequence[Steps]) -> Steps:
    """The steps of several meshes as one batch of tensors."""
    names = [f.name for f in fields(Steps)]
    return Steps(*(torch.from_numpy(np.concatenate([getattr(s, name) for s in steps])) for name in names))


def batch_steps(
    ids: Tensor, points: Tensor | None, config: StepConfig, bins: int, normals: Tensor | None = None
) -> Steps:
    """The steps of a batch of padded sequences (B, T) [BOS, ids, EOS, PAD ...], on its device.

    Args:
        points, normals: (B, P, 3) each, or None: see `mesh_steps`.
    """
    rows = ids.cpu().numpy()
    clouds, known = (
        [None] * len(rows) if x is None else list(x.detach().float().cpu().numpy()) for x in (points, normals)
    )
    meshes = [row[1 : 1 + int((row[1:] >= ID_OFFSET).sum())] for row in rows]
    with ThreadPoolExecutor(MOST_THREADS) as pool:  # meto works without the interpreter's lock
        made = list(
            pool.map(lambda ids, cloud, n: mesh_steps(ids, cloud, config, bins, normals=n), meshes, clouds, known)
        )
    return join_steps(made).to(ids.device)
