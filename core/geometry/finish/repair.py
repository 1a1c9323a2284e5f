"""The steps of the repair, their options and their order."""

from dataclasses import dataclass

from core.geometry.finish.bridges import fill_bridges
from core.geometry.finish.cut import cut_faces
from core.geometry.finish.ears import fill_ears
from core.geometry.finish.holes import fill_holes
from core.geometry.finish.snap import snap_vertices
from core.geometry.finish.weld import weld_open_edges
from core.geometry.finish.working import WorkingMesh

TOLERANCE = 1 / 64  # how far a generated surface misses the points, in the model's frame of side 2


@dataclass(frozen=True)
class RepairConfig:
    weld: bool = True
    """Match open edges over the whole mesh and weld their ends, where that closes edges."""
    weld_distance: float = 0.06
    """How far apart welded ends may be, as a share of the diagonal; and no farther than half the shorter edge."""
    fill: bool = True
    """Close holes for which input points speak."""
    fill_support: float = 0.6
    """Share of a patch's area that must have input points near it, 0 to 1."""
    cut: bool = True
    """Cut faces that cross others or stand in the way of a patch, where the hole is closed better."""
    snap: bool = True
    """Move vertices by at most half a step of the grid to where the planes of the input points meet."""

    def __post_init__(self):
        if not 0 <= self.weld_distance <= 1:
            raise ValueError(f"--weld_distance {self.weld_distance}: a share of the diagonal, 0 to 1")
        if not 0 < self.fill_support <= 1:
            raise ValueError(f"--fill_support {self.fill_support}: above 0, and at most 1")


def repair(mesh: WorkingMesh, config: RepairConfig, grid_step: float) -> dict[str, int]:
    """Take the steps that the config names; those that need input points only where there are some.

    Args:
        mesh: changed.
        config: which steps.
        grid_step: of the grid that the vertices were quantised to, in their own unit; 0: they were not.

    Returns:
        By step: vertices that were welded away, faces added, faces cut out, vertices moved.
    """
    seen = mesh.support is not None
    counts: dict[str, int] = {}

    def take(name: str, count: int) -> None:
        counts[name] = counts.get(name, 0) + count

    def weld_and_fill() -> None:
        if config.weld:
            take("weld", weld_open_edges(mesh, config.weld_distance))
        if config.fill:
            take("fill", fill_holes(mesh, config.fill_support))
            take("fill", fill_ears(mesh, config.fill_support))

    weld_and_fill()
    if config.cut and seen:
        take("cut", cut_faces(mesh, config.fill_support))
        weld_and_fill()  # there is room now for what could not be before
    if config.fill and seen:
        take("fill", fill_bridges(mesh, config.fill_support))
        weld_and_fill()
    if config.snap and seen and grid_step > 0:
        take("snap", snap_vertices(mesh, mesh.unit_length(grid_step)))
    return counts
