"""Photos of reports: taken in, cleaned, kept as files by digest, and given out again.

What a file is decides its decoder (Pillow), never its name: JPEG, PNG or WebP. It is turned
upright, made no larger than ``SIDE`` pixels and written anew as JPEG, so that nothing but the
picture stays: no place, no owner, no second file inside. Place and time of the camera are
read before and offered. Files lie below RASD_HOME/photos by SHA-256; who may see one is
decided by row-level security on ``photo``. Caveat: a face or a number plate in the picture
itself is not looked for.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from sqlalchemy import Connection, text

from data.settings import settings
from geo.errors import InputError, Refused, StoreError

SIDE = 2560  # px of the longer side that are kept
SMALL_SIDE = 480  # px of the small copy
PIXELS = 64_000_000  # more are refused before they are unpacked
MIME = "image/jpeg"
READABLE = ("JPEG", "PNG", "WEBP")
_QUALITY, _SMALL_QUALITY = 85, 78
_UNPACKING = threading.BoundedSemaphore(2)  # pictures that take their full memory at once
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Brands of the ISO container of phones' HEIC and AVIF files (ISO/IEC 23008-12).
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
_ORIENTATION, _EXIF, _GPS = 0x0112, 0x8769, 0x8825
_TURN = Image.Transpose
# How the camera was held (EXIF's orientation), and what turns the picture upright.
_UPRIGHT = {
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90,
}  # fmt: skip
_TAKEN, _TAKEN_ZONE = 0x9003, 0x9011
# What Pillow raises on files that are cut off or made up.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError)

#: Why a photo is refused; views have words for each (``photofault.<code>``).
FAULTS = {
    "empty": "the file is empty",
    "too_large": "the file is larger than {mb:g} MB",
    "heic": "HEIC and AVIF cannot be read here; set the camera to JPEG ('most compatible') or send a JPEG",
    "not_image": "it is no JPEG, PNG or WebP picture",
    "too_many_pixels": "the picture has more than {megapixels:g} million pixels",
    "broken": "the picture is cut off or damaged",
    "too_many": "you have stored {most} photos in the last 24 hours, which is the limit",
}


class PhotoRefused(InputError):
    """A photo that is not taken in; ``code`` is a key of FAULTS."""

    def __init__(self, code: str, name: str = "") -> None:
        self.code = code
        said = FAULTS[code].format(**limits())
        super().__init__(f"The photo{f' {name}' if name else ''} cannot be taken: {said}.")


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo ready to be stored: upright JPEG without metadata.

    Attributes
    ----------
    digest : SHA-256 of ``content``, in hexadecimal.
    width, height : pixels.
    lon, lat : where the camera says it was, decimal degrees; None when it does not.
    taken_at : when, with its zone; None when the camera does not say both.
    """

    digest: str
    content: bytes
    small: bytes
    width: int
    height: int
    lon: float | None = None
    lat: float | None = None
    taken_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A stored photo of a report."""

    digest: str
    report_id: int
    width: int
    height: int
    bytes: int
    taken_at: dt.datetime | None
    stored_at: dt.datetime


def limits() -> dict[str, float]:
    """The limits in force: ``mb`` of a file, ``megapixels``, ``most`` photos of a user in 24 hours."""
    return {
        "mb": settings().photo_mb,
        "megapixels": PIXELS / 1e6,
        "most": settings().photos_a_day,
    }


def folder() -> Path:
    """Where the files are."""
    return settings().home / "photos"


# -- taking in ------------------------------------------------------------------------


def prepare(content: bytes, name: str = "", *, zone: dt.tzinfo | None = None) -> Photo:
    """Decode a file, read what the camera says, and make the clean copy.

    Parameters
    ----------
    content : the file as it came.
    name : only said in the error.
    zone : of the territory, for a camera's time that carries none; None leaves such a time out.

    Raises
    ------
    PhotoRefused : with a code of FAULTS.
    """
    if not content:
        raise PhotoRefused("empty", name)
    if len(content) > settings().photo_mb * 1_000_000:
        raise PhotoRefused("too_large", name)
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        raise PhotoRefused("heic", name)
    with _opened(content, name) as picture:
        told = _said(picture, zone)
        try:
            with _UNPACKING:
                picture.draft("RGB", (SIDE, SIDE))  # a JPEG is unpacked no larger than is kept
                plain = _flat(picture)
        except _BROKEN as error:
            raise PhotoRefused("broken", name) from error
    if told.turn is not None and told.turn in _UPRIGHT:
        plain = plain.transpose(_UPRIGHT[told.turn])
    kept = _jpeg(plain, _QUALITY)
    width, height = plain.size
    plain.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
    small = _jpeg(plain, _SMALL_QUALITY)
    digest = hashlib.sha256(kept).hexdigest()
    return Photo(digest, kept, small, width, height, told.lon, told.lat, told.taken_at)


@contextlib.contextmanager
def _opened(content: bytes, name: str) -> Iterator[Image.Image]:
    """The picture with its head read and its size judged, its pixels still packed."""
    try:
        picture = Image.open(io.BytesIO(content), formats=READABLE)
    except Image.DecompressionBombError as error:
        raise PhotoRefused("too_many_pixels", name) from error
    except _BROKEN as error:
        raise PhotoRefused("not_image", name) from error
    with picture:
        if picture.width * picture.height > PIXELS:
            raise PhotoRefused("too_many_pixels", name)
        yield picture


def _flat(picture: Image.Image) -> Image.Image:
    """RGB without metadata, no larger than is kept; what is transparent becomes white."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        layered.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        plain = Image.new("RGB", layered.size, "white")
        plain.paste(layered, mask=layered.getchannel("A"))
        return plain
    plain = picture.convert("RGB")
    plain.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    # A picture of its own: Image.info (EXIF, XMP, comments, profiles) stays behind.
    return Image.frombytes("RGB", plain.size, plain.tobytes())


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Told:
    """What the camera says: place in decimal degrees, time, how it was held."""

    lon: float | None = None
    lat: float | None = None
    taken_at: dt.datetime | None = None
    turn: int | None = None


