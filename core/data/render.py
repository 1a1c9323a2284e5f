"""Pictures of meshes and point clouds: clay, crisp edges, white background; and sheets of them.

python -m core.data.render MESH_OR_FOLDER... -o sheet.png
"""

import argparse
import logging
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from core.data.camera import Camera, View, frame
from core.data.mesh import Mesh, check, cross, lengths, list_inputs, load, normalize, save_bytes, unique_rows

log = logging.getLogger(__name__)

CLAY = (0.95, 0.90, 0.84)
BACK_TINT = (0.70, 0.72, 0.80)  # of faces seen from behind: holes and flipped faces show
INK = (0.13, 0.14, 0.18)
POINT_BLUE = (0.33, 0.52, 0.80)
KEY_LIGHT = np.array([-0.45, 0.70, 0.55]) / np.linalg.norm(
    [-0.45, 0.70, 0.55]
)  # in the camera's frame: over the shoulder
FILL_LIGHT = np.array([0.86, 0.06, 0.51])

Backend = Literal["auto", "gl", "numpy"]


def render(
    mesh: Mesh | np.ndarray,
    size: int = 512,
    view: View | None = None,
    *,
    edges: bool = True,
    color: tuple[float, float, float] | np.ndarray | None = None,
    transparent: bool = False,
    light: float = 0.0,
    fit: np.ndarray | None = None,
    backend: Backend = "auto",
) -> np.ndarray:
    """A picture of a mesh, or of a point cloud (a mesh without faces, or (N, 3) points).

    Args:
        mesh: at any place and scale.
        size: width and height in pixels.
        view: where from; None: three-quarter, from slightly above.
        edges: draw the visible edges of the faces.
        color: one (3,) for all, or one a face or point (F, 3), 0..1; None: clay for meshes, blue for points.
        light: degrees by which the lights are turned about the viewer's upright axis.
        transparent: four channels, the background's alpha 0; else three, on white.
        fit: (V, 3) what the picture is framed by instead of `mesh`, to draw several things alike.
        backend: "gl", "numpy", or "auto": numpy only where there is no OpenGL (a warning says so once).

    Returns (size, size, 3 or 4) uint8. Raises ValueError for a mesh that nothing can be seen of, and for a wrong size.
    """
    if not 16 <= size <= 8192:
        raise ValueError(f"a picture of {size} pixels: 16 to 8192 are possible")
    mesh = mesh if isinstance(mesh, Mesh) else Mesh(np.asarray(mesh), np.zeros((0, 3), np.int32))
    check(mesh)
    used = mesh.vertices if mesh.is_points else mesh.vertices[np.unique(mesh.faces)]
    framed, placement = normalize(Mesh(used if fit is None else np.asarray(fit), mesh.faces), 1.0)
    vertices = placement.apply(mesh.vertices)
    camera = frame(framed.vertices, view or View())
    canvas = _canvas(backend)(size, camera)
    if mesh.is_points:
        _draw_points(canvas, camera, vertices, color)
    else:
        _draw_mesh(canvas, camera, Mesh(vertices, mesh.faces), color, edges, light)
    return _unmix(canvas.read()) if transparent else canvas.read()[..., :3]


def _draw_mesh(canvas, camera: Camera, mesh: Mesh, color, edges: bool, light: float = 0.0) -> None:
    corners = mesh.vertices[mesh.faces]  # (F, 3, 3)
    base = np.broadcast_to(np.asarray(CLAY if color is None else color, np.float32), (len(mesh.faces), 3))
    canvas.triangles(corners, shade(corners, base, camera, light))
    if edges:
        ends = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
        ends = ends[unique_rows(ends)[0]]
        # Where edges crowd, thinner and fainter ones still tell the shape; full ones would black it out.
        pixels_each = canvas.size * np.sqrt(2 / len(mesh.faces))
        width = canvas.size / 512 * float(np.clip(pixels_each / 14, 0.7, 1.45))
        canvas.lines(mesh.vertices[ends], INK, max(width, 0.8), float(np.clip(pixels_each / 10, 0.15, 0.92)))


def shade(corners: np.ndarray, base: np.ndarray, camera: Camera, turn: float = 0.0) -> np.ndarray:
    """(F, 3) colours of flat faces (F, 3, 3): key light, fill light and a sky that is brighter above.

    turn: degrees by which the lights are turned to the viewer's right.
    """
    normals = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = normals / np.maximum(lengths(normals), 1e-20)[:, None]
    behind = np.einsum("fi,fi->f", normals, camera.eye() - corners.mean(axis=1)) < 0
    seen = np.where(behind[:, None], -normals, normals) @ camera.rotation.T
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    seen = seen @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])  # turned the other way, against fixed lights
    light = 0.58 + 0.38 * np.maximum(0, seen @ KEY_LIGHT) + 0.22 * np.maximum(0, seen @ FILL_LIGHT) + 0.06 * seen[:, 1]
    tint = np.where(behind[:, None], BACK_TINT, 1.0)
    return np.clip(base * tint * light[:, None], 0, 1).astype(np.float32)


def _draw_points(canvas, camera: Camera, points: np.ndarray, color) -> None:
    base = np.broadcast_to(np.asarray(POINT_BLUE if color is None else color, np.float32), points.shape)
    distance = camera.position[2] - points @ camera.rotation[2]
    near, far = distance.min(), distance.max()
    haze = (0.55 * (distance - near) / max(far - near, 1e-9))[
        :, None
    ]  # far ones fade: a cloud has no faces to hide them
    radius = float(np.clip(0.60 / np.sqrt(len(points)), 0.004, 0.02))
    order = np.argsort(-distance)
    canvas.discs(points[order], (base * (1 - haze) + haze)[order], radius, KEY_LIGHT)


