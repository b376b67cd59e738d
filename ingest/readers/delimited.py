"""CSV and its relatives, streamed through Arrow as text.

Every value stays text; an empty value is null. Line numbers are those of the file as an editor
shows it, also after values with line breaks and refused rows. Broken quoting: when a
quote is never closed, the rest of the file is read line by line instead.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from ingest.readers.dialect import Layout, read_layout
from ingest.readers.encoding import Utf8Stream, detect_encoding, encoding_from_option
from ingest.readers.opening import ByteStream, Opened
from ingest.readers.table import LINE, BadRow, Chunk, Table

_BLOCK = 2 << 20  # also the longest row that is read
_BREAK = re.compile(r"\r\n|\n|\r")

csv.field_size_limit(_BLOCK)


class DelimitedTable(Table):
    """A delimited text file, plain or compressed, in any encoding."""

    def __init__(self, opened: Opened, encoding: str | None, delimiter: str | None) -> None:
        super().__init__("tsv" if delimiter == "\t" else "csv")
        self._opened = opened
        packed = bool(opened.compression)
        self._encoding = (
            encoding_from_option(encoding) if encoding else detect_encoding(opened.stream, packed)
        )
        self.layout = read_layout(opened.stream, self._encoding, opened.name, delimiter)
        self.columns = self.layout.columns
        self.notes = list(self.layout.notes)
        if self.layout.dialect.delimiter == "\t":
            self.format = "tsv"
        self._stream: ByteStream | None = None
        self._drained = False
        if not packed:
            size = opened.path.stat().st_size - self.layout.data_byte
            self.rows_hint = max(round(size / max(self.layout.bytes_per_row, 1)), 0)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()

    def position(self) -> float:
        if self._drained:
            return 1.0
        return self._stream.position() if self._stream else 0.0

    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        walker = _Lines(self.columns, self.layout)
        held: list[Chunk] = []
        rows = 0
        try:
            for chunk in self._read(walker):
                held.append(chunk)
                rows += chunk.frame.height + len(chunk.bad)
                if rows >= size:
                    yield _joined(held)
                    held, rows = [], 0
        finally:
            if self._stream is not None:
                self._stream.close()
        if held:
            yield _joined(held)
        self._drained = True
        if walker.blank_rows:
            self.notes.append(f"Blank lines passed over: {walker.blank_rows:,}.")

    def _open_text(self, skip: int) -> Utf8Stream:
        if self._stream is not None:
            self._stream.close()
        self._stream = self._opened.stream()
        return Utf8Stream(self._stream, self._encoding, skip)

    def _read(self, walker: _Lines) -> Iterator[Chunk]:
        dialect = self.layout.dialect
        try:
            reader = pcsv.open_csv(
                pa.PythonFile(self._open_text(self.layout.data_byte), "r"),
                # Only the single-threaded reader tells which row it refused.
                read_options=pcsv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=walker.keys),
                parse_options=pcsv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote,
                    double_quote=not dialect.escape,
                    escape_char=dialect.escape or False,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=walker.refuse,
                ),
                convert_options=pcsv.ConvertOptions(
                    column_types={key: pa.binary() for key in walker.keys},
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            for batch in reader:
                yield walker.take(batch)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            self.notes.append(
                f"After line {walker.line - 1:,} a quote is opened and never closed: from there on "
                "every line "
                "was read by itself."
            )
            yield from self._read_by_line(walker)
            return
        rest = walker.rest()
        if rest.bad or rest.frame.height:
            yield rest

    def _read_by_line(self, walker: _Lines) -> Iterator[Chunk]:
        """Read what follows the last good batch with every physical line as a row of its own."""
        text = io.TextIOWrapper(
            io.BufferedReader(_Raw(self._open_text(self.layout.data_byte)), 1 << 20),
            encoding="utf-8",
            errors="surrogateescape",
            newline="",
        )
        start = walker.line
        for _ in range(start - self.layout.data_line):
            text.readline()
        walker.pending.clear()
        while lines := list(islice(text, 20_000)):
            yield walker.split_lines([line.rstrip("\r\n") for line in lines], start)
            start += len(lines)


class _Raw(io.RawIOBase):
    """Lets Python's text layer read a ``Utf8Stream``."""

    def __init__(self, stream: Utf8Stream) -> None:
        self._stream_in = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream_in.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _joined(chunks: list[Chunk]) -> Chunk:
    frame = pl.concat([chunk.frame for chunk in chunks], rechunk=True) if len(chunks) > 1 else chunks[0].frame
    return Chunk(frame, [bad for chunk in chunks for bad in chunk.bad])


