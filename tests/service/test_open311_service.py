"""The Open311 service, asked over HTTP: by a published client, by callers, and by attackers."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import xmltodict
from defusedxml import ElementTree
from georeport import GeoReport
from sqlalchemy import text
from starlette.applications import Starlette
from typer.testing import CliRunner

from cli import application
from data import keys
from data.access import Place
from data.vocabulary import Status
from geo.errors import InputError
from ingest import open311 as pulling
from ingest.open311_http import Fetcher, Manners
from service.app import ROOT, Rules, create_app
from service.doors import Limiter, open_doors
from service.questions import query
from tests.small_town import fill

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
OLD = 100  # the oldest report, in days


@dataclass
class Service:
    """A service that runs, with a store of some reports behind it."""

    base: str
    store: Any
    key: str

    def ask(self, path: str, form: dict[str, str] | bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and body: a JSON value, or an XML document as it is."""
        body = urllib.parse.urlencode(form).encode() if isinstance(form, dict) else form
        request = urllib.request.Request(f"{self.base}/{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        return status, said.decode() if said.startswith(b"<") else json.loads(said)

    def post(self, kind: str = "json", **form: str) -> tuple[int, Any]:
        given = {"api_key": self.key, "service_code": "R04", "lat": "26.1", "long": "50.1"}
        return self.ask(f"requests.{kind}", {name: value for name, value in (given | form).items() if value})

    def said(self, path: str) -> list[str]:
        return [row["service_request_id"] for row in self.ask(path)[1]]


@contextlib.contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Serve an app on loopback; gives its base address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", proxy_headers=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{ROOT}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def service(module_store: Any) -> Iterator[Service]:
    with module_store.engine.begin() as conn:
        fill(conn, NOW)
        key = keys.add(conn, "city-app", [Place("town", "municipality", "w")])
    with running(create_app(open_doors(("town",)), Rules(write=True, a_minute=100_000))) as base:
        yield Service(base, module_store, key)
    with module_store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM app_session s JOIN principal p ON p.id = s.principal_id"
                                " WHERE p.login LIKE 'open311:%'")) == 0  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_published_client_reads_the_service(service: Service, kind: str) -> None:
    client = GeoReport(service.base, jurisdiction="town", output_format=kind)
    services = client.get_service_list()
    assert len(services) > 40 and services[0]["service_code"] == "B01"
    definition = client.get_service_definition("R04")
    assert definition["service_code"] == "R04"
    requests = client.get_service_requests(status="open")
    assert requests and {row["status"] for row in requests} == {"open"}
    one = client.get_service_request(requests[0]["service_request_id"])
    assert one == requests[0]


#: Fields of the recorded answers that are of other systems alone.
FOREIGN = {"attributes", "extended_attributes", "notes"}


@pytest.mark.parametrize(
    "sample",
    [
        "cologne/sags-uns-archiv_requests.json",
        "chicago/requests_extended.json",
        "codeforamerica_ruby_fixtures/service_requests.xml",
        "oiva_node_mocks/service-requests.xml",
    ],
)
def test_requests_have_the_fields_of_real_servers_and_their_types(
    service: Service, shared_data: Path, sample: str
) -> None:
    recorded = (shared_data / "open311" / sample).read_bytes()
    if sample.endswith("json"):
        theirs, ours = json.loads(recorded)[0], service.ask("requests.json")[1][0]
    else:
        document = service.ask("requests.xml")[1]
        theirs, ours = (
            xmltodict.parse(found)["service_requests"]["request"][0] for found in (recorded, document)
        )
    assert set(theirs) - FOREIGN <= set(ours)
    for name in set(theirs) - FOREIGN:
        if theirs[name] is not None and ours[name] is not None:
            assert type(ours[name]) is type(theirs[name]), name
    for name in ("requested_datetime", "updated_datetime"):
        when = dt.datetime.fromisoformat(ours[name])
        assert when.utcoffset() == dt.timedelta(hours=3), "times carry the territory's offset"


