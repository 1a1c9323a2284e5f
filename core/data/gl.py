"""Drawing with OpenGL: headless through EGL, on a GPU or in software, one context for the process.

Raises whatever the driver raises where there is no EGL; `core.data.render` then draws without it.
"""

import os
from functools import lru_cache
from typing import Any

import numpy as np

from core.data.camera import Camera

SAMPLES = 4  # of MSAA
SETBACK = (2.0, 2.0)  # of faces behind the lines that lie on them: per pixel of half a line's width, and constant
LINE_LIFT = 1e-4  # of lines towards the viewer, in a depth range of 2

SQUARE = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)  # as a strip of two triangles

MESH_SHADERS = (
    """
    #version 330
    uniform mat4 matrix;
    in vec3 position; in vec3 color;
    flat out vec3 shade;
    void main() { gl_Position = matrix * vec4(position, 1); shade = color; }
    """,
    """
    #version 330
    flat in vec3 shade;
    out vec4 pixel;
    void main() { pixel = vec4(shade, 1); }
    """,
)
# A line is a quad around its segment, wide enough for a soft rim; the distance to the segment decides the rest.
LINE_SHADERS = (
    """
    #version 330
    uniform mat4 matrix; uniform float size; uniform float reach; uniform float lift;
    in vec2 corner; in vec3 start; in vec3 end;
    out vec2 at; flat out float extent;
    void main() {
        vec4 a = matrix * vec4(start, 1), b = matrix * vec4(end, 1);
        vec3 from = a.xyz / a.w, run = b.xyz / b.w - from;  // all in front of the camera: no w is needed any more
        vec2 pixels = run.xy * size / 2;
        extent = length(pixels);
        vec2 along = extent > 1e-3 ? pixels / extent : vec2(1, 0), across = vec2(-along.y, along.x);
        at = vec2(corner.x > 0 ? extent + reach : -reach, corner.y * reach);
        float depth = from.z + run.z * clamp(extent > 1e-3 ? at.x / extent : 0, -1, 2);
        gl_Position = vec4(from.xy + (along * at.x + across * at.y) * 2 / size, depth - lift, 1);
    }
    """,
    """
    #version 330
    uniform vec4 color; uniform float half_width;
    in vec2 at; flat in float extent;
    out vec4 pixel;
    void main() {
        float away = length(vec2(at.x - clamp(at.x, 0, extent), at.y));
        float cover = clamp(half_width + 0.5 - away, 0, 1);
        if (cover <= 0) discard;
        pixel = vec4(color.rgb, color.a * cover);
    }
    """,
)
# A disc shaded as the ball that it stands for.
POINT_SHADERS = (
    """
    #version 330
    uniform mat4 matrix; uniform float size; uniform float scale;
    in vec2 corner; in vec3 center; in vec3 color;
    out vec2 at; flat out vec3 shade; flat out float radius;
    void main() {
        vec4 middle = matrix * vec4(center, 1);
        radius = scale / middle.w;
        at = corner * (radius + 0.5);
        shade = color;
        gl_Position = vec4(middle.xyz / middle.w + vec3(at * 2 / size, 0), 1);
    }
    """,
    """
    #version 330
    uniform vec3 light;
    in vec2 at; flat in vec3 shade; flat in float radius;
    out vec4 pixel;
    void main() {
        float cover = clamp(radius + 0.5 - length(at), 0, 1);
        if (cover <= 0) discard;
        vec2 share = at / radius;
        vec3 normal = vec3(share, sqrt(max(0, 1 - dot(share, share))));
        pixel = vec4(shade * (0.62 + 0.48 * max(0, dot(normal, light))), cover);
    }
    """,
)


