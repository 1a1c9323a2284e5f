"""Views of a mesh for the image model: pictures from all around, on white with alpha, in the file's colours.

View k of N looks from azimuth 35 + 360 k / N degrees, give or take 25, and 5 to 40 degrees above the horizon, with a
field of view of 15 to 40 degrees; the object fills 80 % of the square. So turning the mesh by -360 k / N degrees brings
it into the front-right pose in which views are taken during training. The lights are turned by up to 60 degrees.
"""

import io

import numpy as np

from core.data.camera import View
from core.data.mesh import Mesh
from core.data.prepare.options import Content
from core.data.prepare.reading import Colored
from core.data.render import render

AZIMUTH, AZIMUTH_SPREAD = 35.0, 25.0  # as core.data.views takes them: 10 to 60
ELEVATIONS = (5.0, 40.0)
FIELDS_OF_VIEW = (15.0, 40.0)
MARGIN = 0.1
LIGHT_SPREAD = 60.0


def draw_views(part: Colored, uid: str, content: Content) -> list[tuple[bytes, tuple[float, float]]]:
    """(PNG, (azimuth, elevation)) of each view; all that is random in it is drawn from the uid and --seed."""
    rng = np.random.default_rng((content.seed, int(uid[:16], 16)))
    color = None if part.colors is None else part.colors.astype(np.float32) / 255
    pictures = []
    for k in range(content.views):
        azimuth = (AZIMUTH + 360 * k / content.views + rng.uniform(-AZIMUTH_SPREAD, AZIMUTH_SPREAD)) % 360
        view = View(azimuth, rng.uniform(*ELEVATIONS), rng.uniform(*FIELDS_OF_VIEW), MARGIN)
        light = float(rng.uniform(-LIGHT_SPREAD, LIGHT_SPREAD))
        size = content.view_size
        picture = render(part.mesh, size, view, color=color, edges=False, transparent=True, light=light)
        pictures.append((encode_png(picture), (view.azimuth, view.elevation)))
    return pictures


def encode_png(picture: np.ndarray) -> bytes:
    """(H, W, 3 or 4) uint8 to a file's bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def warm_up(content: Content) -> None:
    """Draw once: starting OpenGL takes longer than a picture, and much address space."""
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    render(Mesh(triangle, np.array([[0, 1, 2]], np.int32)), content.view_size, transparent=True)