def _said(picture: Image.Image, zone: dt.tzinfo | None) -> _Told:
    """EXIF of a picture. Metadata that cannot be read say nothing."""
    try:
        head = picture.getexif()
        place, more = head.get_ifd(_GPS), head.get_ifd(_EXIF)
        lon, lat = _degrees(place.get(4), place.get(3), "W"), _degrees(place.get(2), place.get(1), "S")
        taken_at = _moment(more.get(_TAKEN), more.get(_TAKEN_ZONE), zone)
        turn = head.get(_ORIENTATION)
    except (*_BROKEN, ZeroDivisionError, OverflowError, AttributeError):
        # Any program may have written them; the picture itself is as good without.
        return _Told()
    usable = lon is not None and lat is not None and abs(lon) <= 180 and abs(lat) <= 90
    # Cameras without a fix write zeros.
    if not usable or (lon == 0 and lat == 0):
        lon = lat = None
    return _Told(lon, lat, taken_at, turn if isinstance(turn, int) else None)


def _degrees(parts: object, letter: object, negative: str) -> float | None:
    """Degrees, minutes and seconds of EXIF as decimal degrees, rounded to about 1 m."""
    if not isinstance(parts, tuple) or len(parts) != 3:
        return None
    value = sum(float(part) / 60**power for power, part in enumerate(parts))
    if value != value:
        return None
    return round(-value if str(letter).strip("\x00 ").upper() == negative else value, 5)


def _moment(said: object, offset: object, zone: dt.tzinfo | None) -> dt.datetime | None:
    """EXIF's "2026:11:20 08:15:00", with its own offset or else in the zone given."""
    if not isinstance(said, str):
        return None
    moment = dt.datetime.strptime(said.strip("\x00 "), "%Y:%m:%d %H:%M:%S")
    if isinstance(offset, str) and re.fullmatch(r"[+-]\d\d:\d\d", offset.strip("\x00 ")):
        return dt.datetime.fromisoformat(f"{moment:%Y-%m-%dT%H:%M:%S}{offset.strip(chr(0) + ' ')}")
    return None if zone is None else moment.replace(tzinfo=zone)


# -- the store ------------------------------------------------------------------------


def write(conn: Connection, photos: Sequence[Photo]) -> None:
    """Write the files of photos that are about to be stored, as far as the user's day has room.

    ``store`` does it too; done before, a transaction that holds locks need not wait for the disk.

    Raises
    ------
    PhotoRefused : the user has reached the limit of a day.
    """
    # Counted by the owner's function: also photos of reports that have left the user's areas.
    held = int(conn.scalar(text("SELECT rasd_photos_today()")) or 0)
    if held + len({photo.digest for photo in photos}) > settings().photos_a_day:
        raise PhotoRefused("too_many")
    for photo in photos:
        _write(path(photo.digest), photo.content)
        _write(path(photo.digest, small=True), photo.small)


