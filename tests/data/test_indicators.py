"""Indicators: every number equal to walking through each history, and a past month that stays what it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import h3
import numpy as np
import pytest
from sqlalchemy import text

from data import exposures, lives, targets
from data.access import Place, acting
from data.actions import act
from data.analyses.indicators import (
    AGE_BANDS,
    WHOLE,
    Dimension,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    IndicatorSettings,
    indicators,
    month_query,
    remedy_curves,
    reports_behind,
)
from data.life import Action, Role
from geo.cells import areas_km2, centres
from geo.errors import InputError
from tests.data.lives_sample import City, Life, make_city, minute
from tests.data.people import add_party, everyone, sign_in, territory_code

I = Indicator  # noqa: E741
MONTH = dt.date(2025, 4, 1)
SETTINGS = IndicatorSettings(ground="area", bulk_reports=2, recurrence_days=60)
START, END = (
    minute(dt.datetime(2025, month, 1, tzinfo=dt.timezone(dt.timedelta(hours=3)))) for month in (4, 5)
)
DAY = 1440
_WALKED: dict[bool, dict[Indicator, tuple[set[int], set[int]]]] = {}


@pytest.fixture(scope="module")
def city(module_store: Any) -> City:
    with module_store.engine.begin() as conn:
        made = make_city(conn)
    lives.refresh(module_store.engine, made.sample.territory)
    return made


def keys(city: City) -> dict[Dimension, Callable[[Life], Any]]:
    """The row of a report in each dimension; "" for none at all."""
    entity = city.parties["power"]
    return {
        Dimension.MUNICIPALITY: lambda one: one.municipality,
        Dimension.ELEMENT: lambda one: one.element,
        Dimension.GROUP: lambda one: one.group,
        Dimension.CONTRACTOR: lambda one: one.contractor,
        Dimension.DEPARTMENT: lambda one: "" if one.agency == entity else one.agency,
        Dimension.ENTITY: lambda one: one.agency if one.agency == entity else "",
    }


def walked(city: City, entity: bool = False) -> dict[Indicator, tuple[set[int], set[int]]]:
    """Reports counted, and of which, for every indicator: one report and one event at a time."""
    if entity not in _WALKED:
        _WALKED[entity] = walk(city, entity)
    return _WALKED[entity]


def walk(city: City, entity: bool) -> dict[Indicator, tuple[set[int], set[int]]]:
    there = [one for one in city.lives if minute(one.opened) < END]
    state = {one.id: one.stood(END) for one in there}
    received = {one.id for one in there if minute(one.opened) >= START}
    units = {i for i in received if state[i][0] != "aside"}
    waits = ("open", "referred") if entity else ("open",)
    backlog = {one.id for one in there if state[one.id][0] in waits}
    late = {one.id for one in there if one.limit() is not None and one.limit() < END}  # type: ignore[operator]
    found: dict[Indicator, tuple[set[int], set[int]]] = {
        I.VPI: (units, set()), I.CONTRIBUTION: (units, units), I.RECEIVED: (received, set()),
        I.BACKLOG: (backlog, set()), I.OVERDUE: (backlog & late, set()),
    }  # fmt: skip
    due = {
        one.id: one.limit() for one in there
        if one.limit() is not None and START <= one.limit() < END  # type: ignore[operator]
        and state[one.id][0] != "aside" and (entity or state[one.id][0] != "referred")
    }  # fmt: skip
    in_time = {i for i, limit in due.items() if state[i][0] == "closed" and state[i][1] <= limit}  # type: ignore[operator]
    found[I.ON_TIME] = (in_time, set(due))
    watch = SETTINGS.reopen_days * DAY
    watched, back, closed, soon = set(), set(), set(), set()
    for one in there:
        for at, again in one.closings(START - watch, END - watch):
            watched.add(one.id)
            back |= {one.id} if again is not None and again - at <= watch else set()
        closed |= {one.id} if one.closings(START, END) else set()
        for at, again in one.closings(START - SETTINGS.soon_days * DAY, END):
            if again is not None and START <= again < END and again - at <= SETTINGS.soon_days * DAY:
                soon.add(one.id)
    found |= {I.REOPENED: (back, watched), I.CLOSED: (closed, set()), I.REOPENED_SOON: (soon, set())}
    checked, failed = set(), set()
    for one in there:
        for at, status, before in one.standing:
            if START <= at < END and before == 6 and status not in (6, 8, 9, 10):
                checked.add(one.id)
                failed |= set() if status == 7 else {one.id}
    found[I.QUALITY_FAILED] = (failed, checked)
    placed = {one.id: one for one in there if one.id in units and one.place and one.element}
    again = set()
    for one in placed.values():
        opened = minute(one.opened)
        for other in there:
            if (
                other.element == one.element
                and other.place == one.place
                and any(
                    minute(other.opened) <= at < opened for at, _ in other.closings(opened - 60 * DAY, opened)
                )
            ):
                again.add(one.id)
    found[I.RECURRENCE] = (again, set(placed))
    return found | doubtful(there, soon)


def doubtful(there: list[Life], soon: set[int]) -> dict[Indicator, tuple[set[int], set[int]]]:
    """The closings that deserve a look."""
    quick, idle, by_minute = set(), set(), {}
    for one in there:
        for at, _ in one.closings(START, END):
            if (at + 180) % DAY:  # three hours east of UTC: not told by its day only
                by_minute.setdefault(at, []).append(one.id)
                quick |= {one.id} if 0 <= at - minute(one.opened) <= 10 else set()
    for one in there:
        work, steps, kind = False, 0, "open"
        for at, status, before in one.standing:
            now = {7: "closed", 8: "aside", 9: "aside", 10: "referred"}.get(status, "open")
            if now == "closed" != kind and START <= at < END and steps and not work:
                idle |= set() if before in (10, 11) else {one.id}
            if now == "open" != kind:
                work = False
            work |= status in (5, 6)
            kind, steps = now, steps + 1
    bulk = {i for ids in by_minute.values() if len(ids) >= SETTINGS.bulk_reports for i in ids}
    # Long before the month some source told of work, so that its absence means something.
    return {
        I.CLOSED_AT_ONCE: (quick, set()), I.CLOSED_IN_BULK: (bulk, set()), I.CLOSED_UNTREATED: (idle, set()),
        I.SUSPICIOUS: (quick | bulk | idle | soon, set()),
    }  # fmt: skip


@pytest.mark.parametrize("by", [one for one in Dimension if one not in (Dimension.MONTH, Dimension.DISTRICT)])
def test_every_number_and_the_reports_behind_it_are_those_of_walking_through_the_histories(
    module_store: Any, city: City, by: Dimension
) -> None:
    known = walked(city, by is Dimension.ENTITY)
    row_of = {one.id: keys(city)[by](one) for one in city.lives}
    query = month_query(city.sample.territory, MONTH, by)
    with module_store.engine.connect() as conn:
        found = indicators(conn, query, SETTINGS)
        assert found.as_of == dt.datetime(2025, 4, 30, 21, tzinfo=dt.UTC) and found.freshness.packed
        for row in (*found.rows, found.whole):
            whole = row is found.whole
            for reading in row.readings:
                if reading.indicator not in known:
                    continue
                count, base = (
                    {i for i in ids if row_of[i] != "" and (whole or row_of[i] == row.key)}
                    for ids in known[reading.indicator]
                )
                if reading.indicator is I.CONTRIBUTION:
                    base = {i for i in known[I.CONTRIBUTION][1] if row_of[i] != ""}
                assert (reading.count, reading.base) == (len(count), len(base)), (row.key, reading)
                if by is Dimension.MUNICIPALITY:
                    args = (query, reading.indicator, WHOLE if whole else row.key)
                    behind = reports_behind(conn, *args, settings=SETTINGS)
                    assert sorted(behind.tolist()) == sorted(count)
                    behind = reports_behind(conn, *args, "base", settings=SETTINGS)
                    assert sorted(behind.tolist()) == sorted(base)
    assert found.whole.reading(I.RECEIVED).count > 20  # type: ignore[union-attr]
    for code, (count, base) in known.items():
        assert count or code in (I.CLOSED_AT_ONCE,), code
        assert len(base) != len(count) or not base or code is I.CONTRIBUTION


def test_times_to_remedy_are_the_product_limit_of_the_months_before(module_store: Any, city: City) -> None:
    rows: dict[Any, list[tuple[float, bool]]] = {}
    for one in city.lives:
        opened = minute(one.opened)
        kind, since = one.stood(END)
        if not END - SETTINGS.remedy_days * DAY <= opened < END or kind == "aside":
            continue
        days = ((END if kind == "open" else since) - opened) / DAY
        if days >= 0:
            rows.setdefault(one.municipality, []).append((days, kind == "closed"))
            rows.setdefault(WHOLE, []).append((days, kind == "closed"))

    def reached(times: list[tuple[float, bool]], share: float) -> float | None:
        left, at_risk = 1.0, len(times)
        for at in sorted({days for days, _ in times}):
            here = [ended for days, ended in times if days == at]
            left *= 1 - sum(here) / at_risk
            at_risk -= len(here)
            if any(here) and left <= 1 - share + 1e-9:
                return at
        return None

    query = month_query(city.sample.territory, MONTH, Dimension.MUNICIPALITY)
    with module_store.engine.connect() as conn:
        found = indicators(conn, query, SETTINGS)
        for row in (*found.rows, found.whole):
            times = rows.get(WHOLE if row is found.whole else row.key, [])
            for code, share in ((I.REMEDY_MEDIAN, 0.5), (I.REMEDY_P90, 0.9)):
                reading = row.reading(code)
                assert reading is not None
                assert (reading.base, reading.count) == (len(times), sum(done for _, done in times))
                assert reading.value == pytest.approx(reached(times, share))
                if reading.value is not None and reading.high is not None:
                    assert reading.low is None or reading.low <= reading.value <= reading.high
        curve, own = remedy_curves(conn, query, (WHOLE, found.rows[0].key), SETTINGS)
        assert curve.median == found.whole.reading(I.REMEDY_MEDIAN).value  # type: ignore[union-attr]
        assert (own.reports, curve.reports) == (len(rows[found.rows[0].key]), len(rows[WHOLE]))
        behind = reports_behind(conn, query, I.REMEDY_P90, WHOLE, "base", settings=SETTINGS)
        assert len(behind) == curve.reports


def test_ages_units_and_shares_add_up_and_the_backlog_has_its_bands(module_store: Any, city: City) -> None:
    query = month_query(city.sample.territory, MONTH, Dimension.MUNICIPALITY)
    open_ = [one for one in city.lives if minute(one.opened) < END and one.stood(END)[0] == "open"]
    ages = np.array([(END - minute(one.opened)) // DAY for one in open_])
    edges = [*AGE_BANDS, 10**9]
    with module_store.engine.connect() as conn:
        units = dict(
            conn.execute(text("SELECT code, max(vpi_units_per_report) FROM element GROUP BY 1")).all()
        )
        found = indicators(conn, query, SETTINGS)
        assert list(found.whole.ages) == np.histogram(ages, edges)[0].tolist()
        band = reports_behind(conn, query, I.BACKLOG, WHOLE, band=2, settings=SETTINGS)
        assert sorted(band) == sorted(o.id for o, age in zip(open_, ages, strict=True) if 31 <= age < 91)
    by_row: dict[Any, float] = {}
    for one in city.lives:
        if one.id in walked(city)[I.VPI][0]:
            by_row[one.municipality] = by_row.get(one.municipality, 0.0) + units.get(one.element, 1.0)
    assert found.ground == "area"
    for number, key in enumerate(city.sample.municipalities):
        reading = next(row for row in found.rows if row.key == key).reading(I.VPI)
        assert reading is not None and reading.amount == pytest.approx(by_row.get(key, 0))
        assert reading.value == pytest.approx(by_row.get(key, 0) / (10.0 * (number + 1)))
        assert reading.low <= reading.value <= reading.high  # type: ignore[operator]
    parts = [row.reading(I.CONTRIBUTION).value or 0 for row in found.rows]  # type: ignore[union-attr]
    assert sum(parts) == pytest.approx(1)


def test_months_are_rows_as_of_their_own_ends(module_store: Any, city: City) -> None:
    query = IndicatorQuery(city.sample.territory, Dimension.MONTH, dt.date(2025, 2, 1), dt.date(2025, 5, 31))
    with module_store.engine.connect() as conn:
        course = indicators(conn, query, SETTINGS)
        assert [row.key for row in course.rows] == ["2025-02", "2025-03", "2025-04", "2025-05"]
        single = indicators(conn, month_query(query.territory_id, MONTH, Dimension.GROUP), SETTINGS).whole
        april = course.rows[2]
        assert april.ages == single.ages
        for reading in april.readings:
            same = single.reading(reading.indicator)
            assert same is not None and (same.value, same.count, same.base, same.before) == (
                reading.value, reading.count, reading.base, reading.before,
            )  # fmt: skip
        behind = reports_behind(conn, query, I.CLOSED, "2025-04", settings=SETTINGS)
        assert set(behind.tolist()) == walked(city)[I.CLOSED][0]


def test_filters_narrow_to_the_reports_that_fit(module_store: Any, city: City) -> None:
    firm, place = city.parties["firm one"], city.sample.municipalities[0]
    group = next(one.group for one in city.lives if one.group)
    query = month_query(
        city.sample.territory, MONTH, Dimension.ELEMENT,
        contractors=(firm,), municipalities=(place,), groups=(group,),
    )  # fmt: skip
    fit = {
        one.id for one in city.lives
        if (one.contractor, one.municipality, one.group) == (firm, place, group)
    }  # fmt: skip
    known = walked(city)
    with module_store.engine.connect() as conn:
        whole = indicators(conn, query, SETTINGS).whole
        for code in (I.RECEIVED, I.CLOSED, I.BACKLOG, I.ON_TIME, I.RECURRENCE):
            reading = whole.reading(code)
            assert reading is not None and reading.count == len(known[code][0] & fit)
        for wrong in ({"start": MONTH, "end": dt.date(2025, 3, 1)}, {"known_at": dt.datetime(2025, 1, 1)}):
            with pytest.raises(InputError):
                IndicatorQuery(
                    **({"territory_id": 1, "by": Dimension.MONTH, "start": MONTH, "end": MONTH} | wrong)
                )
        with pytest.raises(InputError, match="no row"):
            reports_behind(conn, query, I.CLOSED, "Z99", settings=SETTINGS)
        with pytest.raises(InputError, match="begins on"):
            indicators(conn, month_query(query.territory_id, dt.date(2999, 1, 1), Dimension.GROUP))


def everything(result: IndicatorResult) -> tuple[Any, ...]:
    """An answer without how fresh it is."""
    return result.whole, result.rows, result.funnels, result.as_of


def test_people_of_a_part_get_the_numbers_of_that_part_and_everybody_else_the_packed_ones(
    module_store: Any, city: City
) -> None:
    with module_store.engine.begin() as conn:
        place = territory_code(conn, city.sample.territory)
        director = sign_in(conn, Role.DIRECTOR, Place(place), login="whole@test")
        local = sign_in(
            conn, Role.SUPERVISOR, Place(place, "municipality", "municipality 1"), login="part@test"
        )
        firm = sign_in(
            conn, Role.CONTRACTOR, Place(place), login="firm@test", party_id=city.parties["firm two"]
        )
    query = month_query(city.sample.territory, MONTH, Dimension.ELEMENT)
    with module_store.engine.connect() as conn:
        owner = indicators(conn, query, SETTINGS)
        part = indicators(
            conn,
            month_query(
                query.territory_id, MONTH, Dimension.ELEMENT, municipalities=(city.sample.municipalities[1],)
            ),
            SETTINGS,
        )
        own = indicators(
            conn, month_query(query.territory_id, MONTH, Dimension.ELEMENT, contractors=(city.parties["firm two"],)),
            SETTINGS,
        )  # fmt: skip
    with acting(director) as conn:
        seen = indicators(conn, query, SETTINGS)
        assert seen.freshness.packed and everything(seen) == everything(owner)
    for session, expected in ((local, part), (firm, own)):
        with acting(session) as conn:
            seen = indicators(conn, query, SETTINGS)
            assert not seen.freshness.packed
            for row in seen.rows:
                same = next(one for one in expected.rows if one.key == row.key)
                for code in (I.RECEIVED, I.CLOSED, I.ON_TIME, I.BACKLOG, I.REMEDY_MEDIAN, I.QUALITY_FAILED):
                    mine, theirs = row.reading(code), same.reading(code)
                    assert mine is not None and theirs is not None
                    assert (mine.count, mine.base, mine.value) == (theirs.count, theirs.base, theirs.value)
            ids = reports_behind(conn, query, I.RECEIVED, WHOLE, settings=SETTINGS)
            assert len(ids) == expected.whole.reading(I.RECEIVED).count  # type: ignore[union-attr]


def test_targets_hold_for_their_row_or_for_all_from_their_day_on(module_store: Any, city: City) -> None:
    territory, area = city.sample.territory, city.sample.municipalities[0]
    with module_store.engine.begin() as conn:
        targets.put(conn, territory, "on_time", 0.8, valid_from=dt.date(2025, 1, 1))
        own = targets.put(conn, territory, "on_time", 0.0, area_id=area, valid_from=dt.date(2025, 2, 1))
        targets.put(conn, territory, "on_time", 0.9, valid_from=dt.date(2025, 6, 1))
        targets.put(conn, territory, "backlog", 5, valid_from=dt.date(2025, 1, 1))
        found = indicators(conn, month_query(territory, MONTH, Dimension.MUNICIPALITY), SETTINGS)
        first = next(row for row in found.rows if row.key == area)
        other = next(row for row in found.rows if row.key == city.sample.municipalities[1])
        assert (first.reading(I.ON_TIME).target, first.reading(I.ON_TIME).met) == (0.0, True)  # type: ignore[union-attr]
        assert (other.reading(I.ON_TIME).target, found.whole.reading(I.ON_TIME).target) == (0.8, 0.8)  # type: ignore[union-attr]
        # A number of reports is the whole territory's, not each part's.
        assert other.reading(I.BACKLOG).target is None and found.whole.reading(I.BACKLOG).met is False  # type: ignore[union-attr]
        targets.end(conn, territory, own, dt.date(2025, 3, 1))
        found = indicators(conn, month_query(territory, MONTH, Dimension.MUNICIPALITY), SETTINGS)
        assert next(row for row in found.rows if row.key == area).reading(I.ON_TIME).target == 0.8  # type: ignore[union-attr]
        with pytest.raises(InputError, match="one area, one group"):
            targets.put(conn, territory, "vpi", 1, area_id=area, group_code="B", valid_from=MONTH)
        with pytest.raises(InputError, match="no target"):
            targets.end(conn, territory, 9999, MONTH)


def test_a_past_month_stays_what_it_was_whatever_comes_later(module_store: Any, city: City) -> None:
    engine, territory = module_store.engine, city.sample.territory
    query = month_query(territory, MONTH, Dimension.DEPARTMENT)
    by_element = month_query(territory, MONTH, Dimension.ELEMENT)
    with engine.connect() as conn:
        before = [everything(indicators(conn, one, SETTINGS)) for one in (query, by_element)]
        known: dt.datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        conn.rollback()
    with engine.begin() as conn:
        people = everyone(conn, territory, city.parties["firm one"])
        other = add_party(conn, territory, "lamps", "department")
        element = int(conn.execute(text("SELECT max(id) FROM element")).scalar_one())
    open_ = [
        one for one in city.lives
        if minute(one.opened) < END and one.events and one.events[-1][1] in (1, 2, 14)
        and one.standing[-1][1] == one.events[-1][1]
    ]  # fmt: skip
    assert len(open_) > 3
    for one in open_:
        with acting(people[Role.SUPERVISOR]) as conn:
            seq = act(conn, one.id, Action.CLASSIFY, len(one.events), {"element_id": element})
            due = "2026-11-01T00:00:00+03:00"
            seq = act(conn, one.id, Action.ASSIGN, seq, {"agency_id": other, "due_at": due})
            act(conn, one.id, Action.REJECT, seq, {"reason": "no"})
    with engine.connect() as conn:
        fresh = lives.freshness(conn, territory)
        assert fresh is not None and fresh.later_events == 3 * len(open_) and fresh.stale
        assert [everything(indicators(conn, one, SETTINGS)) for one in (query, by_element)] == before
    lives.refresh_if_stale(engine, territory)  # too soon after the last reading
    with engine.begin() as conn:
        assert lives.freshness(conn, territory).stale  # type: ignore[union-attr]
        # A later load: reports of later days, and one of the month that nobody knew of then.
        for number, opened in enumerate(("2025-06-20", "2025-04-11")):
            conn.execute(
                text(
                    """INSERT INTO report (territory_id, source_id, reference, opened_at, status, channel,
                         precision, content, batch_id, line)
                       SELECT territory_id, source_id, 'later' || :n, :opened, 1, 1, 0, 0, batch_id, 90000 + :n
                       FROM report WHERE id = :id"""
                ),
                {"n": number, "opened": opened, "id": city.lives[0].id},
            )
        conn.execute(text("UPDATE territory SET data_version = data_version + 1"))
    fresh = lives.refresh_if_stale(engine, territory)
    assert not fresh.stale
    with engine.connect() as conn:
        again = [
            indicators(conn, month_query(territory, MONTH, one.by, known_at=known), SETTINGS)
            for one in (query, by_element)
        ]
        assert [everything(one) for one in again] == before
        now = indicators(conn, query, SETTINGS)
        # What is learned late of the month itself counts from then on; what was done since does not.
        assert now.whole.reading(I.RECEIVED).count == before[0][0].reading(I.RECEIVED).count + 1  # type: ignore[union-attr]
        assert now.whole.reading(I.BACKLOG).count == before[0][0].reading(I.BACKLOG).count + 1  # type: ignore[union-attr]
        assert now.whole.reading(I.ON_TIME) == before[0][0].reading(I.ON_TIME)


def test_vpi_and_coverage_reckon_with_the_cells_where_people_live(module_store: Any, city: City) -> None:
    engine, territory = module_store.engine, city.sample.territory
    with engine.begin() as conn:
        cells = conn.execute(
            text("SELECT DISTINCT cell FROM report WHERE territory_id = :t AND cell IS NOT NULL"),
            {"t": territory},
        ).scalars()
        nine = sorted({h3.str_to_int(h3.cell_to_parent(h3.int_to_str(cell), 9)) for cell in cells})
        spare = [h3.str_to_int(one) for one in h3.grid_disk(h3.latlng_to_cell(26.6, 49.6, 9), 2)]
        served = np.array(sorted({*nine, *spare}), dtype=np.int64)
        exposures.replace_set(
            conn, territory, "population", label="p", resolution=9, cells=served,
            values=np.ones(len(served)), simulated=True, file_name="f", file_digest="d",
        )  # fmt: skip
    # The study area is a square from 49 to 50 degrees east; beyond it nothing is ground.
    served = served[centres(served)[0] <= 50]

    def nine_of(one: Life) -> int:
        return h3.str_to_int(h3.cell_to_parent(str(one.place), 9))

    here = [
        one
        for one in city.lives
        if one.place and START <= minute(one.opened) < END and nine_of(one) in set(served.tolist())
    ]
    with engine.connect() as conn:
        found = indicators(conn, month_query(territory, MONTH, Dimension.MONTH))
        coverage, vpi = found.whole.reading(I.COVERAGE), found.whole.reading(I.VPI)
        assert coverage is not None and vpi is not None and found.ground == "served"
        assert found.ground_km2 == pytest.approx(areas_km2(served).sum()) and vpi.over == coverage.over
        assert coverage.count == len(here) > 5
        seen = np.array(sorted({nine_of(one) for one in here}), dtype=np.int64)
        assert coverage.amount == pytest.approx(areas_km2(seen).sum())
        behind = reports_behind(conn, found.query, I.COVERAGE, WHOLE)
        firm = sign_in(
            conn,
            Role.CONTRACTOR,
            Place(territory_code(conn, territory)),
            login="seen@test",
            party_id=city.parties["firm one"],
        )
        conn.commit()
        assert sorted(behind.tolist()) == sorted(one.id for one in here)
    with acting(firm) as conn:
        own = indicators(conn, month_query(territory, MONTH, Dimension.MUNICIPALITY)).whole.reading(
            I.COVERAGE
        )
        assert own is not None and 0 < own.count < coverage.count
