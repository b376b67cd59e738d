"""The Open311 GeoReport v2 service: services, requests and new requests over HTTP.

A process of its own (``./rasd open311 serve``), apart from the pages: it can be closed,
limited and put behind another proxy without touching them, and needs nothing of theirs.
Starlette and uvicorn come with Streamlit; GeoReport has its own documents and errors, so
nothing more is of use. Caveat: encryption is the proxy's in front, as for the pages.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from data import audit, filing, open311, sign_in
from data.access import Session, acting
from data.territories import Territory
from data.vocabulary import Channel
from geo.errors import InputError, Refused, StoreError
from service import answers, questions
from service.doors import Doors, Limiter, Missing, Unknown

ROOT = "/open311/v2"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rules:
    """How the service is run.

    Attributes
    ----------
    write : whether reports are taken, with a key.
    notes : whether descriptions and reasons are shown to the public.
    a_minute : questions a minute from one address. proxies : see ``RASD_PROXIES``.
    """

    write: bool = False
    notes: bool = False
    a_minute: int = 120
    proxies: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    """One question: who asks, for what, in which format and language."""

    format: str
    given: dict[str, str]
    path: dict[str, str]
    address: str
    arabic: bool
    base: str


def create_app(doors: Doors, rules: Rules) -> Starlette:
    """The service as an ASGI app."""
    service = _Service(doors, rules)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(doors.sessions.close)

    routes = [
        Route("/open311/discovery.{format}", service.get(service.discovery)),
        Route(f"{ROOT}/discovery.{{format}}", service.get(service.discovery)),
        Route(f"{ROOT}/services.{{format}}", service.get(service.services)),
        Route(f"{ROOT}/services/{{code}}.{{format}}", service.get(service.definition)),
        Route(f"{ROOT}/requests.{{format}}", service.get(service.requests), methods=["GET"]),
        Route(f"{ROOT}/requests.{{format}}", service.post, methods=["POST"]),
        Route(f"{ROOT}/requests/{{number}}.{{format}}", service.get(service.request)),
        Route(f"{ROOT}/tokens/{{token}}.{{format}}", service.get(service.token)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={HTTPException: _no_such_page, Exception: _bug},
        lifespan=lifespan,
    )


class _Service:
    """The questions of GeoReport v2, each a method that takes a call."""

    def __init__(self, doors: Doors, rules: Rules) -> None:
        self.doors = doors
        self.rules = rules
        self._limiter = Limiter(rules.a_minute)
        self._began = dt.datetime.now(dt.UTC).replace(microsecond=0)

    # -- reading --------------------------------------------------------------------------

    def discovery(self, call: _Call) -> Response:
        formats = [media.partition(";")[0] for media in answers.FORMATS.values()]
        simulated = all(territory.simulated for territory in self.doors.served)
        endpoint = {
            "specification": "http://wiki.open311.org/GeoReport_v2",
            "url": f"{call.base}{ROOT}",
            "changeset": self._began.isoformat(),
            "type": "test" if simulated else "production",
            "formats": formats,
        }
        document = {
            "changeset": self._began.isoformat(),
            "contact": "Ask who runs this service.",
            "key_service": "Keys are made by who runs this service.",
            "endpoints": [endpoint],
        }
        return answers.answer(call.format, ("discovery",), document)

    def services(self, call: _Call) -> Response:
        rows = self._public(self._territory(call), open311.services)
        listed = [answers.service(row, call.arabic) for row in rows]
        return answers.answer(call.format, ("services", "service"), listed)

    def definition(self, call: _Call) -> Response:
        rows = self._public(self._territory(call), open311.services)
        found = next((row for row in rows if row.code == call.path["code"]), None)
        if found is None:
            raise Unknown("service_code was not found")
        document = answers.definition(found, call.arabic)
        return answers.answer(call.format, ("service_definition",), document)

    def requests(self, call: _Call) -> Response:
        territory = self._territory(call)
        query = questions.query(call.given, dt.datetime.now(dt.UTC))

        def ask(conn: Connection) -> list[open311.RequestRow]:
            known = {row.code: row.element_id for row in open311.services(conn)} if query.codes else {}
            unknown = [code for code in query.codes if code not in known and code != open311.OTHER]
            if unknown and not query.numbers:
                raise Unknown(f"service_code was not found: {', '.join(unknown)[:200]}")
            asked = open311.Asked(
                territory.id,
                query.start,
                query.end,
                query.numbers,
                [known[code] for code in query.codes if code in known],
                open311.OTHER in query.codes,
                None if query.numbers else query.open,
                0 if query.numbers else (query.page - 1) * query.size,
                questions.MOST if query.numbers else query.size,
            )
            return open311.requests(conn, asked, notes=self.rules.notes)

        rows = self._public(territory, ask)
        if query.numbers and not rows:
            raise Unknown("service_request_id was not found")
        return self._listed(call, territory, rows)

    def request(self, call: _Call) -> Response:
        territory = self._territory(call)
        asked = open311.Asked(territory.id, numbers=[call.path["number"]])
        rows = self._public(territory, lambda conn: open311.requests(conn, asked, notes=self.rules.notes))
        if not rows:
            raise Unknown("service_request_id was not found")
        return self._listed(call, territory, rows)

    def token(self, call: _Call) -> Response:
        raise Unknown("token was not found: requests get their service_request_id at once here")

    def _listed(self, call: _Call, territory: Territory, rows: list[open311.RequestRow]) -> Response:
        zone = ZoneInfo(territory.timezone)
        listed = [answers.request(row, call.arabic, zone, territory.simulated) for row in rows]
        return answers.answer(call.format, ("service_requests", "request"), listed)

    def _territory(self, call: _Call) -> Territory:
        return self.doors.territory(call.given.get("jurisdiction_id", "").strip())

    def _public(self, territory: Territory, work: Callable[[Connection], _T]) -> _T:
        return self._as(lambda: self.doors.public(territory), work)

    def _as(self, session: Callable[[], Session], work: Callable[[Connection], _T]) -> _T:
        """Do something in one transaction as somebody; a session that the store ended is renewed once."""
        held, began = session(), False
        try:
            with acting(held) as conn:
                began = True
                return work(conn)
        except Refused:
            if began:
                raise
        self.doors.sessions.forget(held.principal.login)
        with acting(session()) as conn:
            return work(conn)

    # -- filing ---------------------------------------------------------------------------

    async def post(self, request: Request) -> Response:
        call = self._call(request)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        body = b""
        if kind == "application/x-www-form-urlencoded":
            async for part in request.stream():
                body += part
                if len(body) > questions.BODY_MOST:
                    message = f"the body is larger than {questions.BODY_MOST >> 10} KiB"
                    return answers.error(_format(request), 413, message)
        elif self.rules.write:
            message = "send a form (application/x-www-form-urlencoded); files are not taken"
            return answers.error(_format(request), 415, message)
        return await run_in_threadpool(self._answered, request, call, lambda one: self._file(one, body))

    def _file(self, call: _Call, body: bytes) -> Response:
        if not self.rules.write:
            raise Refused("reports are not taken here: the service is for reading")
        given = questions.form(body)
        key = given.get("api_key", "").strip()
        session = self.doors.keyed(key, call.address)
        # A key has the limit of an address too, from however many addresses it is used.
        if seconds := self._limiter.wait(session.principal.login):
            raise sign_in.NotYet(seconds)
        posted = questions.posted(given)
        territory = self.doors.territory(posted.jurisdiction.strip())

        def work(conn: Connection) -> filing.Filed:
            element = next((r.element_id for r in open311.services(conn) if r.code == posted.code), None)
            if element is None:
                raise Unknown("service_code was not found")
            filed = filing.file_report(
                conn,
                filing.Filing(
                    territory_id=territory.id,
                    lon=posted.lon,
                    lat=posted.lat,
                    # The same form again is the same report: callers repeat what they got no answer to.
                    key=filing_key(body),
                    element_id=element,
                    severity=posted.severity,
                    quantity=posted.quantity,
                    note=posted.note,
                    channel=Channel.CITIZEN,
                    contact_name=posted.name,
                    contact_phone=posted.phone,
                ),
            )
            if not filed.again:
                detail = {"reference": filed.reference, "by": "open311", "address": call.address}
                audit.record(conn, "insert", "report", detail)
            return filed

        filed = self._as(lambda: session, work)
        receipt = {
            "service_request_id": filed.reference,
            "service_notice": answers.SIMULATED if territory.simulated else None,
            "account_id": None,
        }
        status = 200 if filed.again else 201
        return answers.answer(call.format, ("service_requests", "request"), [receipt], status)

    # -- every question -------------------------------------------------------------------

    def get(self, work: Callable[[_Call], Response]) -> Callable[[Request], Response]:
        """A question by GET as an endpoint; it runs in a thread."""

        def endpoint(request: Request) -> Response:
            found = self._answered(request, self._call(request), work)
            # What the public may read, any page may fetch.
            found.headers["Access-Control-Allow-Origin"] = "*"
            return found

        return endpoint

    def _call(self, request: Request) -> _Call:
        peer = request.client.host if request.client else None
        given = {name: value for name, value in request.query_params.items() if value.strip()}
        return _Call(
            _format(request),
            given,
            {name: value for name, value in request.path_params.items() if name != "format"},
            sign_in.caller(request.headers, peer, self.rules.proxies),
            _is_arabic(given.get("locale", ""), request.headers.get("Accept-Language", "")),
            str(request.base_url).rstrip("/"),
        )

    def _answered(self, request: Request, call: _Call, work: Callable[[_Call], Response]) -> Response:
        """The answer, or the error that GeoReport has for what went wrong."""
        if str(request.path_params["format"]) not in answers.FORMATS:
            return answers.error(call.format, 404, "the format is json or xml")
        seconds = self._limiter.wait(call.address)
        try:
            if seconds:
                raise sign_in.NotYet(seconds)
            if any("\x00" in text for text in (*call.given.values(), *call.path.values())):
                raise InputError("an argument holds a zero character, which no text has")
            return work(call)
        except sign_in.NotYet as error:
            after = {"Retry-After": str(math.ceil(error.seconds))}
            return answers.error(call.format, 429, str(error), after)
        except Refused as error:
            return answers.error(call.format, 403, str(error))
        except Unknown as error:
            return answers.error(call.format, 404, str(error))
        except (Missing, InputError) as error:
            return answers.error(call.format, 400, str(error))
        except (StoreError, OperationalError):
            return answers.error(call.format, 503, "the store does not answer", {"Retry-After": "60"})


def filing_key(body: bytes) -> str:
    """What tells a form that is sent again from another one: itself, on one day (UTC)."""
    today = dt.datetime.now(dt.UTC).date()
    return f"open311 {today} {hashlib.sha256(body).hexdigest()}"


def _format(request: Request) -> str:
    """The format of the answer; XML, which the specification demands of every service, where none is named."""
    named = request.path_params.get("format") or request.url.path.rpartition(".")[2]
    return named if named in answers.FORMATS else "xml"


def _is_arabic(locale: str, accepted: str) -> bool:
    """Arabic unless the caller prefers English."""
    for part in (locale, *accepted.split(",")):
        language = part.partition(";")[0].strip().lower()[:2]
        if language in ("ar", "en"):
            return language == "ar"
    return True


def _no_such_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    said = {404: "there is no such resource", 405: "this is not done here"}.get(status, "the call is wrong")
    return answers.error(_format(request), status, said)


def _bug(request: Request, error: Exception) -> Response:
    """A fault of ours: the caller learns that, and the log has the rest."""
    return answers.error(_format(request), 500, "the service failed; it has been logged")
