"""Pictures of one object: reading, cutting out, centring."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.image import cut_plain_background, object_of, read_image, read_object, recenter

PICTURES = Path(__file__).parents[1] / "inputs" / "pictures"


def square(background: int = 230, channels: int = 3) -> np.ndarray:
    """A red 20 x 40 rectangle, off the centre of a plain 100 x 120 picture."""
    image = np.full((100, 120, channels), background, np.uint8)
    image[10:30, 60:100] = [200, 30, 30, 255][:channels]
    if channels == 4:
        image[..., 3] = 0
        image[10:30, 60:100, 3] = 255
    return image


def test_alpha_is_kept_as_it_is():
    image = square(channels=4)
    assert object_of(image) is image


def test_a_plain_background_is_cut_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        cut = object_of(square())
    assert (cut[..., 3] == square(channels=4)[..., 3]).all()
    assert "no transparency" in caplog.text
    assert "may be poor" not in caplog.text


def test_a_hole_of_the_backgrounds_colour_stays_when_closed_in():
    image = square()
    image[15:20, 70:80] = 230
    assert (cut_plain_background(image)[15:20, 70:80, 3] == 255).all()


def test_a_busy_background_is_said_to_be_one(caplog):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    cut_plain_background(noise)
    assert "may be poor" in caplog.text


def test_nothing_but_background_is_refused():
    with pytest.raises(ValueError, match="nothing but background"):
        object_of(np.full((50, 50, 3), 7, np.uint8))


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (30, 30)])
def test_recentred_with_a_fifth_of_the_side_free(shape):
    image = np.zeros((100, 130, 4), np.uint8)
    image[5 : 5 + shape[0], 80 : 80 + shape[1]] = [0, 0, 0, 255]
    out = recenter(image, 200)
    assert out.shape == (200, 200, 3)
    assert (out[0, 0] == 255).all()
    rows, columns = np.nonzero((out < 128).all(2).any(1))[0], np.nonzero((out < 128).all(2).any(0))[0]
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(160, abs=2)
    assert rows.mean() == pytest.approx(99.5, abs=1)
    assert columns.mean() == pytest.approx(99.5, abs=1)


def test_hidden_colours_do_not_bleed_in():
    image = square(0, 4)  # black where transparent
    assert (recenter(image, 100).sum(2) > 200).all()  # white or red, never dark


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_kinds_of_files(tmp_path, suffix):
    Image.fromarray(square()).save(tmp_path / f"x.{suffix}")
    assert read_image(tmp_path / f"x.{suffix}").shape == (100, 120, 3)


def test_transparency_and_orientation_are_read(tmp_path):
    Image.fromarray(square(channels=4)).save(tmp_path / "rgba.webp", lossless=True)
    assert read_image(tmp_path / "rgba.webp").shape == (100, 120, 4)
    Image.fromarray(square(channels=4)).convert("P").save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png").shape[2] == 4
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(square()).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (120, 100, 3)


def test_bad_files_are_named(tmp_path):
    for name, content in (("empty.png", b""), ("text.jpg", b"hello"), ("cut.png", _png()[:60])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: not readable"):
            read_image(tmp_path / name)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="4 x 4 pixels"):
        read_image(tmp_path / "small.png")


def _png() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(square()).save(buffer, "png")
    return buffer.getvalue()


# ---- the pictures of tests/inputs: one blue object, off the centre, that people sent in many ways

ALIKE = [
    "UPPER.PNG",
    "alpha_one_everywhere.png",
    "animated.gif",
    "animated.webp",
    "animated_apng.png",
    "avif_picture.avif",
    "bmp_picture.bmp",
    "cmyk.jpg",
    "control_white.png",
    "exif_rotated.jpg",
    "frame_around.png",
    "half_transparent.png",
    "icc.jpg",
    "named_png_is_jpg.png",
    "opaque_alpha_white.png",
    "palette_rgba.png",
    "palette_transparent.png",
    "premultiplied.png",
    "rgb16.png",
    "rgba16.png",
    "stray_pixel.png",
    "tiff_picture.tiff",
]
GRAY = ["gray.jpg", "gray16.png", "gray_alpha.png"]
REFUSED = {
    "all_white.png": "nothing but background",
    "alpha_all_zero.png": "nothing but background",
    "not_an_image.png": "HTML",
    "one_pixel.png": "1 x 1",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "very_wide_white.png": "nothing but background",
    "heic_like.heic": "not readable",
}


def mask(square: np.ndarray) -> np.ndarray:
    return (square < 200).any(axis=2)


@pytest.mark.parametrize("name", ALIKE + GRAY)
def test_the_object_is_seen_as_in_the_plain_picture(name):
    expected, found = read_object(PICTURES / "control_rgba.png"), read_object(PICTURES / name)
    assert (mask(found) != mask(expected)).mean() < 0.02  # JPEG blurs its edges
    middle = found[230:280, 230:280].astype(int)
    color = [89, 89, 89] if name in GRAY else expected[256, 256]
    assert np.abs(middle - color).mean() < 6


def test_pictures_of_phones():
    pytest.importorskip("pi_heif")
    expected, found = read_object(PICTURES / "control_rgba.png"), read_object(PICTURES / "phone.heic")
    assert (mask(found) != mask(expected)).mean() < 0.02


@pytest.mark.parametrize("name", REFUSED)
def test_pictures_of_nothing_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name}: .*{REFUSED[name]}") as error:
        read_object(PICTURES / name)
    assert "\n" not in str(error.value)


def test_an_object_that_reaches_the_rim_is_the_object(caplog):
    with caplog.at_level(logging.WARNING):
        square = read_object(PICTURES / "touching.png")
    assert mask(square).mean() > 0.4
    assert "touching.png: its object reaches the edge" in caplog.text
    image = square_at(slice(40, 100), slice(0, 110))  # covers most of three sides
    cut = cut_plain_background(image)
    assert (cut[..., 3] == 255).sum() == 60 * 110


def square_at(rows: slice, columns: slice) -> np.ndarray:
    image = np.full((100, 120, 3), 230, np.uint8)
    image[rows, columns] = [200, 30, 30]
    return image


def test_a_frame_goes_and_a_thing_like_a_frame_stays():
    image = square_at(slice(10, 30), slice(60, 100))
    framed = np.pad(image, ((3, 3), (3, 3), (0, 0)))
    assert (cut_plain_background(framed)[3:-3, 3:-3, 3] == cut_plain_background(image)[..., 3]).all()
    screen = np.full((100, 120, 3), 255, np.uint8)
    screen[20:80, 20:100] = 0
    screen[25:75, 25:95] = 90
    assert (cut_plain_background(screen)[..., 3] == 255).sum() == 60 * 80


def test_a_picture_that_would_be_blank_is_refused(tmp_path):
    image = square(channels=4)
    image[..., :3] = 255
    Image.fromarray(image).save(tmp_path / "white.png")
    with pytest.raises(ValueError, match="white.png: its object is as white"):
        read_object(tmp_path / "white.png")


def test_pointers_and_missing_decoders_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match="a.png: .*LFS"):
        read_image(tmp_path / "a.png")
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    with pytest.raises(ValueError, match="heic_like.heic: .*pip install pi-heif"):
        read_image(PICTURES / "heic_like.heic")
