"""Pictures of one object: read from files, cut out of their background, and centred on white."""

import importlib.util
import logging
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.data.mesh import check_file

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
BORDER = 0.2  # share of the square's side that is left free
PICTURE_SIZE = 512
SMALLEST = 16  # pixels of a side
OPAQUE = 250  # alpha from which a pixel hides what is behind it
LIKENESS = 24.0  # distance of colours (0..255, Euclidean) up to which they count as the same background
PLAIN_SHARE = 0.9  # of the border's pixels that are alike in a plain background
REMBG_MODEL = "u2net"


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3 or 4) uint8, turned upright; four channels where the file has transparency.

    Raises:
        ValueError: naming the file: not readable as a picture, or too small.
    """
    from PIL import Image, ImageOps

    check_file(path)
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            pixels = np.array(upright.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: not readable as a picture ({reason})") from error
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels; at least {SMALLEST} a side are needed")
    return pixels


def object_of(image: np.ndarray) -> np.ndarray:
    """The object alone, (H, W, 4) uint8 with the background's alpha 0.

    The picture's own alpha where it has some; else rembg's cut, where that package and its model are installed; else
    all that differs from the colour of the border and what hangs together with it, with a warning.

    Raises:
        ValueError: there is nothing but background.
    """
    if image.shape[2] == 4 and (image[..., 3] < OPAQUE).any():
        cut = image
    elif has_rembg():
        cut = _cut_by_rembg(image[..., :3])
    else:
        cut = cut_plain_background(image[..., :3])
    if not (cut[..., 3] >= OPAQUE / 2).any():
        raise ValueError("nothing but background in this picture")
    return cut


def has_rembg() -> bool:
    """Whether rembg is installed and its model is on this disk (nothing is downloaded)."""
    folder = Path(os.environ.get("U2NET_HOME", Path.home() / ".u2net"))
    return importlib.util.find_spec("rembg") is not None and (folder / f"{REMBG_MODEL}.onnx").is_file()


@lru_cache(maxsize=1)
def _rembg_session():
    from rembg import new_session

    return new_session(REMBG_MODEL)


def _cut_by_rembg(image: np.ndarray) -> np.ndarray:
    from rembg import remove

    return np.asarray(remove(image, session=_rembg_session()))


def cut_plain_background(image: np.ndarray) -> np.ndarray:
    """(H, W, 4) of (H, W, 3): transparent where a colour like the border's reaches in from the border."""
    from scipy import ndimage

    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(np.float32)
    color = np.median(rim, axis=0)
    plain = (np.linalg.norm(rim - color, axis=1) <= LIKENESS).mean()
    log.warning(
        "no transparency%s: the background is taken to be what is coloured like the border%s",
        "" if has_rembg() else " (and no rembg with its model: pip install rembg[cpu], run it once)",
        "" if plain >= PLAIN_SHARE else f", which only {100 * plain:.0f} % of the border is: the cut may be poor",
    )
    alike = np.linalg.norm(image.astype(np.float32) - color, axis=2) <= LIKENESS
    pieces, _ = ndimage.label(alike)
    outer = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    background = np.isin(pieces, outer[outer > 0])
    alpha = np.where(background, 0, 255).astype(np.uint8)
    return np.concatenate([image, alpha[..., None]], axis=2)


def recenter(image: np.ndarray, size: int = PICTURE_SIZE, border: float = BORDER) -> np.ndarray:
    """The object of (H, W, 4) in the middle of a white square (size, size, 3), its longer side 1 - border of it."""
    from PIL import Image

    rows, columns = (
        np.nonzero((image[..., 3] > 255 - OPAQUE).any(1))[0],
        np.nonzero((image[..., 3] > 255 - OPAQUE).any(0))[0],
    )
    part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    alpha = part[..., 3:] / 255
    on_white = part[..., :3] * alpha + 255 * (1 - alpha)  # first, so that resizing mixes no colour of the background
    scale = size * (1 - border) / max(part.shape[:2])
    height, width = (max(1, round(n * scale)) for n in part.shape[:2])
    resized = Image.fromarray((on_white + 0.5).clip(0, 255).astype(np.uint8)).resize(
        (width, height), Image.Resampling.LANCZOS
    )
    square = Image.new("RGB", (size, size), "white")
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)