class GLCanvas:
    """Draws triangles, lines and discs into a square picture of `size` pixels, nearer things in front."""

    def __init__(self, size: int, camera: Camera):
        self.size, self.camera = size, camera
        if lost_in_fork():
            raise RuntimeError(f"OpenGL was started by process {_process} and is lost to its fork {os.getpid()}")
        self.gl = _context()
        self.samples, self.picture = _framebuffers(size)
        self.samples.use()
        self.samples.clear(1, 1, 1, 0)
        self.matrix = camera.matrix().T.astype("f4").tobytes()

    def triangles(self, corners: np.ndarray, colors: np.ndarray) -> None:
        """corners (F, 3, 3), colors (F, 3) in 0..1."""
        data = np.concatenate([corners, np.repeat(colors[:, None], 3, axis=1)], axis=2, dtype=np.float32)  # (F, 3, 6)
        program = self._program(MESH_SHADERS)
        self.gl.polygon_offset = SETBACK
        self._draw(program, [(data, "3f 3f", "position", "color")])
        self.gl.polygon_offset = (0.0, 0.0)

    def lines(self, segments: np.ndarray, color: tuple[float, float, float], width: float, alpha: float = 1.0) -> None:
        """segments (E, 2, 3), width in pixels."""
        program = self._program(LINE_SHADERS)
        program["size"], program["half_width"], program["reach"] = float(self.size), width / 2, width / 2 + 1
        program["color"], program["lift"] = (*color, alpha), LINE_LIFT
        self.samples.depth_mask = False
        self._draw(
            program,
            [(SQUARE, "2f", "corner"), (segments.astype(np.float32), "3f 3f/i", "start", "end")],
            "TRIANGLE_STRIP",
        )
        self.samples.depth_mask = True

    def discs(self, centers: np.ndarray, colors: np.ndarray, radius: float, light: np.ndarray) -> None:
        """centers (N, 3), colors (N, 3), the farthest first; light (3,) direction in the camera's frame."""
        program = self._program(POINT_SHADERS)
        program["size"], program["scale"] = float(self.size), radius * self.size / (2 * self.camera.tangent)
        program["light"] = tuple(light)
        self.gl.disable(self.gl.DEPTH_TEST)  # their soft rims need painting in order
        data = np.concatenate([centers, colors], axis=1, dtype=np.float32)
        self._draw(program, [(SQUARE, "2f", "corner"), (data, "3f 3f/i", "center", "color")], "TRIANGLE_STRIP")
        self.gl.enable(self.gl.DEPTH_TEST)

    def read(self) -> np.ndarray:
        """(size, size, 4) uint8, drawn over white; alpha tells how much of a pixel is covered."""
        self.gl.copy_framebuffer(self.picture, self.samples)
        data = self.picture.read(components=4, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(self.size, self.size, 4)[::-1]

    def _program(self, shaders: tuple[str, str]) -> Any:
        program = _program(shaders)
        program["matrix"].write(self.matrix)
        return program

    def _draw(self, program: Any, content: list[tuple], mode: str = "TRIANGLES") -> None:
        if any(array.size == 0 for array, *_ in content):
            return
        buffers = [self.gl.buffer(np.ascontiguousarray(array)) for array, *_ in content]
        array = self.gl.vertex_array(program, [(b, *rest) for b, (_, *rest) in zip(buffers, content, strict=True)])
        instances = content[1][0].shape[0] if len(content) > 1 else 1
        array.render(getattr(self.gl, mode), instances=instances)
        array.release()
        for buffer in buffers:
            buffer.release()


_process: int | None = None  # that made the context


def lost_in_fork() -> bool:
    """Whether a parent of this forked process has drawn: the driver's threads are gone, it would wait for ever."""
    return _process not in (None, os.getpid())


@lru_cache(maxsize=1)
def _context() -> Any:
    import moderngl

    global _process
    _process = os.getpid()
    context: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
    context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
    # Colour over colour as usual; coverage adds up.
    context.blend_func = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA)
    context.depth_func = "<="
    return context


@lru_cache(maxsize=4)
def _framebuffers(size: int) -> tuple[Any, Any]:
    context, shape = _context(), (size, size)
    samples = min(SAMPLES, context.max_samples)
    many = context.framebuffer(
        [context.renderbuffer(shape, 4, samples=samples)], context.depth_renderbuffer(shape, samples=samples)
    )
    return many, context.framebuffer([context.renderbuffer(shape, 4)])


@lru_cache(maxsize=8)
def _program(shaders: tuple[str, str]) -> Any:
    return _context().program(vertex_shader=shaders[0], fragment_shader=shaders[1])
