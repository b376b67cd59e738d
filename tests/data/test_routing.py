"""Parties, routing rules, queue, misrouting, hand-over packages and figures of owners."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pytest
from sqlalchemy import Connection, text

from data import areas, handover, parties, routing
from data.access import Place, acting
from data.analyses.entities import load_works, owners
from data.analyses.misrouting import misrouted, misrouting
from data.analyses.unrouted import change, queue, queued
from data.life import Role
from data.query import ReportQuery
from data.routing import RuleDraft
from geo.errors import Conflict, InputError, Refused
from geo.proportions import wilson
from tests.data.people import sign_in, territory_code
from tests.data.reports_sample import FINAL_CODES, Sample, make_sample

EVER = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def sample(module_store: Any) -> Sample:
    with module_store.engine.begin() as conn:
        made = make_sample(conn, rows=600)
        routing.load_defaults(conn, made.territory, since=EVER)
        # The sample's areas all lie on one square; their sizes differ.
        ids = [parties.find(conn, made.territory, code).id for code in ("municipality", "water", "roads")]
        met = parties.Wordings(conn, made.territory)
        strange = met.ids(met.numbers(pl.Series(["مكتب غريب"]), "agency"), "agency")[0]
        rng = np.random.default_rng(3)
        owner = rng.choice([0, *ids, strange], 600, p=[0.1, 0.3, 0.3, 0.2, 0.1]).astype(int)
        conn.execute(
            text("UPDATE report SET agency_id = NULLIF(:owner, 0) WHERE id = :id"),
            [{"owner": int(o), "id": int(i)} for o, i in zip(owner, made.frame["id"], strict=True)],
        )
        made.frame["owner"] = owner
    return made


@pytest.fixture
def conn(module_store: Any, sample: Sample) -> Iterator[Connection]:
    """A transaction that is undone."""
    with module_store.engine.connect() as found:
        yield found
        found.rollback()


def element_id(conn: Connection, code: str) -> int:
    return int(conn.scalar(text("SELECT max(id) FROM element WHERE code = :code"), {"code": code}) or 0)


# -- parties --------------------------------------------------------------------------


def test_wordings_that_fold_alike_are_one_party_in_either_column(conn: Connection, sample: Sample) -> None:
    words = parties.Wordings(conn, sample.territory)
    said = pl.Series(
        ["شركة  الإنارة", "شركه الانارة", None, "بلدية الخبر", "x" * 300, "—", "شركة المياه الوطنية"]
    )
    ids = words.ids(words.numbers(said, "agency"), "agency").to_list()
    assert ids[0] == ids[1] and ids[0] is not None
    assert [ids[2], ids[4], ids[5]] == [None, None, None]
    assert ids[6] == parties.find(conn, sample.territory, "water").id
    known = {p.id: p for p in parties.listed(conn, sample.territory)}
    assert (known[ids[0]].kind, known[ids[3]].kind) == ("unsorted", "municipality")
    also = words.ids(
        words.numbers(pl.Series(["شركة الإنارة", "مقاول"]), "contractor"), "contractor"
    ).to_list()
    assert also[0] == ids[0]
    assert next(p for p in parties.listed(conn, sample.territory) if p.id == also[1]).kind == "contractor"


def test_a_wording_that_is_sorted_brings_its_reports_along(conn: Connection, sample: Sample) -> None:
    water = parties.find(conn, sample.territory, "water")
    strange = int((sample.frame["owner"] == sample.frame["owner"].max()).sum())
    before = conn.scalar(text("SELECT count(*) FROM report WHERE agency_id = :id"), {"id": water.id})
    parties.save(
        conn, sample.territory, "water", "entity", water.name_ar, water.name_en, wordings=["مكتب غريب"]
    )
    after = conn.scalar(text("SELECT count(*) FROM report WHERE agency_id = :id"), {"id": water.id})
    assert after == before + strange
    with pytest.raises(InputError, match="is roads"):
        parties.save(conn, sample.territory, "other", "entity", "أخرى", "Other", wordings=["roads"])
    with pytest.raises(InputError, match=r"small letters.*none of.*empty"):
        parties.save(conn, sample.territory, "Bad Code", "king", "", "x")
    assert routing.load_defaults(conn, sample.territory) == 0


def test_an_older_store_is_adopted_once(conn: Connection, sample: Sample) -> None:
    conn.execute(text("UPDATE report SET agency_id = NULL"))
    assert parties.adopt(conn) == sample.frame["agency"].notna().sum()
    found = conn.execute(
        text("SELECT DISTINCT r.agency, p.name_ar FROM report r JOIN party p ON p.id = r.agency_id")
    ).all()
    assert sorted(map(tuple, found)) == [("+1234", "+1234"), ("@home", "@home")]
    assert parties.adopt(conn) == 0


# -- which rule decides ---------------------------------------------------------------


def random_rules(conn: Connection, sample: Sample, rng: np.random.Generator, number: int) -> pd.DataFrame:
    """Rules of every kind, some of the past, with what a plain reading needs of them."""
    codes = sample.frame["element"].dropna().unique()
    land = [*sample.municipalities, *sample.districts, sample.region]
    size = dict(conn.execute(text("SELECT id, area_km2 FROM area")).tuples().all())
    rows = []
    for _ in range(number):
        kind = rng.integers(0, 3)
        code = str(rng.choice(codes))
        area = int(rng.choice(land)) if rng.random() < 0.6 else None
        begins = dt.datetime(2025, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=int(rng.integers(0, 150)))
        draft = RuleDraft(
            str(rng.choice(["water", "roads", "municipality"])),
            code if kind == 0 else None,
            code[0] if kind == 1 else None,
            area,
            priority=int(rng.choice([0, 0, 0, 5])),
            due_hours=24.0,
            valid_from=begins,
        )
        rule = routing.add(conn, sample.territory, draft)
        ends = begins + dt.timedelta(days=int(rng.integers(5, 90))) if rng.random() < 0.4 else None
        conn.execute(
            text("UPDATE routing_rule SET valid_to = :ends WHERE id = :id"), {"ends": ends, "id": rule}
        )
        rows.append(
            (rule, draft, size.get(area, np.inf), begins, ends or pd.Timestamp.max.tz_localize("UTC"))
        )
    return pd.DataFrame(rows, columns=["id", "draft", "size", "begins", "ends"])


def plain_pick(rules: pd.DataFrame, row: Any, at: dt.datetime) -> tuple[int, str] | None:
    """The rule that decides, read off the words of docs/routing.md."""
    here = {row.municipality_id, row.district_id, row.region_id}
    fits = []
    for rule in rules.itertuples():
        d = rule.draft
        if not rule.begins <= at < rule.ends or (d.area_id is not None and d.area_id not in here):
            continue
        if (d.element and d.element != row.element) or (d.group and d.group != row.group):
            continue
        rank = (-d.priority, not d.element, not d.group, rule.size, -rule.begins.timestamp(), -rule.id)
        fits.append((rank, rule.id, d.party))
    return min(fits)[1:] if fits else None


def test_one_report_and_all_of_them_get_the_rule_that_the_words_name(
    conn: Connection, sample: Sample
) -> None:
    conn.execute(text("DELETE FROM routing_rule"))
    rules = random_rules(conn, sample, np.random.default_rng(11), 40)
    frame = sample.frame
    placed = frame["municipality_id"].notna() | frame["district_id"].notna() | frame["region_id"].notna()
    picks = [
        plain_pick(rules, row, row.opened_at) if inside else None
        for row, inside in zip(frame.itertuples(), placed, strict=True)
    ]
    for at in range(60):
        row = frame.iloc[at]
        here = [
            int(row[f"{level}_id"])
            for level in ("municipality", "district", "region")
            if pd.notna(row[f"{level}_id"])
        ]
        code = None if pd.isna(row["element_id"]) else int(row["element_id"])
        found = routing.route(conn, sample.territory, code, areas=here, at=row["opened_at"])
        assert (found.rule_id if found else None) == (picks[at][0] if picks[at] else None)
        if found:
            assert found.due_at == row["opened_at"] + dt.timedelta(hours=24)
    found = misrouting(conn, ReportQuery(sample.territory, default_points=True))
    ids = {code: parties.find(conn, sample.territory, code).id for code in ("municipality", "water", "roads")}
    strange = frame["owner"].max()
    ruled = pd.Series([ids[p[1]] if p else 0 for p in picks])
    sorted_ = (frame["owner"] > 0) & (frame["owner"] != strange)
    compared = sorted_ & (ruled > 0)
    # The municipality and its departments agree; only the water company is another's door.
    apart = (frame["owner"] == ids["water"]) != (ruled == ids["water"])
    assert found.total.compared == compared.sum() and found.total.misrouted == (compared & apart).sum()
    assert found.unruled == (sorted_ & (ruled == 0)).sum()
    assert (found.ownerless, found.unsorted) == (
        (frame["owner"] == 0).sum(),
        (frame["owner"] == strange).sum(),
    )
    assert sum(line.share.misrouted for line in found.lines) == found.total.misrouted
    assert sum(line.share.compared for line in found.by_element) == found.total.compared
    assert sum(pair.reports for pair in found.pairs) == found.total.misrouted
    low, high = wilson(found.total.misrouted, found.total.compared)
    assert (found.total.low, found.total.high) == (low, high)
    wanted = frame[compared & apart].sort_values(["opened_at", "id"], ascending=False)["id"].tolist()
    behind, more = misrouted(conn, ReportQuery(sample.territory, default_points=True), lines=200)
    assert [row.id for row in behind] == wanted[:200] and more is (len(wanted) > 200)
    pair = found.pairs[0]
    some, _ = misrouted(
        conn, ReportQuery(sample.territory, default_points=True), recorded=pair.recorded.id,
        ruled=pair.ruled.id, lines=200,
    )  # fmt: skip
    assert len(some) == min(pair.reports, 200)


def test_a_rule_that_came_later_says_nothing_about_an_earlier_report(
    conn: Connection, sample: Sample
) -> None:
    conn.execute(text("DELETE FROM routing_rule"))
    routing.add(conn, sample.territory, RuleDraft("water"))
    found = misrouting(conn, ReportQuery(sample.territory))
    assert (found.total.compared, found.total.share, found.total.high) == (0, 0, 1)
    assert found.unruled > 0


# -- changing rules -------------------------------------------------------------------


def test_rules_are_ended_and_never_lost(conn: Connection, sample: Sample) -> None:
    before = len(routing.listed(conn, sample.territory))
    new = routing.add(conn, sample.territory, RuleDraft("water", "R07", due_hours=48, note="agreed"))
    code = element_id(conn, "R07")
    route = routing.route(conn, sample.territory, code, areas=[sample.region])
    assert route is not None and route.rule_id == new
    newer = routing.add(conn, sample.territory, RuleDraft("roads", "R07"), replaces=new)
    assert len(routing.listed(conn, sample.territory)) == before + 1
    past = {rule.id: rule for rule in routing.listed(conn, sample.territory, ended=True)}
    assert past[new].state == "ended" and past[new].note == "agreed" and past[newer].state == "valid"
    with pytest.raises(Conflict, match="ended already"):
        routing.end(conn, sample.territory, new)
    with pytest.raises(InputError, match="has passed"):
        routing.end(conn, sample.territory, newer, at=EVER)
    with pytest.raises(InputError, match="no rule 0"):
        routing.end(conn, sample.territory, 0)
    assert routing.load_defaults(conn, sample.territory) == 0


def test_everything_that_is_wrong_with_a_rule_is_said_at_once(conn: Connection, sample: Sample) -> None:
    bad = RuleDraft("nobody", "R99", "R", -4, 5000, -1, note="x" * 600, valid_from=dt.datetime(2025, 1, 1))
    with pytest.raises(InputError) as told:
        routing.add(conn, sample.territory, bad)
    for part in (
        "'nobody'",
        "not both",
        "'R99'",
        "area -4",
        "priority",
        "limit",
        "600|500 letters",
        "time zone",
    ):
        assert any(piece in str(told.value) for piece in part.split("|")), part


def test_a_report_outside_all_areas_has_no_route(conn: Connection, sample: Sample) -> None:
    code = element_id(conn, "R04")
    assert routing.route(conn, sample.territory, code, 49.5, 26.5) is not None
    assert routing.route(conn, sample.territory, code, 10.0, 10.0) is None
    assert routing.route(conn, sample.other, code, 10.0, 10.0) is None  # no rules there at all
    with pytest.raises(InputError, match="by its point or by its areas"):
        routing.route(conn, sample.territory, code)


def test_new_boundaries_take_the_rules_of_their_names_along(conn: Connection, sample: Sample) -> None:
    old, new = sample.municipalities[:2]
    rule = routing.add(conn, sample.territory, RuleDraft("water", area_id=old))
    assert routing.follow_areas(conn, sample.territory, {old: new}) == 1
    found = next(r for r in routing.listed(conn, sample.territory) if r.id == rule)
    assert found.area_id == new
    assert {a.id for a in areas.current_names(conn, sample.territory)} >= {old, new}


def test_only_those_who_answer_for_the_whole_territory_change_rules(
    module_store: Any, sample: Sample
) -> None:
    with module_store.engine.begin() as conn:
        code = territory_code(conn, sample.territory)
        whole = sign_in(conn, Role.SUPERVISOR, Place(code), login="whole@test")
        part = sign_in(
            conn, Role.SUPERVISOR, Place(code, "municipality", "municipality 0"), login="part@test"
        )
        analyst = sign_in(conn, Role.ANALYST, Place(code))
    with acting(whole) as conn:
        rule = routing.add(conn, sample.territory, RuleDraft("water", "R09"))
        said = conn.scalar(text("SELECT principal_id FROM routing_rule WHERE id = :id"), {"id": rule})
        assert said == whole.principal.id
    for session in (part, analyst):
        with acting(session) as conn:
            assert any(r.id == rule for r in routing.listed(conn, sample.territory))
            with pytest.raises(Refused):
                routing.add(conn, sample.territory, RuleDraft("water", "R09"))
    with acting(analyst) as conn:
        with pytest.raises(Refused):
            routing.end(conn, sample.territory, rule)
        # Everything else may be asked by who reads.
        query = ReportQuery(sample.territory)
        assert misrouting(conn, query).total.compared and owners(conn, query).owners
        assert handover.package(conn, sample.territory, "water").frame.height
        assert queue(conn, sample.territory)
    with acting(whole) as conn:
        routing.end(conn, sample.territory, rule)
    with module_store.engine.begin() as conn:
        trail = conn.execute(text("SELECT login, action FROM audit WHERE object LIKE 'routing_rule%'")).all()
        assert {(row.login, row.action) for row in trail} >= {
            ("whole@test", "insert"),
            ("whole@test", "update"),
        }


# -- the queue, and what a change would do --------------------------------------------


def test_the_queue_holds_every_open_report_without_a_rule(conn: Connection, sample: Sample) -> None:
    frame = sample.frame[~sample.frame["status"].isin(FINAL_CODES)]
    outside = frame["municipality_id"].isna() & frame["district_id"].isna() & frame["region_id"].isna()
    found = queue(conn, sample.territory)
    assert {kind.reason for kind in found} == {"outside"}
    assert sum(kind.reports for kind in found) == outside.sum() > 0
    conn.execute(text("DELETE FROM routing_rule WHERE element_id IS NULL"))
    kinds = {}
    for kind in queue(conn, sample.territory):
        kinds[kind.reason] = kinds.get(kind.reason, 0) + kind.reports
    unknown = ~outside & frame["element"].isna()
    assert kinds == {"outside": outside.sum(), "no_element": unknown.sum()}
    rows, more = queued(conn, sample.territory, reason="outside", lines=200)
    assert [row.id for row in rows] == frame[outside].sort_values(["opened_at", "id"])["id"].tolist()[:200]
    assert more is bool(outside.sum() > 200)
    with pytest.raises(InputError, match="no reason"):
        queued(conn, sample.territory, reason="weather")


def test_a_change_is_told_before_it_is_made_and_comes_out_so(conn: Connection, sample: Sample) -> None:
    frame = sample.frame[~sample.frame["status"].isin(FINAL_CODES)]
    code = frame["element"].dropna().value_counts().index[0]
    inside = frame["municipality_id"].notna() | frame["district_id"].notna() | frame["region_id"].notna()
    draft = RuleDraft("water", code)
    told = change(conn, sample.territory, draft=draft)
    assert told.open == len(frame)
    assert told.moved == told.decided == ((frame["element"] == code) & inside).sum()
    assert sum(move.reports for move in told.moves) == told.moved and told.moves[0].after == "water"
    rule = routing.add(conn, sample.territory, draft)
    assert change(conn, sample.territory, draft=draft).moved == 0
    assert change(conn, sample.territory, ending=rule).moved == told.moved
    with pytest.raises(InputError, match="Nothing would change"):
        change(conn, sample.territory)


# -- hand-over and figures of owners --------------------------------------------------


def test_a_package_holds_what_waits_for_the_entity_and_nothing_else(conn: Connection, sample: Sample) -> None:
    frame, water = sample.frame, parties.find(conn, sample.territory, "water")
    first = int(frame.loc[(frame["owner"] == water.id) & ~frame["status"].isin(FINAL_CODES), "id"].iloc[0])
    conn.execute(
        text("UPDATE report SET reference = '=HYPERLINK(2)', unit = '@x', reporter = 7 WHERE id = :id"),
        {"id": first},
    )
    found = handover.package(conn, sample.territory, "water")
    waits = frame[(frame["owner"] == water.id) & ~frame["status"].isin(FINAL_CODES)]
    assert found.frame.height == len(waits) and list(found.frame.columns) == list(handover.COLUMNS)
    whole = json.loads(found.geojson())
    assert len(whole["features"]) == len(waits) and whole["simulated"] is True
    assert {"reference", "note", "due_at"} <= set(whole["features"][0]["properties"])
    assert not {"reporter", "agency", "notes"} & set(whole["features"][0]["properties"])
    sheet = openpyxl.load_workbook(io.BytesIO(found.xlsx())).active
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    assert any(cell.value == "'=HYPERLINK(2)" for cell in cells)
    # A report that nobody owns goes to whom the rules name.
    routing.add(conn, sample.territory, RuleDraft("water", priority=9))
    again = handover.package(conn, sample.territory, "water").frame
    free = frame[(frame["owner"] == 0) & ~frame["status"].isin(FINAL_CODES)]
    inside = free["municipality_id"].notna() | free["district_id"].notna() | free["region_id"].notna()
    assert (again["owner"] == "rule").sum() == inside.sum() > 0
    with pytest.raises(InputError, match="no party 'nobody'"):
        handover.package(conn, sample.territory, "nobody")


def test_figures_of_an_owner_equal_a_plain_reading(conn: Connection, sample: Sample) -> None:
    frame, water = sample.frame, parties.find(conn, sample.territory, "water")
    mine = frame[(frame["owner"] == water.id) & ~frame["status"].isin([8, 9])]
    assert (
        load_works(conn, sample.territory, b"party,month,km\nwater,2025-03,12.5\nwater,2025-05-01,7.5\n") == 2
    )
    query = ReportQuery(sample.territory, default_points=True)
    one = owners(conn, query).owners[0]
    handled = mine["status"] == 7
    assert (one.party.code, one.received, one.handled) == ("water", len(mine), handled.sum())
    assert one.open == (~handled).sum()
    months = pd.Series([day.replace(day=1) for day in mine["local_day"]])
    told = months.isin([dt.date(2025, 3, 1), dt.date(2025, 5, 1)]).sum()
    assert one.km == 20 and one.per_km == pytest.approx(told / 20)
    # The median against one that walks through the days by hand.
    until = owners(conn, query, kinds=("entity",)).until
    ends = mine["closed_at"].where(handled, until)
    days = (ends - mine["opened_at"]).dt.total_seconds() / 86400
    use = days.notna() & (days >= 0)
    left, median = 1.0, None
    for day in sorted(days[use & handled].unique()):
        left *= 1 - (use & handled & (days == day)).sum() / (use & (days >= day)).sum()
        if left <= 0.5:
            median = day
            break
    assert one.median_days == (None if median is None else pytest.approx(median))
    with pytest.raises(InputError, match="line 2: there is no party 'x' here; line 2: the month"):
        load_works(conn, sample.territory, b"party,month,km\nx,March,12\n")
