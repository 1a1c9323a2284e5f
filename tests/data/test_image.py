"""Pictures of one object: reading, cutting out, centring."""

import logging

import numpy as np
import pytest
from PIL import Image

from core.data.image import cut_plain_background, object_of, read_image, recenter


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
