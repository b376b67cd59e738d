"""Pulling reports from an Open311 server: real recorded answers, crashes, hostile servers."""

from __future__ import annotations

import copy
import datetime as dt
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from geo.errors import InputError
from ingest import open311, open311_http
from ingest.open311 import PullResult
from ingest.open311_http import Fetcher, Manners, checked_address
from tests.conftest import Store
from tests.ingest.open311_city import City, Reply, serving

NOW = dt.datetime(2023, 12, 12, tzinfo=dt.UTC)


def fetcher(url: str, slept: list[float] | None = None) -> Fetcher:
    waits = slept if slept is not None else []
    return Fetcher(url, Manners(pause=0.0, timeout=5.0), sleep=waits.append, rng=random.Random(1))


def pulled(store: Store, city: City, territory: str, **options: Any) -> PullResult:
    slept = options.pop("slept", None)
    return open311.pull(
        store.engine,
        city.url,
        territory=territory,
        fetcher=fetcher(city.url, slept),
        **{"now": NOW, **options},
    )


@pytest.fixture(scope="module")
def cologne(shared_data: Path) -> list[dict[str, Any]]:
    rows = json.loads((shared_data / "open311/cologne/sags-uns-archiv_requests.json").read_text())
    return list({row["service_request_id"]: row for row in rows}.values())


@pytest.fixture(scope="module")
def chicago(shared_data: Path) -> list[dict[str, Any]]:
    return list(json.loads((shared_data / "open311/chicago/requests_extended.json").read_text()))


def states(store: Store, territory: str) -> dict[str, int]:
    with store.engine.connect() as conn:
        rows = conn.execute(
            text(
                """SELECT r.reference, r.status FROM report r JOIN territory t ON t.id = r.territory_id
                   WHERE t.code = :territory"""
            ),
            {"territory": territory},
        )
        return {row.reference: row.status for row in rows}


def test_a_server_is_read_once_and_then_only_what_changed(
    module_store: Store, cologne: list[dict[str, Any]]
) -> None:
    with serving(City(copy.deepcopy(cologne), cap=20)) as city:
        first = pulled(module_store, city, "koeln")
        assert (first.accepted, first.read, first.quarantined) == (49, 49, 0)
        assert city.agents == {open311_http.AGENT}
        again = pulled(module_store, city, "koeln")
        assert (again.accepted, again.updated) == (0, 0) and again.unchanged == again.read > 0
        # Of the old ones only the open are asked for, by number, and one of them has been closed.
        one = next(
            r for r in city.records if r["status"] == "open" and r["requested_datetime"] < "2023-12-08"
        )
        one.update(status="closed", updated_datetime="2023-12-11T20:00:00+01:00")
        assert states(module_store, "koeln")[one["service_request_id"]] == 1
        third = pulled(module_store, city, "koeln")
        assert third.updated == 1 and third.gone == 0
        assert states(module_store, "koeln")[one["service_request_id"]] == 7
        lists = [q["service_request_id"] for _, q in city.asked if "service_request_id" in q]
        assert any(one["service_request_id"] in each for each in lists)


def test_a_pull_that_breaks_off_goes_on_where_its_last_window_ended(
    module_store: Store, chicago: list[dict[str, Any]]
) -> None:
    seen = sorted(dt.datetime.fromisoformat(r["requested_datetime"]).astimezone(dt.UTC) for r in chicago)
    since, now = seen[0] - dt.timedelta(days=1), seen[-1] + dt.timedelta(days=1)
    broken: dict[str, Any] = {"at": 5}

    def breaks(city: City, path: str, query: dict[str, str]) -> Reply | None:
        return (403, {}, b"gone away") if len(city.asked) == broken["at"] else None

    with serving(City(chicago, hook=breaks)) as city:
        with pytest.raises(InputError, match="403 and says: gone away"):
            pulled(module_store, city, "chicago", since=since, now=now)
        kept = states(module_store, "chicago")
        asked = len(city.asked)
        result = pulled(module_store, city, "chicago", since=since, now=now)
        # What was asked for last was not kept, so it is asked for again, and nothing before it.
        assert city.asked[asked][1]["start_date"] == city.asked[asked - 1][1]["start_date"]
        assert len(states(module_store, "chicago")) == len({r["service_request_id"] for r in chicago})
        assert len(kept) + result.accepted == len(chicago)
        with module_store.engine.connect() as conn:
            state = conn.scalar(text("SELECT state FROM open311_pull WHERE url = :url"), {"url": city.url})
        assert state["through"] == now.isoformat() and state["asked_since"] == since.isoformat()