class _Lines:
    """Keeps the count of physical lines while batches and refused rows come by."""

    def __init__(self, columns: list[str], layout: Layout) -> None:
        self.columns = columns
        self.keys = [f"c{i}" for i in range(len(columns))]
        self.layout = layout
        self.line = layout.data_line  # the next record's first line
        self.record = 1  # the next record's number, as Arrow counts
        self.pending: list[pcsv.InvalidRow] = []
        self.blank_rows = 0

    def refuse(self, row: pcsv.InvalidRow) -> str:
        self.pending.append(row)
        return "skip"

    def take(self, batch: pa.RecordBatch) -> Chunk:
        """Give the rows of a batch their lines and sort out what cannot be kept."""
        count = batch.num_rows
        texts = _texts(batch)
        breaks = _breaks_inside(batch, texts)
        # Arrow reads ahead, so refused rows of later batches may be waiting already: take
        # those that lie before, among or right behind the good rows of this one.
        last = self.record + count - 1
        refused: dict[int, pcsv.InvalidRow] = {}
        for row in self.pending:
            if row.number > last + 1:
                break
            refused[row.number] = row
            last += 1
        self.pending = self.pending[len(refused) :]
        numbers = np.arange(self.record, last + 1)
        good = ~np.isin(numbers, np.fromiter(refused, np.int64, len(refused)))
        extra = np.zeros(len(numbers), np.int64)
        extra[good] = breaks
        for number, row in refused.items():
            extra[number - self.record] = len(_BREAK.findall(row.text or ""))
        firsts = self.line + np.concatenate(([0], np.cumsum(1 + extra)))
        self.line = int(firsts[-1])
        starts = {n: int(firsts[n - self.record]) for n in refused}
        lines = firsts[:-1][good]
        self.record += len(numbers)
        frame, bad = self._frame(batch, texts, lines)
        for number, row in refused.items():
            more, refusals = self._refused(row.text or "", starts[number])
            bad.extend(refusals)
            if more is not None:
                frame = pl.concat([frame, more]).sort(LINE)
        bad.sort(key=lambda b: b.line)
        return Chunk(frame, bad)

    def rest(self) -> Chunk:
        """Return refused rows that came after the last batch."""
        return self.take(pa.record_batch([pa.array([], pa.binary())] * len(self.keys), names=self.keys))

    def split_lines(self, lines: list[str], start: int) -> Chunk:
        """Split physical lines one by one, quotes kept within their line."""
        rows, numbers, bad = [], [], []
        for number, line in enumerate(lines, start=start):
            if not line.strip():
                self.blank_rows += 1
                continue
            values = self._split(line)
            if values is not None and len(values) == len(self.columns):
                rows.append([v.encode("utf-8", "surrogateescape") or None for v in values])
                numbers.append(number)
            else:
                bad.append(self._wrong_count(line, values, number))
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.keys)
        batch = pa.record_batch([pa.array(c, pa.binary()) for c in columns], names=self.keys)
        frame, more = self._frame(batch, _texts(batch), np.array(numbers, np.int64))
        return Chunk(frame, sorted(bad + more, key=lambda b: b.line))

    def _split(self, text: str) -> list[str] | None:
        try:
            rows = list(self.layout.dialect.reader(io.StringIO(text, newline="")))
        except csv.Error:
            return None
        return rows[0] if len(rows) == 1 else None

    def _wrong_count(self, text: str, values: list[str] | None, line: int) -> BadRow:
        if values is None:
            return BadRow(line, "wrong_field_count", "The line could not be split.", {"_text": _shown(text)})
        row = {name: _shown(value) for name, value in zip(self.columns, values, strict=False)}
        if len(values) > len(self.columns):
            row["_extra"] = _shown(self.layout.dialect.delimiter.join(values[len(self.columns) :]))
        message = f"Values in the row: {len(values)}; columns in the header: {len(self.columns)}."
        return BadRow(line, "wrong_field_count", message, row)

    def _refused(self, text: str, line: int) -> tuple[pl.DataFrame | None, list[BadRow]]:
        """Judge one refused row; one that swallowed whole rows behind a stray quote gives them back."""
        parts = _BREAK.split(text)
        if len(parts) > 1:
            whole = sum((v := self._split(p)) is not None and len(v) == len(self.columns) for p in parts[1:])
            if whole:
                chunk = self.split_lines(parts, line)
                return chunk.frame, chunk.bad
        return None, [self._wrong_count(text, self._split(text), line)]

    def _frame(
        self, batch: pa.RecordBatch, texts: list[bytes], lines: np.ndarray
    ) -> tuple[pl.DataFrame, list[BadRow]]:
        """Return the readable rows as text, and the rows with zero bytes or undecodable ones."""
        keep = np.ones(batch.num_rows, bool)
        faults: dict[int, tuple[str, str]] = {}
        arrays = []
        for index, column in enumerate(batch.columns):
            if b"\x00" in texts[index]:
                zero = pc.fill_null(pc.greater_equal(pc.find_substring(column, b"\x00"), 0), False)
                for i in np.flatnonzero(zero.to_numpy(zero_copy_only=False)).tolist():
                    faults.setdefault(i, ("null_byte", self.columns[index]))
            try:
                arrays.append(column.cast(pa.string()))
            except pa.ArrowInvalid:
                values = column.to_pylist()
                for i, value in enumerate(values):
                    if value is not None and not _is_utf8(value):
                        faults.setdefault(i, ("undecodable", self.columns[index]))
                arrays.append(pa.array([_replace(v) for v in values], pa.string()))
        bad = []
        for i, (reason, column_name) in sorted(faults.items()):
            keep[i] = False
            row = {
                name: _replace(value) or ""
                for name, value in zip(self.columns, (c[i].as_py() for c in batch.columns), strict=True)
                if value is not None
            }
            message = (
                f"A zero byte stands in column {column_name}."
                if reason == "null_byte"
                else f"Bytes in column {column_name} have no meaning in this file's encoding."
            )
            bad.append(BadRow(int(lines[i]), reason, message, row))
        table = pa.Table.from_arrays(arrays, names=self.keys)
        frame = pl.DataFrame(pl.from_arrow(table)) if table.num_columns else pl.DataFrame()
        frame = frame.rename(dict(zip(self.keys, self.columns, strict=True)))
        frame = frame.with_columns(pl.Series(LINE, lines, dtype=pl.Int64))
        blank = _blank_rows(batch)
        if blank is not None:
            self.blank_rows += int(blank.sum())
            keep &= ~blank
        return (frame if keep.all() else frame.filter(pl.Series(keep))), bad


