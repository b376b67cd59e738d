"""Photos: what is taken in, what is left of it, and who sees it."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from data import photos
from data.photos import PhotoRefused, prepare
from data.settings import settings
from tests.data.photo_sample import camera, claiming, encoded, picture

RIYADH = ZoneInfo("Asia/Riyadh")


def code_of(content: bytes) -> str:
    with pytest.raises(PhotoRefused) as refused:
        prepare(content)
    return refused.value.code


def test_a_phones_photo_is_kept_upright_and_offers_its_place_and_time() -> None:
    found = prepare(encoded(picture(), exif=camera(turn=6)), zone=RIYADH)
    assert (found.lon, found.lat) == (50.1, 26.4)
    assert found.taken_at == dt.datetime(2026, 11, 20, 8, 15, tzinfo=RIYADH)
    assert (found.width, found.height) == (300, 400)
    upright = np.asarray(Image.open(io.BytesIO(found.content)).convert("L")).astype(int)
    # Turned by 90 degrees to the right, the white corner is at the upper right.
    assert upright[20, -20] > 240 and upright[20, 20] < 150


def test_nothing_but_the_picture_is_left_in_what_is_kept() -> None:
    sent = encoded(picture(), exif=camera(), comment=b"taken at home") + b"PK\x03\x04 a second file behind"
    found = prepare(sent)
    for kept in (found.content, found.small):
        assert b"Somebody" not in kept and b"home" not in kept and b"PK" not in kept and b"Exif" not in kept
        assert not Image.open(io.BytesIO(kept)).getexif()


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("WEBP", "RGBA"), ("JPEG", "CMYK"), ("JPEG", "L")])  # fmt: skip
def test_every_kind_of_pixel_becomes_a_plain_jpeg(form: str, mode: str) -> None:
    image = Image.new("I;16", (60, 40), 500) if mode == "I;16" else picture(60, 40).convert(mode)
    found = prepare(encoded(image, form), "any.name")
    kept = Image.open(io.BytesIO(found.content))
    assert (kept.format, kept.mode, kept.size) == ("JPEG", "RGB", (60, 40))


def test_a_large_photo_is_made_smaller_and_the_same_photo_has_the_same_digest() -> None:
    sent = encoded(picture(4000, 3000))
    first, second = prepare(sent), prepare(sent)
    assert (first.width, first.height) == (photos.SIDE, photos.SIDE * 3 // 4)
    assert first.digest == second.digest
    assert max(Image.open(io.BytesIO(first.small)).size) == photos.SMALL_SIDE


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_photo_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(picture())
    assert code_of(b"") == "empty"
    assert code_of(b"\0\0\0\x20ftypheic" + bytes(40)) == "heic"
    assert code_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "not_image"
    assert code_of(encoded(picture(), "GIF")) == "not_image"
    assert code_of(encoded(picture(), "TIFF")) == "not_image"
    assert code_of(whole[: len(whole) // 2]) == "broken"
    assert code_of(claiming(9000, 9000)) == "too_many_pixels"
    assert code_of(claiming(60_000, 60_000)) == "too_many_pixels"
    assert code_of(claiming(300, 300)) == "broken"
    monkeypatch.setenv("RASD_PHOTO_MB", "0.001")
    settings.cache_clear()
    try:
        assert code_of(whole) == "too_large"
    finally:
        monkeypatch.undo()
        settings.cache_clear()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow about damaged metadata
def test_damaged_bytes_anywhere_give_a_photo_or_a_refusal_and_nothing_else() -> None:
    rng = np.random.default_rng(5)
    whole = {form: encoded(picture(80, 60), form, exif=camera()) for form in ("JPEG", "PNG", "WEBP")}
    taken = 0
    for content in whole.values():
        for _ in range(60):
            bad = bytearray(content)
            for at in rng.integers(0, len(bad), 6):
                bad[at] = rng.integers(0, 256)
            try:
                taken += len(prepare(bytes(bad)).content) > 0
            except PhotoRefused:
                continue
    assert taken > 20


@pytest.mark.parametrize(("lon", "lat"), [(0.0, 0.0), (None, None)])
def test_a_camera_without_a_fix_offers_no_place(lon: float | None, lat: float | None) -> None:
    found = prepare(encoded(picture(), exif=camera(lon, lat)))
    assert (found.lon, found.lat) == (None, None)
    assert found.taken_at is None  # and without a zone, no time


def test_south_and_west_are_negative() -> None:
    found = prepare(encoded(picture(), exif=camera(-70.25, -33.5)))
    assert (found.lon, found.lat) == (-70.25, -33.5)


def test_a_digest_that_is_none_names_no_file() -> None:
    with pytest.raises(photos.InputError):
        photos.path("../../etc/passwd")
    assert photos.path("ab" * 32).relative_to(photos.folder()) == Path("ab") / f"{'ab' * 32}.jpg"
