"""The town of the campaign tests with histories, people and a campaign that is over, to make packs of."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from data import campaigns
from data.access import Place, Session
from data.analyses.weekly import PackTerms
from data.life import Role
from data.visit_form import NewVisit, record_visit
from geo.cells import cells_of, to_text
from tests.data.campaign_town import SOUTH, SPOT, WEST, Town, build_town
from tests.data.people import add_party, everyone, sign_in
from tests.data.plan_sample import small_plan

LAST = dt.date(2025, 10, 11)  # a Saturday; the newest report is of the 27th
TITLE = "جولة <b>الشتاء</b>"


@dataclass(frozen=True)
class WeeklyTown:
    """The town, who is signed in, and the pack that is asked for."""

    store: Any
    town: Town
    people: dict[Role, Session]
    west_only: Session
    contractor: int
    department: int
    campaign: int

    @property
    def terms(self) -> PackTerms:
        return PackTerms(self.town.territory, LAST - dt.timedelta(days=6), LAST)


def build_weekly_town(store: Any) -> WeeklyTown:
    town = build_town(store.engine, busy=500)
    with store.engine.begin() as conn:
        # Files that do not say that they are simulated may come in.
        conn.execute(text("UPDATE territory SET simulated = false"))
        _histories(conn, town.territory)
        contractor = add_party(conn, town.territory, "firm", "contractor")
        department = add_party(conn, town.territory, "roads", "department")
        people = everyone(conn, town.territory, contractor)
        west_only = sign_in(conn, Role.DIRECTOR, Place("town", "municipality", "West"), login="west@test")
        campaign = _campaign(conn, town.territory)
    return WeeklyTown(store, town, people, west_only, contractor, department, campaign)


def _histories(conn: Connection, territory: int) -> None:
    """One event a report, as a file tells it: closed, or in the works since its opening."""
    conn.execute(
        text(
            """INSERT INTO report_event (report_id, seq, status, batch_id, at)
               SELECT id, 1, status, batch_id, coalesce(closed_at, opened_at) FROM report
               WHERE territory_id = :territory"""
        ),
        {"territory": territory},
    )
    conn.execute(
        text("UPDATE report SET status_at = coalesce(closed_at, opened_at) WHERE territory_id = :territory"),
        {"territory": territory},
    )


def _campaign(conn: Connection, territory: int) -> int:
    """A campaign of July that is over, with two visits and a find."""
    places = [SPOT["A"], SPOT["D"], (WEST + 0.085, SOUTH + 0.03)]
    cells = sorted({int(cells_of([x], [y], 8)[0]) for x, y in places})
    plan = small_plan("town")
    area = dataclasses.replace(plan.areas[0], cells=tuple(to_text(cells)), sites=plan.areas[0].sites[:1])
    terms = dataclasses.replace(plan.terms, start=dt.date(2025, 7, 6), days=5)
    plan = dataclasses.replace(plan, areas=(area,), terms=terms, resolution=8, query={"groups": []})
    saved = campaigns.save(conn, plan, TITLE)
    for status in ("approved", "running", "done"):
        campaigns.change_status(conn, saved.id, status)
    for turn, (lon, lat) in enumerate(places[:2]):
        at = dt.datetime(2025, 7, 7 + turn, 9, tzinfo=dt.UTC)
        record_visit(conn, territory, NewVisit(at, turn == 0, saved.id, area=1, lon=lon, lat=lat))
    return saved.id