def _texts(batch: pa.RecordBatch) -> list[bytes]:
    """The bytes of each column's values in one piece, for a quick search."""
    buffers = [column.buffers()[2] for column in batch.columns]
    return [b"" if buffer is None else buffer.to_pybytes() for buffer in buffers]


def _breaks_inside(batch: pa.RecordBatch, texts: list[bytes]) -> np.ndarray:
    """Count the line breaks inside the values of each row, shape (n,)."""
    total = np.zeros(batch.num_rows, np.int64)
    for column, data in zip(batch.columns, texts, strict=True):
        if b"\n" not in data and b"\r" not in data:
            continue
        values = np.frombuffer(data, np.uint8)
        ends = values == 10
        # A carriage return counts unless a line feed follows: together they are one break.
        ends |= (values == 13) & np.append(values[1:] != 10, True)
        offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: batch.num_rows + 1]
        rows = np.searchsorted(offsets, np.flatnonzero(ends), side="right") - 1
        inside = (rows >= 0) & (rows < batch.num_rows)
        total += np.bincount(rows[inside], minlength=batch.num_rows)
    return total


def _blank_rows(batch: pa.RecordBatch) -> np.ndarray | None:
    """Which rows hold nothing at all, or None when there is none."""
    blank: np.ndarray | None = None
    for column in batch.columns:
        if column.null_count == 0:
            return None
        null = column.is_null().to_numpy(zero_copy_only=False)
        blank = null if blank is None else blank & null
        if not blank.any():
            return None
    return blank


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _replace(value: bytes | None) -> str | None:
    """Bytes as text for a person to look at; what has no meaning shows as U+FFFD."""
    return None if value is None else value.decode("utf-8", "replace")


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
