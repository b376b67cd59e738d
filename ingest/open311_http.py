"""Asking another system's server over HTTP: politely, and without trusting its answers.

One request at a time with a pause between them; busy servers are asked again after a
growing, random wait (exponential back-off with full jitter: M. Brooker, "Exponential
Backoff And Jitter", 2015) or after as long as they say (Retry-After, RFC 9110). Redirects
stay on the same host. An answer has a limit of size, packed or not, and of time. Caveat:
the address is the operator's own choice, so hosts inside the network are not refused.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import math
import random
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit, urlunsplit

import urllib3

from geo.errors import InputError

AGENT = "Rasd/0.1 (Open311 client)"
MAX_ANSWER = 64 << 20
ANSWER_SECONDS = 300.0
TRIES = 6
LONGEST_WAIT = 60.0
LONGEST_ASKED = 900.0
_REDIRECTS = 4
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_STEP = 1 << 16
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: its status and its body, unpacked."""

    status: int
    body: bytes

    @property
    def said(self) -> str:
        """The start of the body as one printable line, for a message."""
        return plain(self.body[:2000].decode("utf-8", "replace"))[:300] or "nothing"


@dataclass(slots=True)
class Manners:
    """How a server is treated.

    Attributes
    ----------
    pause : seconds between the end of one request and the next.
    timeout : seconds that a connection, and a silence within an answer, may last.
    """

    pause: float = 1.0
    timeout: float = 30.0


def plain(text: str) -> str:
    """A text of a foreign system as one line without control characters and tags."""
    return " ".join(_UNPRINTABLE.sub(" ", re.sub(r"<[^>]*>", " ", text)).split())


