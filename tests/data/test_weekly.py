"""The weekly pack over a store: what it counts, that it comes out the same later, and who keeps it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from data import campaigns, packs
from data.access import acting
from data.actions import act
from data.analyses import weekly
from data.analyses.weekly import PackTerms, end_of, latest_week, week, weekly_pack
from data.analyses.weekly_parts import pairs
from data.incidents import refresh_incidents
from data.life import Action, Role
from data.pack import WeeklyPack, differences, from_json
from data.query import AsOf, territory_facts
from data.visit_form import NewVisit, record_visit
from data.vocabulary import Status
from geo.errors import InputError
from ingest.pipeline import ingest_reports
from tests.data.weekly_town import LAST, TITLE, WeeklyTown, build_weekly_town
from tests.ingest.bad_inputs import CLOSED, COMPANIONS, GOOD, OPENED, X, Y, sheet


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[WeeklyTown]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weekly, "SETTLE_S", 0.05)  # nobody else writes here
        yield build_weekly_town(module_store)


@pytest.fixture(scope="module")
def pack(town: WeeklyTown) -> WeeklyPack:
    with town.store.engine.connect() as conn:
        return weekly_pack(conn, town.terms)


def test_its_counts_are_those_of_a_plain_reckoning(town: WeeklyTown, pack: WeeklyPack) -> None:
    with town.store.engine.connect() as conn:
        frame = pd.read_sql(
            text(
                """SELECT r.id, r.reference, r.opened_at, r.closed_at, r.due_at, a.name_en AS place, e.code
                   FROM report r JOIN area a ON a.id = r.municipality_id JOIN element e ON e.id = r.element_id
                   WHERE r.territory_id = :t"""
            ),
            conn,
            params={"t": town.town.territory},
        )
    end, begin = (
        pd.Timestamp(end_of(LAST, "Asia/Riyadh")),
        pd.Timestamp(end_of(town.terms.first, "Asia/Riyadh")),
    )
    begin -= pd.Timedelta(days=1)
    there = frame[frame["opened_at"] <= end]
    came = there[there["opened_at"] > begin]
    still = there[~(there["closed_at"] <= end)]
    late = still[still["due_at"] < end]
    assert pack.total.value("received") == len(came) > 5
    assert pack.total.value("closed") == frame["closed_at"].between(begin, end, inclusive="right").sum()
    assert pack.total.value("backlog") == pack.overdue.open == sum(pack.ages) == len(still)
    assert pack.overdue.reports == pack.total.value("overdue") == len(late) > 10
    by_place = {line.name.en: line.value("received") for line in pack.municipalities}
    assert by_place == came.groupby("place").size().to_dict()
    received = {line.key: line.value("received") for line in pack.elements if line.value("received")}
    assert received == came.groupby("code").size().to_dict()
    assert {one.name.en: one.reports for one in pack.overdue.places} == late.groupby("place").size().to_dict()
    oldest = late.sort_values(["due_at", "id"]).head(12)
    assert [one.id for one in pack.overdue.oldest] == oldest["id"].tolist()
    assert pack.overdue.oldest[0].days == (end - oldest["due_at"].iloc[0]).days
    assert {one.status for one in pack.overdue.oldest} == {int(Status.IN_PROGRESS)}
    assert pack.newest == came["opened_at"].max().tz_convert("Asia/Riyadh").date()


def test_it_tells_of_chronic_places_hot_spots_and_the_campaign(town: WeeklyTown, pack: WeeklyPack) -> None:
    assert {"R06"} <= {one.element for one in pack.chronic} and pack.chronic[0].returns >= 2
    assert pack.hot.spots and pack.hot.places[0].name.en == "East"
    assert (pack.hot.since, pack.hot.until) == (LAST - dt.timedelta(days=83), LAST)
    assert sum(one.cells for one in pack.hot.places) == sum(len(spots.cells) for spots in pack.hot.spots)
    assert pack.emerging.until <= LAST
    (campaign,) = pack.campaigns
    assert (campaign.id, campaign.title, campaign.status) == (town.campaign, TITLE, "done")
    assert (campaign.visits, campaign.new_visits, campaign.found) == (2, 0, 1)
    assert campaign.change is not None and len(campaign.course) >= 6
    assert all(step.end <= LAST for step in campaign.course)
    assert [outline.name.en for outline in pack.outlines] == ["East", "West"]
    assert len(pack.outlines[0].rings[0]) == 5


def test_made_again_it_is_the_same_whatever_was_done_filed_or_loaded_since(
    town: WeeklyTown, pack: WeeklyPack, tmp_path: Path
) -> None:
    territory = town.town.territory
    with town.store.engine.begin() as conn:
        kept = packs.keep(conn, pack)
        assert packs.keep(conn, pack) == kept
    late = [one.id for one in pack.overdue.oldest]
    with acting(town.people[Role.SUPERVISOR]) as conn:
        other = conn.scalar(text("SELECT id FROM element WHERE code = 'B01'"))
        act(
            conn,
            late[0],
            Action.DISPATCH,
            1,
            {"contractor_id": town.contractor, "due_at": "2030-01-01T00:00:00Z"},
        )
        for report in town.town.known["D"]:
            act(conn, report, Action.REOPEN, 1, {"reason": "still there"})
            act(conn, report, Action.CLASSIFY, 2, {"element_id": other})
    with town.store.engine.begin() as conn:
        # Told later: another closing within the period, another visit, another plan.
        conn.execute(
            text(
                """INSERT INTO report_event (report_id, seq, status, batch_id, at)
                   SELECT id, 2, 7, batch_id, opened_at + interval '1 day' FROM report WHERE id = :id"""
            ),
            {"id": late[1]},
        )
        at = dt.datetime(2025, 7, 9, 9, tzinfo=dt.UTC)
        record_visit(conn, territory, NewVisit(at, True, town.campaign, area=1, lon=50.03, lat=26.42))
        saved = campaigns.get(conn, town.campaign)
        own = dataclasses.replace(saved.plan, terms=dataclasses.replace(saved.plan.terms, days=7))
        running = campaigns.save(conn, own, "Another one")
        for status in ("approved", "running"):
            campaigns.change_status(conn, running.id, status)
    place = {X: "50.03", Y: "26.42", CLOSED: "", "البلدية": "", "حالة البلاغ": "جديد"}
    rows = [row | place | {OPENED: f"{13 + i}/10/2025"} for i, row in enumerate(COMPANIONS)]
    path = tmp_path / "late.csv"
    path.write_text(sheet(*rows, GOOD | place | {OPENED: "08/10/2025"}), encoding="utf-8")
    assert ingest_reports(town.store.engine, path, territory="town").accepted == 6
    refresh_incidents(town.store.engine, territory)
    with town.store.engine.connect() as conn:
        again = weekly_pack(conn, dataclasses.replace(town.terms, known_at=pack.known_at))
        assert differences(pack, again) == ()
        assert again.digest() == pack.digest() == kept.digest
        now = weekly_pack(conn, town.terms)
        # What is known today tells another story of the same week.
        assert {"known_at", "municipalities", "overdue", "campaigns"} <= set(differences(pack, now))
        assert now.total.value("received") == pack.total.value("received") + 1
        assert packs.first_kept(conn, territory, town.terms.first, LAST) == kept
        assert packs.get(conn, kept.id) == from_json(pack.to_json())
        assert packs.get(conn, kept.id).digest() == pack.digest()


def test_who_sees_the_whole_gets_the_same_pack_and_only_some_may_keep_it(
    town: WeeklyTown, pack: WeeklyPack
) -> None:
    terms = dataclasses.replace(town.terms, known_at=pack.known_at)
    with acting(town.people[Role.ANALYST]) as conn:
        assert differences(pack, weekly_pack(conn, terms)) == ()
        assert packs.keep(conn, pack).digest == pack.digest()
    with acting(town.people[Role.VIEWER]) as conn:
        assert packs.listed(conn, town.town.territory)
        with pytest.raises(ProgrammingError, match="permission denied"):
            packs.keep(conn, pack)
        conn.get_transaction().rollback()  # type: ignore[union-attr]
    with acting(town.west_only) as conn:
        # Who sees a part would make a pack of a part: it cannot be kept as the territory's.
        part = weekly_pack(conn, terms)
        assert 0 < part.total.value("received") < pack.total.value("received")
        assert packs.listed(conn, town.town.territory) == ()
        with pytest.raises(ProgrammingError, match="row-level security"):
            packs.keep(conn, part)
        conn.get_transaction().rollback()  # type: ignore[union-attr]


def test_before_and_after_are_pictures_of_reports_that_passed_quality(town: WeeklyTown) -> None:
    report, people = town.town.known["C"][0], town.people

    def photo(role: Role, digest: str) -> None:
        with acting(people[role]) as conn:
            conn.execute(
                text(
                    """INSERT INTO photo (digest, report_id, mime, width, height, bytes, principal_id)
                       VALUES (:digest, :report, 'image/jpeg', 4, 3, 100, rasd_principal_id())"""
                ),
                {"digest": digest, "report": report},
            )

    with acting(people[Role.SUPERVISOR]) as conn:
        act(conn, report, Action.DISPATCH, 1, {"contractor_id": town.contractor})
    before, after = "ab" * 32, "cd" * 32
    with acting(people[Role.SUPERVISOR]) as conn:
        seq = 2
    photo(Role.CONTRACTOR, after)
    with acting(people[Role.CONTRACTOR]) as conn:
        seq = act(conn, report, Action.TREAT, seq, {"quantity": 1, "photos": [after]})
    with acting(people[Role.INSPECTOR]) as conn:
        seq = act(conn, report, Action.SUBMIT, seq)
    with acting(people[Role.QUALITY]) as conn:
        seq = act(conn, report, Action.PASS, seq)
    now = dt.datetime.now(dt.UTC)
    as_of, days = (
        AsOf(now + dt.timedelta(days=1)),
        (now.date() - dt.timedelta(days=1), now.date() + dt.timedelta(days=1)),
    )
    with town.store.engine.connect() as conn:
        facts = territory_facts(conn, town.town.territory)
        assert pairs(conn, facts, *days, as_of, {}) == ()  # nobody took a picture of before
    photo(Role.INSPECTOR, before)
    with acting(people[Role.INSPECTOR]) as conn:
        seq = act(conn, report, Action.REOPEN, seq, {"reason": "again"})
        seq = act(conn, report, Action.INSPECT, seq, {"severity": 3, "photos": [before]})
    with acting(people[Role.SUPERVISOR]) as conn:
        seq = act(conn, report, Action.DISPATCH, seq, {"contractor_id": town.contractor})
    with acting(people[Role.CONTRACTOR]) as conn:
        seq = act(conn, report, Action.TREAT, seq, {"quantity": 1, "photos": [after]})
    with acting(people[Role.INSPECTOR]) as conn:
        seq = act(conn, report, Action.SUBMIT, seq)
    with acting(people[Role.QUALITY]) as conn:
        act(conn, report, Action.PASS, seq)
    with town.store.engine.connect() as conn:
        (found,) = pairs(conn, facts, *days, as_of, {})
        assert (found.report_id, found.before, found.after) == (report, before, after)
        assert pairs(conn, facts, *days, AsOf(now - dt.timedelta(days=1)), {}) == ()


def test_weeks_and_documents_that_are_none_are_refused(town: WeeklyTown, pack: WeeklyPack) -> None:
    assert week("2026-W40") == (dt.date(2026, 9, 28), dt.date(2026, 10, 4))
    assert latest_week(dt.date(2026, 10, 31)) == (dt.date(2026, 10, 25), dt.date(2026, 10, 31))
    assert latest_week(dt.date(2026, 10, 30)) == (dt.date(2026, 10, 18), dt.date(2026, 10, 24))
    for wrong in ("2026-40", "2026-W60", "W", "2026-W4x"):
        with pytest.raises(InputError, match="no week"):
            week(wrong)
    with pytest.raises(InputError, match="1 to 366 days"):
        PackTerms(1, LAST, LAST - dt.timedelta(days=1))
    with pytest.raises(InputError, match="time zone"):
        PackTerms(1, LAST, LAST, known_at=dt.datetime(2026, 1, 1))
    tomorrow = dt.date.today() + dt.timedelta(days=1)
    with town.store.engine.connect() as conn, pytest.raises(InputError, match="was not over"):
        weekly_pack(conn, PackTerms(town.town.territory, tomorrow, tomorrow))
    with pytest.raises(InputError, match="no weekly pack"):
        from_json('{"territory": "x"}')
    with pytest.raises(InputError, match="Update Rasd"):
        from_json(dataclasses.replace(pack, format=99).to_json())
