"""Where pictures are taken from: a perspective camera that fits what it looks at into the picture."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class View:
    """A direction to look from, in degrees; y is up, and azimuth 0 looks at the side that faces +z."""

    azimuth: float = 35.0
    elevation: float = 22.0
    field_of_view: float = 24.0
    margin: float = 0.05
    """Share of the picture left free on each side."""


class Camera(NamedTuple):
    """A view of something.

    rotation: (3, 3) rows right, up, towards the viewer     position: (3,) eye, in the rotated frame
    tangent: of half the field of view     near, far: distances that hold all that is framed
    """

    rotation: np.ndarray
    position: np.ndarray
    tangent: float
    near: float
    far: float

    def eye(self) -> np.ndarray:
        """(3,) the eye's place in the world."""
        return self.position @ self.rotation

    def matrix(self) -> np.ndarray:
        """(4, 4) float64 world to clip coordinates, for column vectors (OpenGL's conventions)."""
        near, far = self.near, self.far
        world_to_eye = np.eye(4)
        world_to_eye[:3, :3], world_to_eye[:3, 3] = self.rotation, -self.position
        projection = np.diag([1 / self.tangent, 1 / self.tangent, -(far + near) / (far - near), 0.0])
        projection[2, 3], projection[3, 2] = -2 * far * near / (far - near), -1
        return projection @ world_to_eye


def frame(vertices: np.ndarray, view: View) -> Camera:
    """The camera of `view` that is as close as the picture's margin lets all of `vertices` (V, 3) be seen."""
    azimuth, elevation = np.deg2rad(view.azimuth), np.deg2rad(view.elevation)
    right = np.array([np.cos(azimuth), 0, -np.sin(azimuth)])
    towards = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    rotation = np.stack([right, np.cross(towards, right), towards])
    seen = np.asarray(vertices, np.float64) @ rotation.T
    tangent = np.tan(np.deg2rad(view.field_of_view) / 2)
    inner = tangent * (1 - 2 * view.margin)
    # |x - eye_x| <= inner * (eye_z - z) for every vertex: two lines each for x and y, whose crossing is the answer.
    most = (seen[:, :2] + inner * seen[:, 2:]).max(axis=0)
    least = (-seen[:, :2] + inner * seen[:, 2:]).max(axis=0)
    low, high = seen[:, 2].min(), seen[:, 2].max()
    depth = float(np.linalg.norm(seen.max(axis=0) - seen.min(axis=0))) or 1.0
    distance = max(float((most + least).max() / (2 * inner)), float(high) + 0.05 * depth)
    position = np.array([*(most - least) / 2, distance])
    pad = 0.02 * depth
    return Camera(rotation, position, float(tangent), max(distance - high - pad, 1e-3 * depth), distance - low + pad)
