"""The pictures of this folder, drawn by this project's renderer from its procedural shapes.

python examples/images/make.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from core.data.camera import View  # noqa: E402
from core.data.render import render, save_image  # noqa: E402
from core.data.shapes import make_shape  # noqa: E402

SEED = 2**33  # neither trained nor measured on
SIZE = 384
# family, number, colour, azimuth, elevation; the last is on a plain grey background instead of a transparent one.
PICTURES = [
    ("bed", 3, (0.80, 0.55, 0.40), 35, 22),
    ("barrel", 1, (0.62, 0.45, 0.30), 25, 15),
    ("crate", 2, (0.85, 0.70, 0.45), 40, 28),
    ("house", 0, (0.75, 0.35, 0.30), 35, 20),
    ("conifer", 4, (0.35, 0.55, 0.35), 30, 12),
    ("table", 5, (0.55, 0.60, 0.75), 35, 25),
]


def main() -> None:
    for k, (family, number, color, azimuth, elevation) in enumerate(PICTURES):
        mesh, _ = make_shape(SEED, number, [family])
        view = View(azimuth, elevation, margin=0.12)
        last = k == len(PICTURES) - 1
        picture = render(mesh, SIZE, view, color=color, edges=False, transparent=not last)
        if last:
            picture = picture.copy()
            picture[(picture == 255).all(2)] = 225
        save_image(HERE / f"{family}.{'jpg' if last else 'png'}", picture)


if __name__ == "__main__":
    main()
