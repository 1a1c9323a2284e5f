"""meto: triangle meshes to tokens, about 4 to 5 integers a face, and back.

from meto import Engine, load_mesh

vertices, faces = load_mesh("chair.glb")
tokens, face_order, face_type = Engine(discrete_bins=512).encode(vertices, faces)
"""

from pathlib import Path

from meto.batch import MeshBatch, TokenBatch
from meto.decoder import BatchDecoder, Decoder
from meto.engine import Engine
from meto.grammar import Grammar, Violation, grammar, naive_grammar
from meto.mesh import clean_mesh, load_mesh, normalize_mesh, read_mesh, sort_mesh
from meto.naive import NaiveEngine
from meto.surface import SurfaceBatch


def get_include() -> str:
    """The folder of the C++ headers (`#include "meto/surface/surface.hpp"`)."""
    return str(Path(__file__).parent / "include")


__all__ = [
    "BatchDecoder",
    "Decoder",
    "Engine",
    "Grammar",
    "MeshBatch",
    "NaiveEngine",
    "SurfaceBatch",
    "TokenBatch",
    "Violation",
    "clean_mesh",
    "get_include",
    "grammar",
    "load_mesh",
    "naive_grammar",
    "normalize_mesh",
    "read_mesh",
    "sort_mesh",
]