def _canvas(backend: Backend):
    from core.data.gl import GLCanvas
    from core.data.raster import NumpyCanvas

    if backend == "gl" or (backend == "auto" and _has_gl()):
        return GLCanvas
    return NumpyCanvas


def _has_gl() -> bool:
    return _try_gl(os.getpid())


@lru_cache(maxsize=1)
def _try_gl(_process: int) -> bool:  # by process: it does not outlive a fork
    from core.data import gl

    try:
        gl.GLCanvas(16, frame(np.eye(3), View())).read()
    except Exception as error:  # moderngl raises plain Exception where EGL is lacking; whatever it is, numpy can draw
        log.warning("no OpenGL through EGL (%s): pictures are drawn in numpy, slowly", str(error).splitlines()[0])
        return False
    return True


def _unmix(picture: np.ndarray) -> np.ndarray:
    """Straight alpha: the colours of (H, W, 4) as they are without the white behind them."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    color = picture[..., :3].astype(np.float32) - 255 * (1 - alpha)
    color = np.where(alpha > 0, color / np.maximum(alpha, 1e-6), 255)
    return np.concatenate([np.clip(color + 0.5, 0, 255).astype(np.uint8), picture[..., 3:]], axis=2)


# ---------------------------------------------------------------------------------------------------------------------
# Sheets


def contact_sheet(
    rows: list[list[np.ndarray | None]],
    labels: list[list[str]] | None = None,
    header: list[str] | None = None,
    gap: int = 12,
) -> np.ndarray:
    """Pictures in rows, each with its label below, a title over each column; (H, W, 3) uint8 on white.

    Cells are as large as the largest picture; None leaves one free. Labels that are too wide are shortened.
    """
    from PIL import Image, ImageDraw, ImageFont

    pictures = [p for row in rows for p in row if p is not None]
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    height, width = max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures)
    points = max(11, width // 24)
    font, line = ImageFont.load_default(points), int(points * 1.6)
    below, above = line if labels else 0, line + gap if header else 0
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, len(rows) * (height + below + gap) + gap + above), "white")
    draw = ImageDraw.Draw(sheet)

    def write(text: str, column: int, y: float, ink: str) -> None:
        text = _shorten(text, width, font)
        x = gap + column * (width + gap) + (width - draw.textlength(text, font=font)) / 2
        draw.text((x, y), text, fill=ink, font=font)

    for column, title in enumerate(header or []):
        write(title, column, gap, "#222222")
    for r, row in enumerate(rows):
        top = above + gap + r * (height + below + gap)
        for column, picture in enumerate(row):
            if picture is not None:
                sheet.paste(Image.fromarray(picture[..., :3]), (gap + column * (width + gap), top))
            if labels and r < len(labels) and column < len(labels[r]):
                write(labels[r][column], column, top + height + line * 0.1, "#555555")
    return np.asarray(sheet)


def _shorten(text: str, width: float, font) -> str:
    if font.getlength(text) <= width:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]  # the middle goes: names differ at the ends
    while head and font.getlength(f"{head}...{tail}") > width:
        head, tail = head[:-1], tail[1:] if len(tail) >= len(head) else tail
    return f"{head}...{tail}"


def save_image(path: str | Path, picture: np.ndarray) -> None:
    """Write (H, W, 3 or 4) uint8 as the suffix says (.png, .jpg, ...). Raises ValueError for an unknown suffix."""
    import io

    from PIL import Image

    Image.init()
    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: pictures cannot be written as {Path(path).suffix!r}; take .png")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    save_bytes(Path(path), buffer.getvalue())


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if any file could not be drawn."""
    parser = argparse.ArgumentParser(prog="python -m core.data.render", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("inputs", nargs="+", metavar="MESH", help="mesh or point cloud files, or folders of them")
    parser.add_argument("-o", "--output", default="sheet.png", help="picture to write (default: sheet.png)")
    parser.add_argument("--size", type=int, default=384, help="pixels of each picture (default: 384)")
    parser.add_argument("--columns", type=int, default=0, help="pictures in a row (default: about square)")
    parser.add_argument("--azimuth", type=float, default=View.azimuth, help="degrees round the y axis from +z")
    parser.add_argument("--elevation", type=float, default=View.elevation, help="degrees above the horizon")
    parser.add_argument("--no-edges", action="store_true", help="surfaces only")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    view = View(options.azimuth, options.elevation)
    pictures: list[np.ndarray | None] = []
    labels, failed = [], 0
    for path in options.inputs:
        try:
            for file in list_inputs(path):
                mesh = load(file)
                pictures.append(render(mesh, options.size, view, edges=not options.no_edges))
                labels.append(f"{file.name}  {_count(mesh)}")
        except ValueError as error:
            log.error("%s", error)
            failed += 1
    if not pictures:
        return 1
    columns = options.columns or int(np.ceil(np.sqrt(len(pictures))))
    cut = range(0, len(pictures), columns)
    save_image(
        options.output, contact_sheet([pictures[k : k + columns] for k in cut], [labels[k : k + columns] for k in cut])
    )
    log.info("%s: %d pictures%s", options.output, len(pictures), f", {failed} inputs failed" if failed else "")
    return 1 if failed else 0


def _count(mesh: Mesh) -> str:
    return f"{len(mesh.vertices):,} points" if mesh.is_points else f"{len(mesh.faces):,} faces"


if __name__ == "__main__":
    sys.exit(main())
