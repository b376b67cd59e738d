"""A saved plan comes out again on the same data, day plans included; and says when the data moved on."""

from __future__ import annotations

import dataclasses
from typing import Any

from data import campaigns, territories
from data.analyses.campaigns import propose
from data.analyses.replay import same_again
from data.analyses.rounds import with_rounds
from data.plan import CampaignTerms
from data.query import ReportQuery
from tests.data.campaign_town import build_town

TERMS = CampaignTerms(teams=2, days=1, hours=3, resolution=8)


def test_the_same_data_give_the_same_plan_and_other_data_say_so(module_store: Any) -> None:
    town = build_town(module_store.engine, busy=200)
    with module_store.engine.begin() as conn:
        plan = with_rounds(conn, propose(conn, ReportQuery(town.territory), TERMS))
        assert any(site.day for area in plan.areas for site in area.sites)
        saved = campaigns.save(conn, plan, "A")
        again = same_again(conn, saved)
        assert again.same and not again.moved and again.parts == ()
        # A plan that somebody altered by hand does not pass for the proposal.
        altered = dataclasses.replace(plan.areas[0], finds=plan.areas[0].finds + 1)
        other = campaigns.save(conn, dataclasses.replace(plan, areas=(altered, *plan.areas[1:])), "B")
        found = same_again(conn, other)
        assert not found.same and found.parts == ("areas[0].finds",)
        territories.bump_version(conn, town.territory, incidents_hold=True)
        moved = same_again(conn, saved)
        assert moved.moved and moved.same and moved.data_version == moved.saved_version + 1
