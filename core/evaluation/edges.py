"""The edges of a mesh, how many faces meet at each, and which of them are sharp."""

from typing import NamedTuple

import numpy as np

from core.data.mesh import Mesh, cross, lengths, unique_rows

SHARP_ANGLE = 30.0  # degrees between the normals of two faces


class Edges(NamedTuple):
    """ends: (E, 2) vertices, the lower first    faces_at: (E,) how many faces meet there    label: (3F,) edge of a side

    Side 3 f + j runs from corner j of face f to corner j + 1.
    """

    ends: np.ndarray
    faces_at: np.ndarray
    label: np.ndarray


def find_edges(faces: np.ndarray) -> Edges:
    """Every edge of faces (F, 3) once; sides that join a vertex to itself count as edges too."""
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    sides = np.sort(sides, axis=1)
    first, label = unique_rows(sides)
    return Edges(sides[first], np.bincount(label, minlength=len(first)), label)


def sharp_edges(mesh: Mesh, angle: float = SHARP_ANGLE) -> np.ndarray:
    """(E, 2) ends of the edges that show: of two faces at more than `angle` degrees, of one face, of more than two."""
    edges = find_edges(mesh.faces)
    shown = edges.faces_at != 2
    order = np.argsort(edges.label, kind="stable")
    starts = np.flatnonzero(edges.faces_at[edges.label[order]] == 2)[::2]
    one, two = order[starts], order[starts + 1]
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(lengths(normals), 1e-300)[:, None]
    starting = mesh.faces.reshape(-1)  # of faces that are wound alike, one runs along the edge and the other back
    cosine = np.einsum("ei,ei->e", normals[one // 3], normals[two // 3])
    cosine = np.where(starting[one] != starting[two], cosine, -cosine)
    shown[edges.label[one]] = cosine < np.cos(np.deg2rad(angle))
    return edges.ends[shown]
