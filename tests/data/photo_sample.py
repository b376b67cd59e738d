"""Pictures as phones and attackers send them, made here."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational


def picture(width: int = 400, height: int = 300, seed: int = 0) -> Image.Image:
    """Smooth noise with a white upper left corner, so that the way it is turned can be seen."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 120, (8, 8, 3), dtype=np.uint8)
    whole = Image.fromarray(rough).resize((width, height))
    whole.paste((255, 255, 255), (0, 0, width // 4, height // 4))
    return whole


def encoded(image: Image.Image, form: str = "JPEG", **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def camera(
    lon: float | None = 50.1, lat: float | None = 26.4, taken: str = "2026:11:20 08:15:00", turn: int = 1
) -> Image.Exif:
    """EXIF of a phone: place, time, owner, orientation."""
    exif = Image.Exif()
    exif[0x0112] = turn
    exif[0x013B] = "Somebody's name"
    if lon is not None and lat is not None:
        exif.get_ifd(0x8825).update(
            {1: "S" if lat < 0 else "N", 2: _dms(lat), 3: "W" if lon < 0 else "E", 4: _dms(lon)}
        )
    exif.get_ifd(0x8769)[0x9003] = taken
    return exif


def _dms(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    seconds = round(abs(value) * 360000)
    return (
        IFDRational(seconds // 360000, 1),
        IFDRational(seconds % 360000 // 6000, 1),
        IFDRational(seconds % 6000, 100),
    )


def claiming(width: int, height: int) -> bytes:
    """A PNG of few bytes whose head claims so many pixels."""
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )
