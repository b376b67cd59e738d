"""The questions of the Hotspots page: opened, bound to the address, compared, downloaded, waited for."""

from __future__ import annotations

import io
import threading
import time
import typing
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import openpyxl
import pytest
import shapely
from streamlit.testing.v1 import AppTest

from data.database import connection
from data.maps import cell_counts
from data.query import ReportQuery
from geo.errors import InputError
from geo.remarks import Remark
from tests.views.opened import address, at, forget, settle, shown
from tests.views.sample_city import City
from views import compare, jobs, methods, table
from views.method import Finding, History, Method
from views.results import Drawn, Shown
from views.words import LANGUAGES, Words

CODES = methods.available()


def open_page(**query: str) -> AppTest:
    return settle(at(**query))


def halt(page: AppTest) -> AppTest:
    """Cancel what the page computes; its settings are there all the same."""
    while cancel := [button for button in page.button if str(button.key).startswith("job_cancel")]:
        cancel[0].click().run()
    return page


@pytest.fixture(scope="module", autouse=True)
def fresh(city: City) -> None:
    forget()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_every_question_opens_and_says_something(code: str, language: str) -> None:
    page = open_page(lang=language, method=code)
    text = shown(page)
    assert page.pills(key="method").value == code
    assert Words(language)(f"method.{code}_about") in text
    assert "rd-answer" in text or "rd-cautions" in text
    assert "rd-empty" not in text


@pytest.mark.parametrize("code", CODES)
def test_the_settings_of_a_question_come_back_from_the_address(code: str) -> None:
    page = halt(at(lang="en", method=code))
    assert not page.exception
    widgets = [*page.selectbox, *page.number_input, *page.checkbox]
    single = {box.key for box in page.selectbox if len(box.options) == 1}
    own = [str(w.key) for w in widgets if str(w.key).startswith(f"{code}_") and w.key not in single]
    before = {key: page.session_state[key] for key in own}
    for box in page.selectbox:
        if box.key in own:
            box.select_index(((box.index or 0) + 1) % len(box.options))
    for number in page.number_input:
        if number.key in own:
            number.set_value(number.max if number.value == number.min else number.min)
    for tick in page.checkbox:
        if tick.key in own:
            tick.set_value(not tick.value)
    halt(page.run())
    assert not page.exception
    changed = {key: page.session_state[key] for key in own}
    assert all(changed[key] != before[key] for key in own), (before, changed)
    again = halt(at(**address(page)))
    assert not again.exception
    assert {key: again.session_state[key] for key in own} == changed
    assert address(again) == address(page)


@pytest.mark.parametrize("code", [c for c in CODES if methods.get(c).comparable])
@pytest.mark.parametrize("way", ["period", "kind"])
def test_two_periods_or_kinds_stand_side_by_side(code: str, way: str) -> None:
    text = shown(open_page(lang="en", method=code, compare=way))
    assert "95% interval" in text
    assert "The difference" in text


def test_a_kind_is_not_set_against_itself_with_an_interval() -> None:
    text = shown(open_page(lang="en", compare="kind", group="A", other="g:A"))
    assert "They share" in text
    assert "95% interval" not in text


def test_what_is_compared_stays_in_the_address() -> None:
    page = open_page(lang="en", compare="period", against="custom", cfrom="2025-02-01", cto="2025-03-01")
    assert "1 February 2025 – 1 March 2025" in shown(page)
    assert address(page)["compare"] == "period"
    assert address(page)["cfrom"] == "2025-02-01"
    page.segmented_control(key="compare").set_value("off").run()
    assert set(address(page)) == {"lang"}


def test_the_same_days_a_year_earlier_exist_on_a_leap_day_too() -> None:
    import datetime as dt

    assert compare.other_period("year", dt.date(2024, 2, 29), dt.date(2024, 3, 1)) == (
        dt.date(2023, 2, 28),
        dt.date(2023, 3, 1),
    )
    before = compare.other_period("before", dt.date(2025, 3, 1), dt.date(2025, 3, 31))
    assert before == (dt.date(2025, 1, 29), dt.date(2025, 2, 28))


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "nowhere"},
        {"method": "most", "size": "99"},
        {"compare": "period", "against": "custom", "cfrom": "2025-13-01", "cto": "x"},
        {"compare": "kind", "other": "g:none"},
        {"compare": "everything", "count": "sheep"},
        {"pick": "o1"},
        {"pick": "o99999999999999999"},
    ],
)
def test_a_question_typed_wrong_is_read_as_far_as_it_goes(wrong: dict[str, str]) -> None:
    assert "rd-kpi" in shown(open_page(**wrong))


def test_a_picked_hexagon_shows_the_reports_behind_it(city: City) -> None:
    with connection() as conn:
        level = cell_counts(conn, ReportQuery(city.territory), finest=7).levels[7]
    top = int(level.cells[level.counts.argmax()])
    page = open_page(lang="en", pick=f"{top:x}")
    text = shown(page)
    assert 'id="rd-cell"' in text
    first = text.split("<tbody>")[1].split("</tbody>")[0]
    assert first.count("<tr>") == 10
    next(b for b in page.button if b.label == "Older").click().run()
    second = shown(page).split("<tbody>")[1].split("</tbody>")[0]
    assert second.count("<tr>") == 10
    assert first != second


def test_incidents_are_found_when_they_are_asked_for() -> None:
    page = open_page(lang="en", count="incidents")
    assert address(page)["count"] == "incidents"
    settle(page.run())
    text = shown(page)
    assert "<span>Incidents</span>" in text


# ---- downloads ----

RISKY = ("=", "+", "-", "@", "\t", "\r")


def settings_of(method: Method[Any, Any]) -> Any:
    """The method's settings with their defaults."""
    return typing.get_type_hints(method.compute)["settings"]()


@dataclass(frozen=True)
class Hostile:
    remarks: tuple[Remark, ...] = ()


class HostileMethod(Method[int, Hostile]):
    code = "most"

    def frame(self, result: Hostile) -> gpd.GeoDataFrame:
        texts = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "plain"]
        return gpd.GeoDataFrame(
            {"cell": texts, "value": [-1.5, 2, 3, 4, 5]}, geometry=[shapely.Point(0, 0)] * 5, crs="EPSG:4326"
        )


def test_a_downloaded_table_holds_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "get", lambda code: HostileMethod())
    drawn = Drawn("most", 0, (Shown(None, Hostile()),))  # type: ignore[arg-type]
    lines = table.make(drawn, "csv").decode("utf-8-sig").splitlines()
    assert lines[1].startswith("'=1+1") or lines[1].startswith("\"'=1+1")
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["-1.5", "2.0", "3.0", "4.0", "5.0"]
    assert not any(line.lstrip('"').startswith(RISKY) for line in lines)
    sheet = openpyxl.load_workbook(io.BytesIO(table.make(drawn, "xlsx"))).active
    assert [row[0].data_type for row in sheet.iter_rows(min_row=2)] == ["s"] * 5
    assert not any(str(row[0].value).startswith(RISKY) for row in sheet.iter_rows(min_row=2))


@pytest.mark.parametrize("code", [c for c in CODES if not methods.get(c).slow])
def test_every_quick_table_can_be_downloaded_in_every_format(city: City, code: str) -> None:
    method = methods.get(code)
    settings = settings_of(method)
    with connection() as conn:
        result = method.compute(conn, ReportQuery(city.territory), settings, None)
    frame = method.frame(result)
    assert frame.crs.to_epsg() == 4326
    found = method.table(Words("en"), result)
    assert found is not None
    assert {column.key for column in found.columns} <= set(frame.columns)
    for form in table.FORMATS:
        assert len(table.make(Drawn(code, settings, (Shown(None, result),)), form))  # type: ignore[arg-type]


# ---- long computations on the page ----


@dataclass(frozen=True)
class Found:
    cells: np.ndarray
    remarks: tuple[Remark, ...] = ()


class Long(Method[int, Found]):
    """A question whose answer waits for a sign."""

    code = "flared"
    slow = True

    def __init__(self) -> None:
        self.go = threading.Event()
        self.wrong: Exception | None = None
        self.ended = 0

    def settings(self, scene: Any) -> int:
        return 0

    def compute(self, conn: Any, query: ReportQuery, settings: int, tick: Any) -> Found:
        try:
            while not self.go.wait(0.01):
                tick(0.25)
        finally:
            self.ended += 1
        if self.wrong:
            raise self.wrong
        return Found(np.zeros(0, dtype=np.int64))

    def answer(self, words: Words, result: Found) -> str:
        return "It is there."

    def layer(self, scene: Any, result: Found, other: Found | None = None) -> None:
        return None

    def finding(self, words: Words, result: Found, cell: int) -> Finding | None:
        return Finding("Well found.", (), History("week", (), ()))


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Long:
    method, real = Long(), methods.get
    monkeypatch.setattr(methods, "get", lambda code: method if code == "flared" else real(code))
    monkeypatch.setattr(methods, "available", lambda: ("most", "flared"))
    monkeypatch.setattr(jobs, "DESK", jobs.Desk())
    monkeypatch.setattr(jobs, "FIRST_LOOK", 0.05)
    return method


def press(page: AppTest, key: str) -> AppTest:
    return next(b for b in page.button if b.key == key).click().run()


def test_a_long_answer_shows_progress_and_then_itself(long: Long) -> None:
    page = at(lang="en", method="flared")
    assert "It is there." not in shown(page)
    progress = page.get("progress")[0].proto
    assert progress.value == 25
    assert "What flared up?" in progress.text
    long.go.set()
    assert "It is there." in shown(settle(page))
    # Another reader has it at once.
    assert "It is there." in shown(at(lang="en", method="flared"))
    assert long.ended == 1


def test_cancel_stops_it_and_it_can_be_started_again(long: Long) -> None:
    page = press(at(lang="en", method="flared"), "job_cancel_0")
    assert "stopped" in shown(page)
    ended(long, 1)
    long.go.set()
    assert "It is there." in shown(settle(press(page, "job_again_0")))


def test_another_question_leaves_the_long_one(long: Long) -> None:
    page = at(lang="en", method="flared")
    page.pills(key="method").set_value("most").run()
    ended(long, 1)
    assert "Half of the reports" in shown(page)


def test_another_filter_leaves_the_long_answer_of_the_old_one(long: Long) -> None:
    page = at(lang="en", method="flared")
    page.multiselect(key="group").set_value(["A"]).run()
    ended(long, 1)  # the old one; the new one is at work
    long.go.set()
    assert "It is there." in shown(settle(page))
    assert long.ended == 2


def test_a_question_that_cannot_be_answered_leaves_the_page_whole(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    long.wrong = InputError("There is nothing to look at here.")
    long.go.set()
    monkeypatch.setattr(Long, "slow", False)
    text = shown(at(lang="en", method="flared"))
    assert "There is nothing to look at here." in text
    assert "rd-shown" in text


def test_an_error_in_a_long_answer_is_a_sentence(long: Long) -> None:
    long.wrong = InputError("There is nothing to look at here.")
    long.go.set()
    text = shown(settle(at(lang="en", method="flared")))
    assert "There is nothing to look at here." in text
    assert "rd-kpi" in text


def ended(method: Long, times: int) -> None:
    """Wait until so many computations have ended."""
    for _ in range(1_000):
        if method.ended >= times:
            return
        time.sleep(0.01)
    raise AssertionError("the job was not stopped")