def test_services_and_definitions_have_the_elements_of_the_recorded_ones(
    service: Service, shared_data: Path
) -> None:
    folder = shared_data / "open311"
    for theirs, ours in (
        ("bensheldon_fixtures/services_giessen.xml", "services.xml"),
        ("codeforamerica_ruby_fixtures/service_definition.xml", "services/R04.xml"),
        ("oiva_node_mocks/dc-services-S0301.xml", "services/R04.xml"),
        ("oiva_node_mocks/boston-err-submitrequest-base_is_duplicate.xml", "requests/0.xml"),
    ):
        recorded = {e.tag for e in ElementTree.fromstring((folder / theirs).read_bytes()).iter()}
        found = {e.tag for e in ElementTree.fromstring(service.ask(ours)[1]).iter()}
        assert recorded - found <= {"attributes"} and found, (theirs, recorded - found)


def test_the_last_ninety_days_are_shown_without_drafts_names_and_false_places(service: Service) -> None:
    rows = service.ask("requests.json?locale=en")[1]
    # Ten reports, one each ten days: those of more than 90 days ago and every third (a draft) are not shown.
    assert [row["requested_datetime"][:10] for row in rows] == sorted(
        (row["requested_datetime"][:10] for row in rows), reverse=True
    )
    assert len(rows) == 5
    assert {row["agency_responsible"] for row in rows} == {"Water\x07 <co>"}
    by_service = {row["service_code"]: row for row in rows}
    assert set(by_service) == {"R04", "other"} and by_service["other"]["service_name"] is None
    assert sum(row["lat"] is None for row in rows) == 1  # on a default point
    assert (
        rows[0]["address"] == "West & Sons" and service.ask("requests.json")[1][0]["address"] == "بلدية الغرب"
    )
    assert all(row["description"] is None and row["status_notes"] is None for row in rows)
    closed = service.ask("requests.json?status=closed")[1]
    assert closed and all(row["updated_datetime"][:10] >= row["requested_datetime"][:10] for row in closed)
    # A control character cannot stand in XML: it is replaced, and the rest is whole.
    document = ElementTree.fromstring(service.ask("requests.xml")[1])
    assert document[0].findtext("agency_responsible") == "Water\ufffd <co>"


def test_requests_are_found_by_number_time_service_and_page(service: Service) -> None:
    every = service.said("requests.json")
    assert service.said(f"requests.json?service_request_id={every[0]},{every[2]},999999&status=closed") == [
        every[0],
        every[2],
    ]
    assert (
        service.said("requests.json?page_size=4") + service.said("requests.json?page_size=4&page=2") == every
    )
    assert service.said("requests.json?service_code=other") and service.said("requests.json?status=") == every
    far = NOW - dt.timedelta(days=OLD - 5)
    old = service.said(f"requests.json?end_date={urllib.parse.quote(far.isoformat())}")
    assert old and not set(old) & set(every)
    # An offset whose plus was not encoded is still an offset.
    assert service.said(f"requests.json?end_date={far:%Y-%m-%dT%H:%M:%S}+00:00") == old
    assert dt.timedelta(days=90) == (lambda q: q.end - q.start)(query({}, NOW))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("requests.json?start_date=2026-01-01T00:00:00Z&end_date=2026-06-01T00:00:00Z", 400, "90 days apart"),
        ("requests.json?start_date=2026-01-01", 400, "with its zone"),
        (
            "requests.json?status=new&page=0&page_size=5000",
            400,
            "status is open.*whole number.*at most 1,000",
        ),
        ("requests.json?service_code=X99", 404, "service_code was not found: X99"),
        ("requests.json?jurisdiction_id=elsewhere", 404, "jurisdiction_id is unknown"),
        ("requests/R-2026-999999.json", 404, "service_request_id was not found"),
        ("requests.json?service_request_id=1e9,%27%3Bdrop", 404, "service_request_id was not found"),
        ("requests.json?service_request_id=R-%00", 400, "zero character"),
        ("requests/%00.json", 400, "zero character"),
        ("services/..%2f..%2fsecret.json", 404, ""),
        ("tokens/1.json", 404, "token was not found"),
        ("nothing.json", 404, "no such resource"),
    ],
)
def test_a_wrong_question_gets_the_error_of_the_specification(
    service: Service, path: str, status: int, words: str
) -> None:
    import re

    found, body = service.ask(path)
    assert (found, body[0]["code"]) == (status, status) and re.search(words, body[0]["description"])
    assert "<errors><error><code>404</code>" in service.ask("requests/0.xml")[1]
    assert service.ask("requests.yaml")[0] == 404


