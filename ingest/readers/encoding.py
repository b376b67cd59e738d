"""Which encoding is this text in? And a stream that gives it as UTF-8.

Order: byte-order mark; valid UTF-8; UTF-16 by its zero bytes; then single-byte code
pages. Arabic is told from Latin by the length of runs of bytes above 127 (whole words
in Arabic, single accented letters in Latin), and the Arabic code pages from each other by how
often they give the article "ال". What cannot be decoded is marked with a lone
surrogate, so that its row is refused later instead of altered silently.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from charset_normalizer import from_bytes

from geo.errors import InputError
from ingest.readers.opening import ByteStream

SAMPLE = 1 << 20
_SCAN_PACKED = 64 << 20
_ARABIC_PAGES = ("cp1256", "iso8859_6", "mac_arabic", "cp720", "cp864")
_OTHER_PAGES = ["cp1252", "cp1254", "cp1250", "cp1251", "cp1253", "cp1255", "cp850"]
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_MULTI = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Stand a lone surrogate in for bytes that have no meaning in the encoding."""
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    raise error


codecs.register_error("rasd_mark", _mark)


@dataclass(frozen=True)
class Encoding:
    """A codec name, and the sentence that says how it was recognised."""

    codec: str
    note: str

    @property
    def is_utf8(self) -> bool:
        return self.codec in ("utf-8", "utf-8-sig")


def detect_encoding(open_stream: Callable[[], ByteStream], packed: bool) -> Encoding:
    """Recognise the encoding from the first megabyte that holds a byte above 127."""
    stream = open_stream()
    try:
        head = _fill(stream)
        for bom, codec in _BOMS:
            if head.startswith(bom):
                return Encoding(codec, f"Encoding {codec.removesuffix('-sig').upper()} (byte-order mark).")
        utf16 = _utf16_without_mark(head)
        if utf16:
            return Encoding(utf16, f"Encoding {utf16.upper()} (recognised without a byte-order mark).")
        # A long stretch of plain ASCII proves nothing: read on to the first other byte.
        sample = head
        while head and sample.isascii() and not (packed and stream.produced > _SCAN_PACKED):
            head = _fill(stream)
            sample = head or sample
        whole = len(head) < SAMPLE
        first = stream.produced <= SAMPLE
    finally:
        stream.close()
    if sample.isascii():
        return Encoding("utf-8", "Encoding: plain ASCII.")
    return _judge(sample, 0 if first else 3, 0 if whole else 3)


def _fill(stream: ByteStream) -> bytes:
    """Read one whole sample; a decompressor may give less at a time."""
    parts, got = [], 0
    while got < SAMPLE and (data := stream.read(SAMPLE - got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def encoding_from_option(name: str) -> Encoding:
    """Return the encoding that a person or profile named."""
    try:
        codec = codecs.lookup(name).name
    except LookupError as error:
        raise InputError(
            f"Encoding {name!r} is not known. Use utf-8, utf-16, windows-1256, iso-8859-6 or latin-1."
        ) from error
    return Encoding(codec, f"Encoding {codec} (as asked).")


def detect_bytes(sample: bytes) -> str:
    """Return the codec of a sample of text bytes; 'utf-8' for plain ASCII."""
    return "utf-8" if sample.isascii() else _judge(sample, 3, 3).codec


def _utf16_without_mark(head: bytes) -> str:
    sample = head[:4096]
    if sample.count(0) < 4:
        return ""
    half = max(len(sample) // 2, 1)
    evens, odds = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    # Arabic letters have 06 as their high byte, so zeros alone may be few: ask for the
    # delimiters and digits, which are never fewer than a tenth.
    if odds > 0.1 and evens < 0.01:
        return "utf-16-le"
    if evens > 0.1 and odds < 0.01:
        return "utf-16-be"
    return ""


def _judge(sample: bytes, start_slack: int, stop_slack: int) -> Encoding:
    # A sample cut out of a file may start or end inside a character: that is no fault.
    for start in range(start_slack + 1):
        for stop in range(stop_slack + 1):
            try:
                sample[start : len(sample) - stop].decode("utf-8")
            except UnicodeDecodeError:
                continue
            return Encoding("utf-8", "Encoding UTF-8.")
    multi = sum(len(match) for match in _MULTI.findall(sample))
    high = sum(len(run) for run in _HIGH_RUN.findall(sample))
    if multi > 0.9 * high:
        return Encoding("utf-8", "Encoding UTF-8 with some broken bytes: their rows are refused.")
    # Runs of Arabic letters are words; a space, digit or comma ends them.
    runs = [len(run) for run in _HIGH_RUN.findall(sample)]
    if sum(runs) / len(runs) >= 2.0:
        codec, score = max(
            ((page, _arabic_score(sample, page)) for page in _ARABIC_PAGES), key=lambda p: p[1]
        )
        if score >= 0.75:
            label = "Windows-1256" if codec == "cp1256" else codec
            return Encoding(codec, f"Encoding {label} (recognised by its Arabic words).")
    best = from_bytes(sample, cp_isolation=_OTHER_PAGES, enable_fallback=False).best()
    codec = best.encoding if best is not None else "cp1252"
    if codec == "cp1252" and not re.search(rb"[\x80-\x9f]", sample):
        return Encoding("latin_1", "Encoding Latin-1 (guessed).")
    return Encoding(codec, f"Encoding {codec} (guessed). If letters look wrong, name it with --encoding.")


def _arabic_score(sample: bytes, page: str) -> float:
    """Share of the letters above ASCII that are Arabic, plus how often words start with ال."""
    text = sample.decode(page, "replace")
    letters = [c for c in text if ord(c) > 127]
    arabic = sum("\u0621" <= c <= "\u065f" or c in "،؛؟ـ٪" or "\u0660" <= c <= "\u0669" for c in letters)
    words = re.findall(r"[\u0621-\u064a]{2,}", text)
    article = sum("ال" in word[:4] for word in words) / max(len(words), 1)
    # A common ending or particle that only the right page yields, for tables of names without the article.
    common = sum(word.endswith(("ة", "ي", "ية", "ات")) for word in words) / max(len(words), 1)
    return arabic / max(len(letters), 1) * 0.8 + min(article, 0.5) + 0.2 * min(common, 0.5)


class Utf8Stream:
    """The text of a stream as UTF-8 bytes, from byte ``skip`` of that UTF-8 on."""

    def __init__(self, source: ByteStream, encoding: Encoding, skip: int = 0) -> None:
        self._source = source
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding.codec == "utf-8-sig":
            source.read(len(codecs.BOM_UTF8))
        elif not encoding.is_utf8:
            self._decoder = codecs.getincrementaldecoder(encoding.codec)("rasd_mark")
        self.closed = False
        self._pending = b""
        while skip > 0 and (data := self._next(min(skip, 1 << 20))):
            self._pending = data[skip:]
            skip -= min(skip, len(data))

    def _next(self, n: int) -> bytes:
        while True:
            data = self._source.read(n)
            if self._decoder is None:
                return data
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode("utf-8", "surrogatepass")

    def read(self, n: int = -1) -> bytes:
        """Return about ``n`` bytes, at least one unless the text has ended."""
        n = n if n and n > 0 else 1 << 20
        if not self._pending:
            self._pending = self._next(n)
        out, self._pending = self._pending[:n], self._pending[n:]
        return out

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self._source.close()
