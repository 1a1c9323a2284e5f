"""Drawing in numpy where there is no OpenGL: the same picture as `core.data.gl`, a hundred times slower."""

from functools import partial

import numpy as np

from core.data.camera import Camera

OVERSAMPLING = 2  # each way
LINE_LIFT = 1.5e-3  # of the depth range, NDC: without a slope-dependent offset it takes more than in gl.py


class NumpyCanvas:
    """Draws triangles, lines and discs into a square picture of `size` pixels; the methods of `GLCanvas`."""

    def __init__(self, size: int, camera: Camera):
        self.size, self.camera, self.pixels = size, camera, size * OVERSAMPLING
        self.color = np.ones((self.pixels, self.pixels, 3), np.float32)
        self.cover = np.zeros((self.pixels, self.pixels), np.float32)
        self.depth = np.full((self.pixels, self.pixels), np.inf)
        self.matrix = camera.matrix()

    def triangles(self, corners: np.ndarray, colors: np.ndarray) -> None:
        """corners (F, 3, 3), colors (F, 3) in 0..1."""
        for triangle, color in zip(self._project(corners), colors, strict=True):
            self._fill(triangle[:, :2].min(axis=0), triangle[:, :2].max(axis=0), partial(_in_triangle, triangle), color)

    def lines(self, segments: np.ndarray, color: tuple[float, float, float], width: float, alpha: float = 1.0) -> None:
        """segments (E, 2, 3), width in pixels."""
        half = width * OVERSAMPLING / 2
        for segment in self._project(segments):
            low, high = segment[:, :2].min(axis=0) - half - 1, segment[:, :2].max(axis=0) + half + 1
            self._fill(low, high, partial(_on_line, segment, half), np.array(color), alpha, solid=False)

    def discs(self, centers: np.ndarray, colors: np.ndarray, radius: float, light: np.ndarray) -> None:
        """centers (N, 3), colors (N, 3); light (3,) direction in the camera's frame."""
        distance = self.camera.position[2] - centers @ self.camera.rotation[2]
        radii = radius / (distance * self.camera.tangent) * self.pixels / 2
        for center, reach, color in zip(self._project(centers[:, None])[:, 0], radii, colors, strict=True):
            low, high = center[:2] - reach, center[:2] + reach
            self._fill(low, high, partial(_in_disc, center, reach, light), color)

    def read(self) -> np.ndarray:
        """(size, size, 4) uint8, drawn over white; alpha tells how much of a pixel is covered."""
        full = np.concatenate([self.color, self.cover[..., None]], axis=2)
        small = full.reshape(self.size, OVERSAMPLING, self.size, OVERSAMPLING, 4).mean(axis=(1, 3))
        return (small * 255 + 0.5).astype(np.uint8)

    def _project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) world -> (..., 3): column and row in pixels, depth in -1..1."""
        clip = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        ndc = clip[..., :3] / clip[..., 3:]
        ndc[..., 1] *= -1
        ndc[..., :2] = (ndc[..., :2] + 1) * self.pixels / 2
        return ndc

    def _fill(self, low, high, shape, color: np.ndarray, alpha: float = 1.0, solid: bool = True) -> None:
        """Blend what `shape` says of the pixels in a box: (cover 0..1, depth, brightness), where it is in front."""
        left, top = np.clip(np.floor(low).astype(int), 0, self.pixels)
        right, bottom = np.clip(np.ceil(high).astype(int) + 1, 0, self.pixels)
        if left >= right or top >= bottom:
            return
        box = (slice(top, bottom), slice(left, right))
        x, y = np.arange(left, right) + 0.5, (np.arange(top, bottom) + 0.5)[:, None]
        cover, depth, brightness = shape(x, y)
        cover = np.where(depth <= self.depth[box], cover * alpha, 0)[..., None]
        shade = color * np.asarray(brightness)[..., None]
        self.color[box] = self.color[box] * (1 - cover) + np.clip(shade, 0, 1) * cover
        cover = cover[..., 0]
        self.cover[box] += (1 - self.cover[box]) * cover
        if solid:
            self.depth[box] = np.where(cover > 0, depth, self.depth[box])


def _in_triangle(triangle: np.ndarray, x: np.ndarray, y: np.ndarray):
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle.tolist()
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if abs(area) < 1e-12:
        return np.zeros(np.broadcast(x, y).shape), np.inf, 1.0
    v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    return inside.astype(np.float32), az + v * (bz - az) + w * (cz - az), 1.0


def _on_line(segment: np.ndarray, half: float, x: np.ndarray, y: np.ndarray):
    (ax, ay, az), (bx, by, bz) = segment.tolist()
    run = (bx - ax) ** 2 + (by - ay) ** 2
    along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / max(run, 1e-12), 0, 1)
    away = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
    return np.clip(half + 0.5 - away, 0, 1), az + along * (bz - az) - LINE_LIFT, 1.0


def _in_disc(center: np.ndarray, radius: float, light: np.ndarray, x: np.ndarray, y: np.ndarray):
    u, v = (x - center[0]) / radius, (center[1] - y) / radius
    out = u * u + v * v
    normal_z = np.sqrt(np.maximum(0, 1 - out))
    brightness = 0.62 + 0.48 * np.maximum(0, u * light[0] + v * light[1] + normal_z * light[2])
    return (out <= 1).astype(np.float32), center[2], brightness