def test_a_key_files_a_report_within_its_areas_and_everybody_reads_it(service: Service) -> None:
    form = {"description": "=حفرة\n<b>كبيرة</b>", "attribute[severity]": "4", "attribute[quantity]": "2.5",
            "media_url": "https://city.example/1.jpg", "first_name": "Sara", "email": "s@city.example"}  # fmt: skip
    status, body = service.post(**form)
    assert status == 201 and set(body[0]) == {"service_request_id", "service_notice", "account_id"}
    number = body[0]["service_request_id"]
    assert service.post(**form) == (200, body), "sent again, it is the same report"
    shown = service.ask(f"requests/{number}.json?locale=en")[1][0]
    assert (shown["status"], shown["service_code"], shown["lat"]) == ("open", "R04", 26.1)
    assert shown["description"] is None and shown["media_url"] is None
    assert "<service_request_id>R-" in service.post("xml", description="another")[1]
    with service.store.engine.connect() as conn:
        row = conn.execute(
            text(
                """SELECT r.severity, r.quantity, r.channel, r.status, e.detail, p.login,
                     (SELECT count(*) FROM report_contact) AS contacts,
                     (SELECT count(*) FROM audit WHERE principal_id = p.id AND object = 'report'
                      AND detail->>'reference' = r.reference) AS audited
                   FROM report r JOIN report_event e ON e.report_id = r.id JOIN principal p ON p.id = e.actor_id
                   WHERE r.reference = :number"""
            ),
            {"number": number},
        ).one()
    assert (row.severity, row.quantity, row.channel, row.status) == (4, 2.5, 1, Status.RECEIVED)
    assert row.detail["note"] == "=حفرة\n<b>كبيرة</b>\nhttps://city.example/1.jpg"
    assert (row.login, row.contacts, row.audited) == ("key:city-app", 0, 1)


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"api_key": ""}, 403, "api_key is missing"),
        ({"api_key": "rk_guess"}, 403, "api_key is missing, unknown"),
        ({"service_code": "X99"}, 404, "service_code was not found"),
        ({"service_code": "", "lat": ""}, 400, "service_code is missing; lat and long are needed"),
        ({"lat": "", "long": "", "address_string": "King Road 1"}, 400, "address alone"),
        ({"lat": "NaN"}, 400, "lat is a number"),
        ({"long": "50.3"}, 403, "not within your areas"),  # in the territory, but not in the key's area
        ({"long": "60"}, 400, "more than 2 km outside"),
        ({"description": "x" * 4001}, 400, "at most 4,000"),
        ({"first_name": "S\x00"}, 400, "zero character"),
        ({"media_url": "file:///etc/passwd"}, 400, "media_url is an http address"),
        ({"attribute[colour]": "red", "attribute[severity]": "9"}, 400, "no attribute.*key from 1 to 5"),
        ({"jurisdiction_id": "elsewhere"}, 404, "jurisdiction_id is unknown"),
    ],
)
def test_what_must_not_be_filed_is_refused_and_nothing_is_kept(
    service: Service, form: dict[str, str], status: int, words: str
) -> None:
    import re

    with service.store.engine.connect() as conn:
        before = conn.scalar(text("SELECT count(*) FROM report"))
        found, body = service.post(**form)
        assert found == status and re.search(words, body[0]["description"])
        assert conn.scalar(text("SELECT count(*) FROM report")) == before


def test_a_body_that_is_no_small_form_is_refused(service: Service) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.ask("requests.json", b"a=" + b"x" * 70_000, **form)[0] == 413
    assert service.ask("requests.json", b"{}", **{"Content-Type": "application/json"})[0] == 415
    assert service.ask("requests.json", b"service_code=%ff", **form)[0] == 400
    assert service.ask("requests.json", b"lat=1&lat=2", **form)[0] == 400
    assert service.ask("requests.json", b"&".join(b"a%d=1" % i for i in range(200)), **form)[0] == 400


