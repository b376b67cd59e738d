"""The list of visits on the Campaigns page."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from data.plan import Name
from data.visits import VisitRecord
from views.studio.visits import latest
from views.words import Words


def test_a_visit_after_midnight_is_of_the_day_that_the_team_wrote() -> None:
    early = dt.datetime(2025, 7, 1, 22, 30, tzinfo=dt.UTC)  # half past one on the 2nd in Riyadh
    visit = VisitRecord(
        id=1, campaign_id=1, version=1, area=1, site=None, target=None, team="<b>N</b>", visited_at=early,
        found=True, element=None, element_name=Name(), treated=None, photo=None, note=None, report_id=None,
        lon=None, lat=None,
    )  # fmt: skip
    html = latest(Words("en"), (visit,), ZoneInfo("Asia/Riyadh"))
    assert "2025-07-02" in html and "2025-07-01" not in html
    assert "<b>N" not in html
