"""Repair of generated meshes: torn surfaces are put together, as far as the input points say that they should be.

Each step keeps what it does only if no face comes to cross another, and no edge gets a third face.
"""

from core.geometry.finish.close import close_surface, is_closed_manifold
from core.geometry.finish.repair import RepairConfig, repair
from core.geometry.finish.working import WorkingMesh

__all__ = ["RepairConfig", "WorkingMesh", "close_surface", "is_closed_manifold", "repair"]
