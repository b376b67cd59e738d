"""A small GeoReport v2 server on loopback, which serves recorded answers of real ones.

It filters by date, number and page as a real one would, or misbehaves as it is told.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

Reply = tuple[int, dict[str, str], bytes]


def as_xml(records: list[dict[str, Any]]) -> bytes:
    rows = "".join(
        "<request>"
        + "".join(f"<{k}>{'' if v is None else escape(str(v))}</{k}>" for k, v in record.items())
        + "</request>"
        for record in records
    )
    return f'<?xml version="1.0" encoding="utf-8"?><service_requests>{rows}</service_requests>'.encode()


@dataclass
class City:
    """What the server holds and how it behaves; ``asked`` are the questions it was asked."""

    records: list[dict[str, Any]]
    cap: int = 1000
    pages: bool = True
    dates: bool = True
    lists: bool = True
    formats: tuple[str, ...] = ("json", "xml")
    hook: Callable[[City, str, dict[str, str]], Reply | None] | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    url: str = ""

    def reply(self, path: str, query: dict[str, str]) -> Reply:
        self.asked.append((path, query))
        if self.hook is not None and (told := self.hook(self, path, query)) is not None:
            return told
        name, _, kind = path.removeprefix("/v2/").rpartition(".")
        if kind not in self.formats:
            return 404, {}, b'[{"code": 404, "description": "no such format"}]'
        found = self.records
        if name.startswith("requests/"):
            found = [r for r in found if r["service_request_id"] == name.removeprefix("requests/")]
            if not found:
                return 404, {}, b'[{"code": 404, "description": "no such request"}]'
        elif wanted := query.get("service_request_id"):
            ids = wanted.split(",") if self.lists else [wanted]
            found = [r for r in found if r["service_request_id"] in ids]
        else:
            if self.dates and "start_date" in query:
                low, high = (dt.datetime.fromisoformat(query[k]) for k in ("start_date", "end_date"))
                assert high - low <= dt.timedelta(days=90)
                found = [
                    r for r in found if low <= dt.datetime.fromisoformat(r["requested_datetime"]) <= high
                ]
            found = sorted(found, key=lambda r: r["requested_datetime"], reverse=True)
            page = int(query.get("page", "1")) if self.pages else 1
            found = found[(page - 1) * self.cap : page * self.cap]
        if kind == "xml":
            return 200, {"Content-Type": "text/xml"}, as_xml(found)
        return 200, {"Content-Encoding": "gzip"}, gzip.compress(json.dumps(found).encode())


@contextlib.contextmanager
def serving(city: City) -> Iterator[City]:
    """Serve a city at ``city.url`` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            city.agents.add(self.headers["User-Agent"])
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            status, headers, body = city.reply(parts.path, query)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may hang up on purpose
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    city.url = f"http://127.0.0.1:{server.server_port}/v2"
    try:
        yield city
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
