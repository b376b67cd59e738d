"""The files of a weekly pack in one place: what the page's buttons and the command line make."""

from __future__ import annotations

from sqlalchemy import Connection

from data import photos
from data.pack import WeeklyPack
from geo.errors import InputError, Refused, StoreError
from layers.packsheet import rendered
from views.packbook import pack_book
from views.packdoc import Pictures, pack_sheet
from views.words import LANGUAGES, Words

#: File ending → MIME type, in the order of the screens.
FORMS = {
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def export_pack(
    pack: WeeklyPack, form: str, language: str = "ar", *, pictures: Pictures | None = None
) -> bytes:
    """A pack as a file's content: html to print, or xlsx.

    Parameters
    ----------
    pictures : gives the JPEG of a report's picture; without it they are said to be gone.

    Raises
    ------
    InputError : no such form or language.
    """
    if form not in FORMS:
        raise InputError(f"There is no pack as {form!r}: choose one of {', '.join(FORMS)}.")
    if language not in LANGUAGES:
        raise InputError(f"There is no pack in {language!r}: choose one of {', '.join(LANGUAGES)}.")
    words = Words(language)
    if form == "xlsx":
        return pack_book(pack, words)
    return rendered(pack_sheet(pack, words, pictures)).encode()


def pictures_of(conn: Connection) -> Pictures:
    """The pictures that are open on this connection, in the small copy that suits paper."""

    def picture(report_id: int, digest: str) -> bytes | None:
        try:
            return photos.read(conn, report_id, digest, small=True)
        except (Refused, StoreError):
            return None  # the document says that it is gone

    return picture


def file_name(pack: WeeklyPack, form: str, language: str) -> str:
    """The file's name."""
    return f"rasd_{pack.territory}_pack_{pack.first:%Y%m%d}_{pack.last:%Y%m%d}_{language}.{form}"
