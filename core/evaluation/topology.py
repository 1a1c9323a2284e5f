"""One mesh to figures: how it hangs together, and what is wrong with it."""

import numpy as np

from core.data.finish import drop_degenerate, drop_duplicates, merge_vertices
from core.data.mesh import Mesh
from core.evaluation.distances import Figures
from core.evaluation.edges import Edges, find_edges
from core.evaluation.quality import layout
from core.geometry.intersect import intersecting_faces

DEFECTS = ("nonmanifold_edges", "boundary_edges", "degenerate_faces", "duplicate_faces", "intersecting_faces")


def topology(mesh: Mesh) -> Figures:
    """Counts of a mesh as it is in its file; vertices at the very same place are one.

    faces, vertices, components (faces joined by edges)    watertight: 1 where exactly two faces meet at every edge
    boundary_edges: of one face    nonmanifold_edges: of three or more
    degenerate_faces: of no area    duplicate_faces: repetitions of a face's three vertices
    intersecting_faces: that cut through another    and what `core.evaluation.quality.layout` says
    (edges and components leave out faces that repeat a vertex)
    """
    mesh = merge_vertices(mesh)
    sound = drop_degenerate(mesh)
    edges = find_edges(mesh.faces[(mesh.faces != np.roll(mesh.faces, 1, axis=1)).all(axis=1)])
    boundary, nonmanifold = int((edges.faces_at == 1).sum()), int((edges.faces_at > 2).sum())
    return {
        "faces": len(mesh.faces),
        "vertices": len(np.unique(mesh.faces)),
        "components": count_components(edges),
        "watertight": float(len(edges.label) > 0 and boundary == nonmanifold == 0),
        "boundary_edges": boundary,
        "nonmanifold_edges": nonmanifold,
        "degenerate_faces": len(mesh.faces) - len(sound.faces),
        "duplicate_faces": len(sound.faces) - len(drop_duplicates(sound).faces),
        "intersecting_faces": int(intersecting_faces(*sound).sum()),
        **layout(mesh),
    }


def count_components(edges: Edges) -> int:
    """Sets of faces that hang together by edges; touching at a corner joins nothing."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sides = len(edges.label)
    if sides == 0:
        return 0
    face = np.arange(sides) // 3
    count = sides // 3
    shape = (count + len(edges.faces_at),) * 2
    graph = coo_array((np.ones(sides, np.int8), (face, count + edges.label)), shape=shape)
    return int(connected_components(graph, directed=False)[0])
