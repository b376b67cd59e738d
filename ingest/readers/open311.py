"""Open311 GeoReport v2 answers in JSON and XML, and other JSON lists of records.

A server's answer may be a list, a single request, or wrapped in ``service_requests``;
nested values such as ``extended_attributes`` become columns with a dotted name. Numbers stay
as the server wrote them: service codes have leading zeros. An answer that reports an error is
refused with the server's own words. Specification: Open311 GeoReport v2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import polars as pl
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from geo.errors import InputError
from ingest.readers.encoding import Encoding, Utf8Stream, detect_encoding
from ingest.readers.header import clean_names
from ingest.readers.opening import Opened
from ingest.readers.table import LINE, BadRow, Chunk, Table

Record = dict[str, str | None]
_WHOLE = 512 << 20  # a JSON object has to be held whole; a list of records is streamed
_STEP = 1 << 18
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_LEADING_ZERO = re.compile(r'("\s*:\s*)(0\d+)(?=\s*[,}\]])')
_LISTS = ("service_requests", "requests", "results", "records", "items", "data", "value", "rows", "issues")


class RecordTable(Table):
    """Records of text values. Read twice: once for the column names, once for the rows."""

    def __init__(self, format_name: str, name: str, records: Callable[[], Iterator[Record | BadRow]]) -> None:
        super().__init__(format_name)
        self._records = records
        self._name = name
        keys: dict[str, None] = {}
        count = 0
        for record in records():
            count += 1
            if not isinstance(record, BadRow):
                keys.update(dict.fromkeys(record))
        if not keys:
            raise InputError(f"{name} holds no records. Ask the server for a period that has some.")
        self._keys = list(keys)
        self.columns = clean_names(self._keys)
        if "service_request_id" in keys:
            self.format = f"open311-{format_name}"
        self.rows_hint = count
        self._done = 0

    def position(self) -> float:
        return self._done / self.rows_hint if self.rows_hint else 1.0

    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        records = self._records()
        while part := list(islice(records, size)):
            rows = [(self._done + i, r) for i, r in enumerate(part, start=1) if not isinstance(r, BadRow)]
            self._done += len(part)
            data = {
                name: pl.Series(name, [r.get(key) for _, r in rows], dtype=pl.String)
                for name, key in zip(self.columns, self._keys, strict=True)
            }
            lines = pl.Series(LINE, [line for line, _ in rows], dtype=pl.Int64)
            yield Chunk(
                pl.DataFrame({**data, LINE: lines}), [record for record in part if isinstance(record, BadRow)]
            )


def answer_records(path: Path, name: str) -> Iterator[Record | BadRow]:
    """The records of one answer of a server, JSON or XML; none for an empty list.

    Raises
    ------
    InputError : the answer is neither, is broken, or reports an error of the server.
    """
    opened = Opened(path, name)
    encoding = detect_encoding(opened.stream, packed=False)
    text = Utf8Stream(opened.stream(), encoding)
    try:
        start = text.read(1 << 12).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    finally:
        text.close()
    if start.startswith("<"):
        yield from _from_xml(path, name)
    elif start.startswith("["):
        yield from _from_list(opened, encoding)
    elif start.startswith("{"):
        yield from _from_object(opened, encoding)
    else:
        raise InputError(f"{name} is neither JSON nor XML but starts with {start[:80]!r}.")


def flatten(record: dict[str, Any], prefix: str = "") -> Record:
    """One level of names from a nested record; lists become JSON text, blanks become null."""
    flat: Record = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, list):
            flat[name] = json.dumps(value, ensure_ascii=False) if value else None
        elif isinstance(value, bool):
            flat[name] = "true" if value else "false"
        else:
            flat[name] = value if value is None or value.strip() else None
    return flat


# -- JSON -------------------------------------------------------------------------------


def open_json(opened: Opened, encoding: Encoding) -> RecordTable:
    """Open a JSON list, a wrapped list, a single record, or JSON lines."""
    text = Utf8Stream(opened.stream(), encoding)
    try:
        start = text.read(1 << 16).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    finally:
        text.close()
    if start.startswith("["):
        return RecordTable("json", opened.name, lambda: _from_list(opened, encoding))
    first_line = start.split("\n", 1)[0].strip()
    if first_line.endswith("}") and "\n{" in start.replace("\r", "") and _is_object(first_line):
        return RecordTable("jsonl", opened.name, lambda: _from_lines(opened, encoding))
    return RecordTable("json", opened.name, lambda: _from_object(opened, encoding))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False


def _from_list(opened: Opened, encoding: Encoding) -> Iterator[Record | BadRow]:
    """Decode one element after another, so that memory holds only the longest."""
    stream = Utf8Stream(opened.stream(), encoding)
    buffer, ended, number = "", False, 0
    carry = b""

    def more() -> None:
        nonlocal buffer, ended, carry
        data = stream.read(_STEP)
        ended = not data
        data = carry + data
        # Keep a character that is cut in two for the next step.
        cut = len(data)
        while not ended and cut > 0 and len(data) - cut < 4:
            try:
                data[:cut].decode("utf-8")
                break
            except UnicodeDecodeError:
                cut -= 1
        carry = data[cut:]
        buffer += data[:cut].decode("utf-8", "replace")

    try:
        more()
        buffer = buffer.lstrip("\ufeff \t\r\n")[1:]
        while True:
            buffer = buffer.lstrip(" \t\r\n,")
            if not buffer and not ended:
                more()
                continue
            if buffer.startswith("]"):
                return
            if not buffer:
                raise InputError(
                    f"{opened.name} ends in the middle of a list after {number:,} records. Fetch it again."
                )
            try:
                value, stop = _DECODER.raw_decode(buffer)
                if stop == len(buffer) and not ended:
                    more()
                    continue
            except json.JSONDecodeError as error:
                if not ended and len(buffer) < _WHOLE:
                    # Doubling keeps the number of attempts on a long record small.
                    target = 2 * len(buffer)
                    while not ended and len(buffer) < target:
                        more()
                    continue
                mended = _LEADING_ZERO.sub(r'\1"\2"', buffer)
                if mended == buffer:
                    raise _broken_json(opened.name, error, number) from error
                buffer = mended
                continue
            buffer = buffer[stop:]
            number += 1
            yield from _records_of(value, number, opened.name)
    finally:
        stream.close()


def _records_of(value: Any, number: int, name: str) -> Iterator[Record | BadRow]:
    if not isinstance(value, dict):
        message = f"Element {number} of the list is no record but {type(value).__name__}."
        yield BadRow(number, "unreadable_record", message, {"_text": str(value)[:2000]})
        return
    if number == 1:
        _refuse_errors(value, name)
        _refuse_services(value, name)
    yield flatten(value)


def _from_lines(opened: Opened, encoding: Encoding) -> Iterator[Record | BadRow]:
    stream = Utf8Stream(opened.stream(), encoding)
    rest, number = b"", 0
    try:
        while data := stream.read(1 << 20):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number += 1
                yield from _from_line(line, number)
        yield from _from_line(rest, number + 1)
    finally:
        stream.close()


def _from_line(line: bytes, number: int) -> Iterator[Record | BadRow]:
    text = line.decode("utf-8", "replace").strip()
    if not text:
        return
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        yield BadRow(number, "unreadable_record", f"The line is not JSON: {error}.", {"_text": text[:2000]})
        return
    if isinstance(value, dict):
        yield flatten(value)
    else:
        yield BadRow(number, "unreadable_record", "The line is no record.", {"_text": text[:2000]})


def _from_object(opened: Opened, encoding: Encoding) -> Iterator[Record | BadRow]:
    stream = Utf8Stream(opened.stream(), encoding)
    parts, got = [], 0
    try:
        while data := stream.read(1 << 20):
            parts.append(data)
            got += len(data)
            if got > _WHOLE:
                raise InputError(
                    f"{opened.name} is one JSON object of more than {_WHOLE >> 20} MiB, which has to "
                    "be held in "
                    "memory whole. Save the list inside it as JSON lines or CSV."
                )
    finally:
        stream.close()
    text = b"".join(parts).decode("utf-8", "replace").lstrip("\ufeff").strip()
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        try:
            value = _DECODER.decode(_LEADING_ZERO.sub(r'\1"\2"', text))
        except json.JSONDecodeError:
            raise _broken_json(opened.name, error, 0) from error
    _refuse_errors(value, opened.name)
    for key in _LISTS:
        inner = value.get(key)
        if isinstance(inner, dict) and isinstance(inner.get("request"), (list, dict)):
            inner = inner["request"]
        if isinstance(inner, list) and (not inner or isinstance(inner[0], dict)):
            for number, record in enumerate(inner, start=1):
                yield from _records_of(record, number, opened.name)
            return
    _refuse_services(value, opened.name)
    yield flatten(value)


def _broken_json(name: str, error: json.JSONDecodeError, number: int) -> InputError:
    where = f"after record {number:,}" if number else f"at line {error.lineno}, column {error.colno}"
    return InputError(f"{name} is broken JSON {where}: {error.msg}. Fetch it again; it may be cut off.")


def _refuse_errors(value: dict[str, Any], name: str) -> None:
    errors = value.get("errors", value.get("error"))
    if errors is None and {"code", "description"} == set(value):
        errors = [value]
    if not errors:
        return
    said = []
    for error in errors if isinstance(errors, list) else [errors]:
        if isinstance(error, dict):
            said.append(" ".join(str(error[k]) for k in ("code", "description", "message") if error.get(k)))
        else:
            said.append(str(error))
    raise _server_error(name, said)


def _server_error(name: str, said: list[str]) -> InputError:
    printable = ["".join(c if c.isprintable() else " " for c in text).split() for text in said]
    words = "; ".join(" ".join(text)[:300] for text in printable if text) or "no words"
    return InputError(
        f"{name} is not a list of requests but an error of the server, which says: {words}. "
        "Mend the address or the key and ask again."
    )


def _refuse_services(value: dict[str, Any], name: str) -> None:
    if "service_code" in value and "service_request_id" not in value and "requested_datetime" not in value:
        raise InputError(
            f"{name} is the list of an Open311 server's services (what can be reported), not of "
            "requests. Ask the "
            "same server for requests.json or requests.xml."
        )


# -- XML --------------------------------------------------------------------------------


def open_xml(path: Path, name: str) -> RecordTable:
    """Open an Open311 answer in XML."""
    return RecordTable("xml", name, lambda: _from_xml(path, name))


def _from_xml(path: Path, name: str) -> Iterator[Record | BadRow]:
    root: Element | None = None
    try:
        for event, element in iterparse(str(path), events=("start", "end")):
            if event == "start":
                if root is None:
                    root = element
                    _refuse_root(_tag(root), name)
                continue
            if _tag(element) == "request":
                yield flatten(_xml_record(element))
                element.clear()
            elif element is root and _tag(root) in ("errors", "error"):
                raise _server_error(name, _xml_errors(root))
    except ParseError as error:
        raise InputError(f"{name} is broken XML ({error}). Fetch it again; it may be cut off.") from error
    except DefusedXmlException as error:
        raise InputError(
            f"{name} defines entities of its own, which no Open311 answer does and which can be an attack. "
            "It was not read."
        ) from error


def _tag(element: Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1].lower()


def _refuse_root(tag: str, name: str) -> None:
    what = {
        "services": "the list of an Open311 server's services (what can be reported), not of requests",
        "service_definition": "the definition of one Open311 service, not a list of requests",
        "discovery": "an Open311 server's description of itself, not a list of requests",
    }
    if tag in what:
        raise InputError(f"{name} is {what[tag]}. Ask the same server for requests.xml.")
    if tag not in ("service_requests", "requests", "request", "errors", "error"):
        raise InputError(
            f"{name} is XML of a kind that is not read here (its root is <{tag}>). Read are Open311 "
            "requests, KML and "
            "GML; for anything else ask for the export as CSV or XLSX."
        )


def _xml_errors(root: Element) -> list[str]:
    if not len(root):
        return [root.text or ""]
    return [" ".join(t.strip() for t in error.itertext() if t.strip()) for error in root]


def _xml_record(element: Element) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for child in element:
        tag = str(child.tag).rsplit("}", 1)[-1]
        value: Any = _xml_record(child) if len(child) else (child.text or "").strip()
        if tag in record and not isinstance(record[tag], dict):
            earlier = record[tag]
            record[tag] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            record[tag] = value
    return record


def is_open311_xml(head: bytes) -> bool:
    """Whether a start of XML is for this module rather than for OGR (KML, GML)."""
    text = re.sub(rb"<\?.*?\?>|<!--.*?-->", b"", head.replace(b"\x00", b""), flags=re.DOTALL).lower()
    match = re.search(rb"<\s*(?:[a-z0-9_.-]+:)?([a-z0-9_.-]+)", text)
    return match is None or match.group(1) not in (b"kml", b"featurecollection", b"gml")
