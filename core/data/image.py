"""Pictures of one object: read from files, cut out of their background, and centred on white."""

import importlib.util
import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.data.mesh import check_file
from core.geometry.files import check_content

if TYPE_CHECKING:
    import PIL.Image

log = logging.getLogger(__name__)

HEIF_SUFFIXES = (".heic", ".heif")  # read where pi_heif is installed
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", *HEIF_SUFFIXES)
BORDER = 0.2  # share of the square's side that is left free
PICTURE_SIZE = 512
SMALLEST = 16  # pixels of a side
OPAQUE = 250  # alpha from which a pixel hides what is behind it
SEEN = 255 - OPAQUE  # alpha above which a pixel belongs to the object
LIKENESS = 24.0  # distance of colours (0..255, Euclidean) up to which they count as the same background
PLAIN_SHARE = 0.9  # of the border's pixels that are alike in a plain background
COLOR_SHARE = 0.1  # of the border's pixels from which another colour of it may be the background
SPECK_SHARE = 0.001  # of the object's pixels: what is smaller and apart from it is no part of it
FRAME_SHARE = 0.06  # of a side: the width up to which a plain rim is a frame about the picture
BLANK_SHARE = 0.0005  # of the square's pixels that must differ from white
REMBG_MODEL = "u2net"


