"""How does this delimited text split, where is its header, and where do its rows start?

Delimiter and quotes are judged by which reading of the first lines gives the most rows of one
width. A ``sep=`` line, title rows and stray delimiters at the ends of rows are recognised.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import log2
from typing import Protocol

from geo.errors import InputError
from ingest.readers.encoding import Encoding, Utf8Stream
from ingest.readers.header import clean_names, find_header
from ingest.readers.opening import ByteStream

_HEAD = 1 << 18
_DELIMITERS = ",;\t|"
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SEP = re.compile(r'"?sep=(.)"?[ \t]*(\r\n|\n|\r)', re.IGNORECASE)


class _Reader(Protocol):
    """A ``csv.reader``: rows, and the number of physical lines they took so far."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


@dataclass(frozen=True)
class Dialect:
    """How a line splits into values."""

    delimiter: str
    quote: str = '"'
    escape: str = ""

    def reader(self, text: io.StringIO) -> _Reader:
        return csv.reader(
            text,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=not self.escape,
            escapechar=self.escape or None,
        )


@dataclass(frozen=True)
class Layout:
    """What the first lines of a delimited file say about the rest."""

    dialect: Dialect
    columns: list[str]
    data_line: int  # the first physical line of data, from 1
    data_byte: int  # its offset in the UTF-8 text
    notes: list[str]
    bytes_per_row: float


def sniff_dialect(text: str, delimiter: str | None = None) -> Dialect:
    """Return the dialect under which the sample's rows agree best on one width."""
    best, best_score = Dialect(delimiter or ","), 0.0
    for mark in [delimiter] if delimiter else _DELIMITERS:
        for candidate in (Dialect(mark), Dialect(mark, escape="\\"), Dialect(mark, quote="'")):
            if candidate.escape and '\\"' not in text:
                continue
            if candidate.quote == "'" and not re.search(
                rf"(^|{re.escape(mark)})'[^\n]*'", text, re.MULTILINE
            ):
                continue
            try:
                rows = [
                    len(r) for r in islice(candidate.reader(io.StringIO(text, newline="")), 400) if any(r)
                ]
            except csv.Error:
                continue
            wide = Counter(w for w in rows if w > 1)
            if not wide:
                continue
            width, count = max(wide.items(), key=lambda item: item[1] * log2(1 + item[0]))
            score = (count / len(rows)) ** 2 * log2(1 + width)
            # Plain quoting comes first: another one must do clearly better to be believed.
            if score > best_score * (1.0 if candidate == Dialect(mark) else 1.02):
                best, best_score = candidate, score
    return best


def read_layout(
    open_stream: Callable[[], ByteStream], encoding: Encoding, name: str, delimiter: str | None
) -> Layout:
    """Read the first 256 KiB and find delimiter, quotes, header and where the data starts."""
    stream = Utf8Stream(open_stream(), encoding)
    try:
        parts, got = [], 0
        while got < _HEAD and (data := stream.read(_HEAD - got)):
            parts.append(data)
            got += len(data)
        ended = not stream.read(1)
    finally:
        stream.close()
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    if not text.strip("\r\n\t ,;|\ufeff\x00"):
        raise InputError(f"{name} holds no rows. Export it again.")
    if not ended:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    notes = [encoding.note]
    skip_lines, body = 0, text
    if match := _SEP.match(text):
        delimiter, skip_lines, body = match.group(1), 1, text[match.end() :]
        notes.append("The first line names the delimiter (sep=).")
    dialect = sniff_dialect(body, delimiter)
    rows, ends = _first_rows(body, dialect)
    header = find_header(rows, name)
    end_line = ends[header.last]
    prefix = _first_lines(body, end_line)
    offset = len((text[: len(text) - len(body)] + prefix).encode("utf-8", "surrogateescape"))
    if any(len(row) > 1 for row in rows):
        label = _NAMES.get(dialect.delimiter, repr(dialect.delimiter))
        quoted = (
            ", quoted with '"
            if dialect.quote == "'"
            else ", quotes escaped with \\"
            if dialect.escape
            else ""
        )
        notes.append(f"Delimiter: {label}{quoted}.")
    if header.first or skip_lines:
        notes.append(f"Header in line {(ends[header.first - 1] if header.first else 0) + skip_lines + 1}.")
    data_rows = [row for row in rows[header.last + 1 :] if any(row)]
    last_end = ends[len(rows) - 1]
    sample = _first_lines(body, last_end)[len(prefix) :]
    sampled = len(sample.encode(encoding.codec, "ignore"))
    columns = _columns(rows[header.first], data_rows)
    return Layout(
        dialect, columns, end_line + skip_lines + 1, offset, notes, sampled / max(len(data_rows), 1)
    )


def _columns(header: list[str], rows: Sequence[list[str]]) -> list[str]:
    """Column names, with a stray delimiter at the end of the header or of all rows put right."""
    width = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else len(header)
    if width > len(header) and not any(any(row[len(header) : width]) for row in rows if len(row) == width):
        header = header + [""] * (width - len(header))
    elif width < len(header) and not any(header[width:]):
        header = header[:width]
    return clean_names(header)


def _first_rows(text: str, dialect: Dialect) -> tuple[list[list[str]], list[int]]:
    reader = dialect.reader(io.StringIO(text, newline=""))
    rows: list[list[str]] = []
    ends: list[int] = []
    for row in islice(reader, 400):
        rows.append(row)
        ends.append(reader.line_num)
    return rows, ends


def _first_lines(text: str, count: int) -> str:
    return "".join(islice(io.StringIO(text, newline=""), count))