def test_many_wrong_keys_are_slowed_down_and_an_ended_key_files_nothing(service: Service) -> None:
    with service.store.engine.begin() as conn:
        key = keys.add(conn, "short-lived", [Place("town")])
        with pytest.raises(InputError, match="already"):
            keys.add(conn, "short-lived", [Place("town")])
        assert [k.places for k in keys.listed(conn) if k.label == "short-lived"] == [("town",)]
    assert service.post(api_key=key, long="50.3")[0] == 201
    with service.store.engine.begin() as conn:
        assert not conn.scalar(
            text("SELECT count(*) FROM api_key WHERE position(:key in label) > 0"), {"key": key}
        )
        keys.end(conn, "short-lived")
    assert service.post(api_key=key, long="50.31")[0] == 403
    answers = {service.post(api_key=f"rk_{n}")[0] for n in range(25)}
    assert answers == {403, 429}
    assert service.post(description="not slowed down")[0] == 201


def test_rasd_pulls_from_its_own_service(service: Service) -> None:
    result = pulling.pull(
        service.store.engine,
        service.base,
        jurisdiction="town",
        territory="mirror",
        since=NOW - dt.timedelta(days=OLD + 2),
        # NOW is when the tests were collected; what they have filed since is to be read too.
        now=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1),
        fetcher=Fetcher(service.base, Manners(pause=0.0)),
    )
    with service.store.engine.connect() as conn:
        reports = conn.scalar(
            text("SELECT count(*) FROM report r JOIN territory t ON t.id = r.territory_id"
                 " WHERE t.code = 'town' AND r.status <> :draft"), {"draft": int(Status.DRAFT)},
        )  # fmt: skip
    assert result.accepted + result.quarantined == reports and result.gone == 0


def test_an_address_that_asks_too_often_waits() -> None:
    clock = [0.0]
    limiter = Limiter(60, clock=lambda: clock[0])
    assert [limiter.wait("a") for _ in range(60)] == [0.0] * 60
    assert limiter.wait("a") == pytest.approx(1.0) and limiter.wait("b") == 0.0
    clock[0] = 1.0
    assert limiter.wait("a") == 0.0 and limiter.wait("a") > 0


def test_the_commands_pull_from_a_server_and_keep_the_keys(service: Service) -> None:
    def rasd(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(application(), [*words, "--json"])
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    words = (
        "--jurisdiction",
        "town",
        "--territory",
        "mirror-2",
        "--pause",
        "0",
        "--since",
        f"{NOW:%Y-%m-%d}",
    )
    assert rasd("ingest", "open311", f"{service.base}/requests.json", *words)["windows"] == 1
    made = rasd("keys", "add", "by-command", "--territory", "town", "--area", "municipality:w")
    assert made["key"].startswith(keys.PREFIX)
    assert "by-command" in [key["label"] for key in rasd("keys", "list")["keys"] if key["ended_at"] is None]
    assert CliRunner().invoke(application(), ["keys", "end", "by-command"]).exit_code == 0
    refused = CliRunner().invoke(application(), ["open311", "serve"])
    assert "RASD_OPEN311 is off" in str(refused.exception)


def test_an_address_and_a_key_that_ask_too_often_are_told_when_to_come_again(service: Service) -> None:
    rules = Rules(write=True, a_minute=2, proxies="127.0.0.1")
    with running(create_app(open_doors(("town",)), rules)) as base:
        strict = Service(base, service.store, service.key)
        told = [strict.ask("services.json", **{"X-Forwarded-For": "192.0.2.1"}) for _ in range(3)]
        assert [status for status, _ in told] == [200, 200, 429] and "Try again in" in told[2][1][0][
            "description"
        ]
        form = {"api_key": service.key, "service_code": "R04", "lat": "26.1", "long": "50.12"}
        posts = [
            strict.ask("requests.json", form, **{"X-Forwarded-For": f"192.0.2.{n}"})[0] for n in range(2, 5)
        ]
        assert posts == [201, 200, 429]
