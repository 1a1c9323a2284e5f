"""A closed manifold whatever it takes: what cannot be closed becomes a thin shell."""

import numpy as np

from core.geometry.finish.holes import patch
from core.geometry.finish.loops import find_loops
from core.geometry.finish.working import WorkingMesh, normals, sides_of
from core.geometry.vectors import lengths

THICKNESS = 0.004  # of the diagonal
INSET = 0.001  # by how much borders are drawn in, so that walls of neighbours never fall together


def close_surface(mesh: WorkingMesh, demand: float) -> tuple[np.ndarray, np.ndarray]:
    """Close every piece of a mesh: by patches that points support, though they cross others, else by thickness.

    Args:
        mesh: changed by the patches; its faces are wound as their neighbours are.
        demand: share of a patch's area that points must speak for.

    Returns:
        (V, 3) float32 vertices and (F, 3) int32 faces, two at every edge, in opposite directions.
    """
    for rim in find_loops(mesh.open_edges()[0], mesh.vertices):
        added = patch(mesh, rim, demand, may_cross=True)
        if added is not None:
            mesh.try_change(mesh.vertices, mesh.faces, mesh.ids, added, may_cross=True)
    vertices, faces, piece = cut_apart(mesh.vertices, mesh.faces)
    mesh.vertices, mesh.faces, _ = thicken(vertices, faces, piece)
    mesh.ids = np.arange(len(mesh.faces))
    return mesh.result()


def cut_apart(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mesh as pieces of which each is a manifold, maybe with a border: they hang together by no edge or vertex.

    Faces stay together where exactly two meet at an edge, wound alike.

    Returns:
        (W, 3) vertices, those at which several pieces or fans met once for each; (F, 3) faces; (F,) their pieces.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, two = _joined_sides(faces)
    # Side s runs from corner s to the next corner of its face; joined sides run in opposite directions.
    after = 3 * (np.arange(faces.size) // 3) + (np.arange(faces.size) + 1) % 3
    left, right = np.concatenate([one, after[one]]), np.concatenate([after[two], two])
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(faces.size, faces.size))
    label = connected_components(graph, directed=False)[1]
    first = np.unique(label, return_index=True)[1]
    graph = coo_array((np.ones(len(one)), (one // 3, two // 3)), shape=(len(faces), len(faces)))
    piece = connected_components(graph, directed=False)[1]
    return vertices[faces.reshape(-1)[first]], label.reshape(-1, 3), piece


def _joined_sides(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E,) and (E,) the two sides of each edge that has exactly two, in opposite directions."""
    sides = sides_of(faces)
    low, high = sides.min(axis=1), sides.max(axis=1)
    _, label, count = np.unique(low * (int(faces.max(initial=0)) + 1) + high, return_inverse=True, return_counts=True)
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(count[label[order]] == 2)[::2]
    one, two = order[starts], order[starts + 1]
    opposite = sides[one, 0] == sides[two, 1]
    return one[opposite], two[opposite]


def thicken(vertices: np.ndarray, faces: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Give pieces with a border thickness: a copy on either side, and walls along the border.

    Args:
        vertices: (V, 3), of one piece each, the diagonal 1.
        faces: (F, 3), at most two at an edge.
        piece: (F,) which piece a face belongs to.

    Returns:
        Vertices, faces, and how many pieces were given thickness.
    """
    sides = sides_of(faces)
    one, two = _joined_sides(faces)
    alone = np.ones(len(sides), bool)
    alone[one] = alone[two] = False
    open_pieces = np.unique(piece[np.flatnonzero(alone) // 3])
    doubled = np.isin(piece, open_pieces)
    offset = _vertex_normals(vertices, faces) * (THICKNESS / 2)
    border = sides[alone]  # a runs to b with the surface on its left
    vertices = _drawn_in(vertices, faces, np.unique(border))
    thick = np.zeros(len(vertices), bool)
    thick[faces[doubled]] = True
    front = vertices + np.where(thick[:, None], offset, 0)
    back = np.arange(len(vertices)) + len(vertices)
    a, b = border.T
    walls = np.concatenate([np.stack([b, a, back[a]], axis=1), np.stack([b, back[a], back[b]], axis=1)])
    every = np.concatenate([faces, back[faces[doubled]][:, ::-1], walls])
    used, renamed = np.unique(every, return_inverse=True)
    return np.concatenate([front, vertices - offset])[used], renamed.reshape(-1, 3), len(open_pieces)


def _drawn_in(vertices: np.ndarray, faces: np.ndarray, border: np.ndarray) -> np.ndarray:
    """The vertices, those of the border moved a little towards the middle of their faces."""
    total, count = np.zeros_like(vertices), np.zeros(len(vertices))
    np.add.at(total, faces.reshape(-1), np.repeat(vertices[faces].mean(axis=1), 3, axis=0))
    np.add.at(count, faces.reshape(-1), 1)
    inward = (total / np.maximum(count, 1)[:, None] - vertices)[border]
    moved = vertices.copy()
    moved[border] += inward * np.minimum(0.25, INSET / np.maximum(lengths(inward), 1e-300))[:, None]
    return moved


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals: of the faces around, by the angle that they have there."""
    corners = vertices[faces]
    normal = normals(corners)
    total = np.zeros_like(vertices)
    for j in range(3):
        u, v = corners[:, (j + 1) % 3] - corners[:, j], corners[:, (j + 2) % 3] - corners[:, j]
        cosine = np.einsum("fi,fi->f", u, v) / np.maximum(lengths(u) * lengths(v), 1e-300)
        np.add.at(total, faces[:, j], np.arccos(np.clip(cosine, -1, 1))[:, None] * normal)
    size = lengths(total)
    # Where a sheet is folded flat its normals cancel: any of its faces gives a direction.
    fallback = np.zeros_like(vertices)
    fallback[faces.reshape(-1)] = np.repeat(normal, 3, axis=0)
    return np.where((size > 1e-3)[:, None], total / np.maximum(size, 1e-300)[:, None], fallback)


def is_closed_manifold(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether manifold3d takes a mesh for a manifold: closed, two faces at every edge, wound alike.

    Raises:
        ValueError: manifold3d is not installed.
    """
    try:
        import manifold3d
    except ImportError as error:
        raise ValueError("--close needs the package manifold3d (pip install manifold3d)") from error
    if len(faces) == 0:
        return False
    solid = manifold3d.Manifold(manifold3d.Mesh(np.asarray(vertices, np.float32), np.asarray(faces, np.uint32)))
    return solid.status() == manifold3d.Error.NoError and solid.num_tri() > 0