def test_xml_without_pages_and_without_lists_is_read_whole_too(
    module_store: Store, cologne: list[dict[str, Any]]
) -> None:
    with serving(City(cologne[:20], cap=10, pages=False, lists=False, formats=("xml",))) as city:
        assert pulled(module_store, city, "xml-city").accepted == 20
        later = pulled(module_store, city, "xml-city", now=NOW + dt.timedelta(days=9))
        assert later.refreshed and later.gone == 0
        assert any("one by one" in note for note in later.notes)


def test_a_busy_server_is_asked_again_after_as_long_as_it_says() -> None:
    def busy(city: City, path: str, query: dict[str, str]) -> Reply | None:
        told = {1: (503, {}, b""), 2: (429, {"Retry-After": "7"}, b"")}
        return told.get(len(city.asked))

    with serving(City([], hook=busy)) as city:
        slept: list[float] = []
        assert fetcher(city.url, slept).get("requests.json", {}).status == 200
        assert 0 <= slept[0] <= 1 and slept[1] == 7.0
        city.hook = lambda *_: (503, {"Retry-After": "86400"}, b"")
        with pytest.raises(InputError, match="left alone for 1440 minutes"):
            fetcher(city.url).get("requests.json", {})
        city.hook = lambda *_: (500, {}, b"")
        city.asked.clear()
        with pytest.raises(InputError, match="status 500, 6 times"):
            fetcher(city.url).get("requests.json", {})
        assert len(city.asked) == open311_http.TRIES


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
<service_requests><request><service_request_id>&b;</service_request_id></request></service_requests>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<service_requests><request><service_request_id>&f;</service_request_id></request></service_requests>"""


def _endless(city: City, path: str, query: dict[str, str]) -> Reply:
    page = int(query.get("page", "1"))
    rows = [
        {
            "service_request_id": f"{page}-{i}",
            "service_code": "1",
            "requested_datetime": "2023-12-01T00:00:00Z",
        }
        for i in range(100)
    ]
    return 200, {}, json.dumps(rows).encode()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda *_: (200, {}, BOMB), "entities of its own"),
        (lambda *_: (200, {}, OUTSIDE), "entities of its own"),
        (lambda *_: (200, {"Content-Length": str(1 << 40)}, b""), "more than 1 MiB at once"),
        (lambda *_: (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(9 << 20))), "more than 1 MiB"),
        (lambda *_: (302, {"Location": "http://192.0.2.1/v2/requests.json"}, b""), "another place"),
        (lambda *_: (302, {"Location": "file:///etc/passwd"}, b""), "another place"),
        (lambda c, p, q: (302, {"Location": p}, b""), "more than 4 times"),
        (_endless, "more than 3,000 requests"),
        (lambda *_: (200, {}, b"<html><body>Sign in</body></html>"), "its root is <html>"),
        (lambda *_: (200, {}, b"hello"), "neither JSON nor XML"),
        (lambda *_: (200, {}, b'[{"service_request_id": "1"'), "may be cut off"),
        (lambda *_: (200, {}, b'[{"code": 400, "description": "no \\u001b[31mway"}]'), "says: 400 no"),
        (lambda *_: (404, {}, b"<h1>Not\x1b here</h1>"), "says: Not here. Check the address"),
    ],
)
def test_a_hostile_or_broken_answer_is_refused_in_words_and_leaves_nothing(
    module_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    reply: Callable[..., Reply],
    words: str,
) -> None:
    monkeypatch.setattr(open311_http, "MAX_ANSWER", 1 << 20)
    monkeypatch.setattr("ingest.open311_server.MAX_RECORDS", 3000)
    with serving(City([], hook=reply)) as city, pytest.raises(InputError, match=words) as refused:
        pulled(module_store, city, "hostile")
    assert "\x1b" not in str(refused.value)
    assert not states(module_store, "hostile")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "no address of a server"),
        ("https://user:secret@city.example/v2", "user or password"),
        ("https://city.example/v2?jurisdiction_id=x", "without"),
        ("https://city.example:99999/v2", "no address"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        checked_address(url)
    assert "secret" not in str(refused.value)
    assert checked_address("HTTPS://City.Example:443/v2/requests.json") == "https://city.example/v2"


def test_one_server_is_pulled_by_one_at_a_time(module_store: Store) -> None:
    from data import pulls

    with serving(City([])) as city, pulls.alone(module_store.engine, city.url, None):
        with pytest.raises(InputError, match="being read already"):
            pulled(module_store, city, "twice")
        assert not city.asked