def checked_address(url: str) -> str:
    """The address of a GeoReport endpoint, ready for ``…/requests.json`` to be added.

    Raises
    ------
    InputError : it is no http address, or holds a password, a question or a document.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is no address: {error}.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise InputError(
            f"{plain(url)[:200]!r} is no address of a server. It looks like https://city.example/open311/v2."
        )
    if parts.username is not None or parts.password is not None:
        raise InputError("The address holds a user or password, and addresses are stored. Leave it out.")
    if parts.query or parts.fragment:
        raise InputError(
            "Give the address up to the version, as in https://city.example/open311/v2, without ? and #; "
            "name the jurisdiction with --jurisdiction."
        )
    path = re.sub(r"/(services|requests|discovery)\.(json|xml)$", "", parts.path).rstrip("/")
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    host = f"[{host}]" if ":" in host else host
    where = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    return urlunsplit(SplitResult(parts.scheme, where, path, "", ""))


class Fetcher:
    """One server, asked again and again. ``requests`` counts what was sent."""

    def __init__(
        self,
        base: str,
        manners: Manners | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.base = base
        self.manners = manners or Manners()
        self.requests = 0
        self._sleep = sleep
        # Spreads the waits of many clients; nothing secret hangs on it.
        self._rng = rng or random.Random()  # noqa: S311
        self._say = say or (lambda sentence: None)
        self._pool = _pool(base, self.manners.timeout)
        self._last = -math.inf

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """Ask for ``base/path``; busy servers again, up to ``TRIES`` times.

        Raises
        ------
        InputError : no answer after all tries, or one that is refused: too large, too slow,
            led elsewhere.
        """
        asked = "?" + urlencode({k: v for k, v in query.items() if v}) if any(query.values()) else ""
        url = f"{self.base}/{path}{asked}"
        reason = ""
        for attempt in range(TRIES):
            answer, reason, wait = self._try(url)
            if answer is not None:
                return answer
            if attempt + 1 == TRIES:
                break
            pause = self._rng.uniform(0, min(LONGEST_WAIT, 2.0**attempt)) if wait is None else wait
            self._say(f"{reason}; asked again in {pause:.0f} s")
            self._sleep(pause)
        raise InputError(
            f"{self.base} does not answer: {reason}, {TRIES} times. What was read so far is kept; run the "
            "same command again later, it goes on from there."
        )

    def _try(self, url: str) -> tuple[Answer | None, str, float | None]:
        """One try: the answer, or why there is none and how long the server asks to wait."""
        since = time.monotonic() - self._last
        if since < self.manners.pause:
            self._sleep(self.manners.pause - since)
        try:
            for _ in range(_REDIRECTS):
                self.requests += 1
                response = self._pool.request(
                    "GET", url, preload_content=False, redirect=False, retries=False
                )
                try:
                    if response.status in (301, 302, 303, 307, 308):
                        url = self._followed(url, response.headers.get("Location", ""))
                        continue
                    if response.status in _BUSY:
                        asked = _retry_after(response.headers.get("Retry-After"))
                        return None, f"status {response.status}", self._bearable(asked)
                    return (
                        Answer(response.status, self._body(cast("urllib3.HTTPResponse", response))),
                        "",
                        None,
                    )
                finally:
                    # Closed and not drained: what is left of a refused answer is not read.
                    response.close()
                    response.release_conn()
            raise InputError(
                f"{self.base} sends its callers on more than {_REDIRECTS} times. It was left alone."
            )
        except urllib3.exceptions.SSLError as error:
            raise InputError(
                f"{self.base} shows a certificate that cannot be trusted ({plain(str(error))[:200]})."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            return None, _why(error), None
        finally:
            self._last = time.monotonic()

    def _followed(self, url: str, location: str) -> str:
        """Where a redirect leads, if that is the same server (or the same by https)."""
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        try:
            ports = [p.port or _DEFAULT_PORTS.get(p.scheme) for p in (before, after)]
        except ValueError:
            ports = [None, -1]
        secured = (before.scheme, after.scheme) == ("http", "https")
        same = after.scheme == before.scheme and ports[0] == ports[1]
        if not location or after.hostname != before.hostname or after.username or not (same or secured):
            raise InputError(
                f"{self.base} sends its callers on to {plain(location)[:200]!r}, another place. That was not "
                "followed; if it is right, give that address."
            )
        return target

    def _bearable(self, asked: float | None) -> float | None:
        if asked is not None and asked > LONGEST_ASKED:
            raise InputError(
                f"{self.base} asks to be left alone for {asked / 60:.0f} minutes. What was read so far is "
                "kept; run the same command again after that, it goes on from there."
            )
        return asked

    def _body(self, response: urllib3.HTTPResponse) -> bytes:
        declared = response.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > MAX_ANSWER:
            raise self._too_large()
        ends = time.monotonic() + max(ANSWER_SECONDS, self.manners.timeout)
        parts, size = [], 0
        # Read as it comes, so that a trickle is noticed; unpacked step by step, so that a bomb is too.
        while data := response.read1(_STEP, decode_content=True):
            parts.append(data)
            size += len(data)
            if size > MAX_ANSWER:
                raise self._too_large()
            if time.monotonic() > ends:
                raise InputError(
                    f"{self.base} took longer than {ANSWER_SECONDS:.0f} s over one answer. It was left alone."
                )
        return b"".join(parts)

    def _too_large(self) -> InputError:
        return InputError(
            f"{self.base} answers with more than {MAX_ANSWER >> 20} MiB at once. That was not read; it may "
            "be an attack, or no GeoReport server."
        )


def _pool(base: str, timeout: float) -> urllib3.PoolManager:
    """Connections, by way of the proxy that the environment names, if any."""
    options = {
        "headers": {
            "User-Agent": AGENT,
            "Accept": "application/json, text/xml, application/xml",
            "Accept-Encoding": "gzip",
        },
        "timeout": urllib3.Timeout(connect=timeout, read=timeout),
    }
    parts = urlsplit(base)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **options)  # type: ignore[arg-type]
    return urllib3.PoolManager(**options)  # type: ignore[arg-type]


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """A failed connection in words, without addresses of objects in memory."""
    words = {
        urllib3.exceptions.ConnectTimeoutError: "no connection in time",
        urllib3.exceptions.ReadTimeoutError: "an answer that stopped half-way",
        urllib3.exceptions.NameResolutionError: "a name that is not known",
        urllib3.exceptions.NewConnectionError: "no connection",
        urllib3.exceptions.ProtocolError: "a connection that broke off",
        urllib3.exceptions.DecodeError: "an answer packed wrongly",
    }
    return next((said for kind, said in words.items() if isinstance(error, kind)), type(error).__name__)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date; None when there is none."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=dt.UTC)
    return max(0.0, (when - dt.datetime.now(dt.UTC)).total_seconds())