def read_object(path: str | Path) -> np.ndarray:
    """The object of a picture as a model is shown it: (512, 512, 3) uint8, centred on white. Doubts are logged.

    Raises:
        ValueError: naming the file: not readable, nothing but background, or nothing to be seen on white.
    """
    image = read_image(path)
    try:
        square = recenter(object_of(image, str(path)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if (square < OPAQUE).any(axis=2).mean() < BLANK_SHARE:
        raise ValueError(f"{path}: its object is as white as the background that it is shown on")
    return square


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3 or 4) uint8, turned upright; four channels where the file has transparency. Of several frames the first.

    Raises:
        ValueError: naming the file: not readable as a picture, or too small.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as start:
            check_content(start.read(1024))
        if path.suffix.lower() in HEIF_SUFFIXES:
            _register_heif()
        with Image.open(path) as file:
            if (frames := getattr(file, "n_frames", 1)) > 1:
                log.warning("%s: of its %d frames the first is taken", path, frames)
            upright = _in_8_bits(ImageOps.exif_transpose(file))
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            pixels = np.array(upright.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].replace(str(path), "it")
        raise ValueError(f"{path}: not readable as a picture ({reason})") from error
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels; at least {SMALLEST} a side are needed")
    return pixels


def _register_heif() -> None:
    try:
        import pi_heif
    except ImportError:
        raise ValueError("HEIC needs a decoder: pip install pi-heif") from None
    pi_heif.register_heif_opener()


def _in_8_bits(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Gray pictures of 16 bits, 32 bits or floats as 8 bits: what Pillow's own conversion cuts off at 255."""
    from PIL import Image

    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image, np.float64)
    highest = values.max(initial=0)
    white = 1.0 if image.mode == "F" and highest <= 1 else 255.0 if highest <= 255 else max(65535.0, highest)
    return Image.fromarray((values.clip(0, white) * (255 / white) + 0.5).astype(np.uint8))


def object_of(image: np.ndarray, name: str = "picture") -> np.ndarray:
    """The object alone, (H, W, 4) uint8 with the background's alpha 0.

    The picture's own alpha where it has some; else rembg's cut, where that package and its model are installed; else
    all that differs from the colour of the background, with a warning that begins with `name`. Specks apart from the
    object go; one that is transparent all over is shown opaque.

    Raises:
        ValueError: there is nothing but background.
    """
    if image.shape[2] == 4 and (image[..., 3] < OPAQUE).any():
        cut = image
    elif has_rembg():
        cut = _cut_by_rembg(image[..., :3])
    else:
        cut = cut_plain_background(image[..., :3], name)
    if not (cut[..., 3] > SEEN).any():
        raise ValueError("nothing but background in this picture")
    cut = _without_specks(cut)
    if (most := int(cut[..., 3].max())) < OPAQUE:
        log.warning("%s: its object is transparent all over, it is shown opaque", name)
        cut = np.concatenate([cut[..., :3], (cut[..., 3:].astype(np.uint16) * 255 // most).astype(np.uint8)], axis=2)
    seen = cut[..., 3] > SEEN
    if seen[0].any() or seen[-1].any() or seen[:, 0].any() or seen[:, -1].any():
        log.warning("%s: its object reaches the edge of the picture: what lies beyond is not seen", name)
    return cut


def _without_specks(cut: np.ndarray) -> np.ndarray:
    """(H, W, 4) without the pieces of the object that are hardly more than a pixel beside it."""
    from scipy import ndimage

    pieces, count = ndimage.label(cut[..., 3] > SEEN, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    specks = 1 + np.flatnonzero(sizes < SPECK_SHARE * sizes.sum())
    if len(specks):
        cut = cut.copy()
        cut[np.isin(pieces, specks), 3] = 0
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


def cut_plain_background(image: np.ndarray, name: str = "picture") -> np.ndarray:
    """(H, W, 4) of (H, W, 3): transparent where a colour like the background's reaches in from the border.

    The background is what most of the border has; where the object reaches the border too, that of its colours which
    leaves more in the middle of the picture. A plain frame round all of it goes first.
    """
    inner = _inside_frame(image)
    rim = _rim(image[inner]).astype(np.float32)
    color = np.median(rim, axis=0)
    alike = _alike(rim, color)
    background = _background(image[inner], color)
    if 1 - alike.mean() >= COLOR_SHARE:
        other = np.median(rim[~alike], axis=0)
        if _alike(rim, other).mean() >= COLOR_SHARE:
            second = _background(image[inner], other)
            if _middle(second).mean() < _middle(background).mean():
                color, background, alike = other, second, _alike(rim, other)
    plain = alike.mean()
    log.warning(
        "%s: no transparency%s: the background is taken to be what is coloured like the border%s",
        name,
        "" if has_rembg() else " (and no rembg with its model: pip install rembg[cpu], run it once)",
        "" if plain >= PLAIN_SHARE else f", which only {100 * plain:.0f} % of the border is: the cut may be poor",
    )
    alpha = np.zeros(image.shape[:2], np.uint8)
    alpha[inner] = np.where(background, 0, 255)
    return np.concatenate([image, alpha[..., None]], axis=2)


def _rim(pixels: np.ndarray) -> np.ndarray:
    """The outermost pixels (N, ...) of (H, W, ...)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _alike(pixels: np.ndarray, color: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pixels.astype(np.float32) - color, axis=-1) <= LIKENESS


def _background(image: np.ndarray, color: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels like `color` that hang together with the border."""
    from scipy import ndimage

    pieces, _ = ndimage.label(_alike(image, color))
    outer = np.unique(_rim(pieces))
    return np.isin(pieces, outer[outer > 0])


def _middle(pixels: np.ndarray) -> np.ndarray:
    """The middle third of (H, W)."""
    height, width = pixels.shape
    return pixels[height // 3 : height - height // 3, width // 3 : width - width // 3]


def _inside_frame(image: np.ndarray) -> tuple[slice, slice]:
    """What lies within a plain, narrow frame about the whole picture; the whole of it where there is none.

    A frame is of one colour; within it lies a rectangle that reaches nearly as far as the picture, and whose own rim is
    of one other colour.
    """
    whole = slice(None), slice(None)
    rim = _rim(image).astype(np.float32)
    color = np.median(rim, axis=0)
    if not _alike(rim, color).mean() >= PLAIN_SHARE:
        return whole
    inside = ~_background(image, color)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return whole
    inner = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    narrow = all(
        0 < margin <= max(1, FRAME_SHARE * side)
        for span, side in zip(inner, inside.shape, strict=True)
        for margin in (span.start, side - span.stop)
    )
    if not narrow or min(image[inner].shape[:2]) < SMALLEST or not _rim(inside[inner]).all():
        return whole
    within = _rim(image[inner]).astype(np.float32)
    return inner if _alike(within, np.median(within, axis=0)).mean() >= PLAIN_SHARE else whole


def recenter(image: np.ndarray, size: int = PICTURE_SIZE, border: float = BORDER) -> np.ndarray:
    """The object of (H, W, 4) in the middle of a white square (size, size, 3), its longer side 1 - border of it."""
    from PIL import Image

    rows, columns = (np.flatnonzero((image[..., 3] > SEEN).any(axis)) for axis in (1, 0))
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