def store(conn: Connection, report_id: int, photo: Photo) -> str:
    """Keep a photo with a report that is open to the user; returns its digest.

    The same photo again changes nothing. Files are written before the row: a transaction that
    is undone leaves a file that no row names (``sweep`` removes it), never a row without one.

    Raises
    ------
    PhotoRefused : the user has reached the limit of a day.
    """
    # Served by pk_photo.
    if conn.scalar(
        text("SELECT EXISTS (SELECT FROM photo WHERE digest = :digest AND report_id = :report)"),
        {"digest": photo.digest, "report": report_id},
    ):
        return photo.digest
    write(conn, (photo,))
    conn.execute(
        text(
            """INSERT INTO photo (digest, report_id, mime, width, height, bytes, taken_at, principal_id)
               VALUES (:digest, :report, :mime, :width, :height, :bytes, :taken, (SELECT rasd_principal_id()))"""
        ),
        {
            "digest": photo.digest,
            "report": report_id,
            "mime": MIME,
            "width": photo.width,
            "height": photo.height,
            "bytes": len(photo.content),
            "taken": photo.taken_at,
        },
    )
    return photo.digest


def photos_of(conn: Connection, report_id: int) -> tuple[PhotoRow, ...]:
    """The photos of a report that is open to the user, in order of storing."""
    # Served by ix_photo_report_id.
    rows = conn.execute(
        text(
            """SELECT digest, report_id, width, height, bytes, taken_at, stored_at FROM photo
               WHERE report_id = :report ORDER BY stored_at, digest"""
        ),
        {"report": report_id},
    )
    return tuple(PhotoRow(*row) for row in rows)


def read(conn: Connection, report_id: int, digest: str, *, small: bool = False) -> bytes:
    """A photo's JPEG, or the small copy of it.

    Raises
    ------
    Refused : no report that is open to the user has this photo.
    StoreError : its file is missing or damaged.
    """
    # Served by pk_photo; row-level security decides.
    known = _DIGEST.fullmatch(digest) and conn.scalar(
        text("SELECT EXISTS (SELECT FROM photo WHERE digest = :digest AND report_id = :report)"),
        {"digest": digest, "report": report_id},
    )
    if not known:
        raise Refused(f"Report {report_id} has no such photo, or it is not open to you.")
    try:
        content = path(digest, small=small).read_bytes()
    except FileNotFoundError as error:
        raise StoreError(
            f"The file of photo {digest[:12]}… is missing below {folder()}. Bring the folder back from "
            "the backup: it belongs to the database."
        ) from error
    if not small and hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(f"The file of photo {digest[:12]}… below {folder()} is damaged.")
    return content


@dataclass(frozen=True, slots=True)
class Holdings:
    """Photos that the store names, their bytes, and digests whose file is not there."""

    photos: int
    bytes: int
    missing: tuple[str, ...]


def holdings(conn: Connection) -> Holdings:
    """What is kept, on the owner's connection; looks for every file, not into it."""
    # One scan of photo: a row for each picture ever kept.
    rows = conn.execute(
        text("SELECT digest, max(bytes) AS bytes FROM photo GROUP BY digest ORDER BY digest")
    ).all()
    missing = tuple(row.digest for row in rows if not path(row.digest).exists())
    return Holdings(len(rows), sum(row.bytes for row in rows), missing)


def path(digest: str, *, small: bool = False) -> Path:
    """Where the file of a digest lies."""
    if not _DIGEST.fullmatch(digest):
        raise InputError(f"{digest!r} is no digest of a photo.")
    return folder() / digest[:2] / f"{digest}{'.small' if small else ''}.jpg"


def _write(target: Path, content: bytes) -> None:
    """Whole or not at all: beside, to the disk, then renamed. Readable by the owner alone."""
    if target.exists():
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sweep(conn: Connection, *, hours: float = 24.0, now: dt.datetime | None = None) -> int:
    """Remove files that no row names and that are older than this; on the owner's connection.

    Such files are left by a transaction that was undone. Returns how many were removed.
    """
    limit = (now or dt.datetime.now(dt.UTC)).timestamp() - hours * 3600
    # One scan of photo: a row for each picture ever kept.
    named = set(conn.execute(text("SELECT DISTINCT digest FROM photo")).scalars())
    gone = 0
    for file in sorted(folder().glob("??/*")):
        if file.name.partition(".")[0] not in named and file.stat().st_mtime < limit:
            file.unlink()
            gone += 1
    return gone
