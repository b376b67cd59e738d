"""Terms of a campaign in the address: what is written is read back, what is typed is survived."""

from __future__ import annotations

import datetime as dt

import h3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from data.plan import AxisTerms, Base, CampaignTerms
from data.query import ReportQuery
from views.studio import codes, inputs, setting

CENTRE = h3.latlng_to_cell(26.4, 50.1, 8)


@given(some.sets(some.integers(0, 90), max_size=20), some.booleans())
@settings(max_examples=25, deadline=None)
def test_a_set_of_cells_survives_the_address(picked: set[int], coarse: bool) -> None:
    disk = h3.grid_disk(CENTRE, 5)
    cells = {disk[k] for k in picked} | ({h3.cell_to_parent(CENTRE, 6)} if coarse else set())
    packed = codes.pack_cells(cells)
    assert codes.unpack_cells(packed) == tuple(sorted(cells))
    assert packed.replace("-", "").replace("_", "").isalnum() or not cells
    assert len(packed) <= 3 * len(cells) + 24


@given(some.text(max_size=30))
@settings(max_examples=40, deadline=None)
def test_whatever_is_typed_into_the_address_means_terms_or_nothing(text: str) -> None:
    keys = ("days", "hours", "start", "out", "pin", "bases", "each", "least", "sevs", "size", "wend", "km2")
    for kind in codes.KINDS:
        codes.read(kind, dict.fromkeys(keys, text))
    codes.unpack_cells(text)
    codes.read_scenario(1, text)
    codes.read_scenario(1, f"kind:inspection~{text}")


TERMS = [
    CampaignTerms(),
    CampaignTerms(
        start=dt.date(2026, 12, 1),
        days=10,
        teams=4,
        hours=7.5,
        minutes_site=9,
        minutes_km=3.5,
        areas=9,
        most_km2=12.5,
        weights=(("overdue", 2.0), ("new", 0.0)),
        severity=(("R04", 3.0), ("B01", 0.5)),
        each_municipality=(3, 5),
        least_share=((3, 0.25),),
        keep_out=(CENTRE,),
        include=tuple(sorted(h3.grid_ring(CENTRE, 2)[:2])),
        pinned=(tuple(sorted(h3.grid_disk(CENTRE, 1))),),
        since_visit=30,
        one_municipality=False,
        resolution=8,
        bases=(Base("قاعدة_1 ~ a,b:c", 50.1, 26.4),),
        weekend=(5, 6),
    ),
    CampaignTerms(kind="community", days=1, teams=3, volunteers=40, hours=3, minutes_site=20, minutes_km=12),
    AxisTerms(),
    AxisTerms(
        budget=5e6,
        costs=(("surface", 2.5e6),),
        length_m=500,
        snap_m=20,
        least_share=((2, 0.1),),
        pinned=("a-1",),
        dropped=("b-2",),
        classes=("primary",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("terms", TERMS, ids=range(len(TERMS)))
def test_a_scenario_is_read_back_with_equal_filters_and_terms(terms: CampaignTerms | AxisTerms) -> None:
    query = ReportQuery(
        1, start=dt.date(2026, 1, 1), groups=("R",), municipalities=(3, 5), statuses=(1,), default_points=True
    )
    text = codes.scenario(query, terms)
    assert codes.read_scenario(1, text) == (query, terms)


def test_usual_terms_leave_nothing_in_the_address() -> None:
    assert codes.write(CampaignTerms()) == {}
    assert codes.write(AxisTerms()) == {}


def test_the_number_of_areas_follows_teams_and_weeks_unless_it_is_given() -> None:
    read = codes.read("inspection", {"teams": "4", "days": "8"})
    assert isinstance(read, CampaignTerms)
    assert (read.areas, read.number_of_areas) == (None, 8)
    given = codes.read("inspection", {"teams": "4", "areas": "3"})
    assert isinstance(given, CampaignTerms)
    assert given.number_of_areas == 3


def test_a_name_in_a_widgets_label_is_no_markdown() -> None:
    assert inputs.plain("![x](https://e.example/) البلدية 1") == (
        r"\!\[x\]\(https\:\/\/e\.example\/\) البلدية 1"
    )


@pytest.mark.parametrize(
    ("last", "today", "day"),
    [
        (dt.date(2026, 10, 31), dt.date(2026, 11, 26), dt.date(2026, 11, 29)),  # Thursday: the Sunday after
        (dt.date(2021, 5, 3), dt.date(2026, 11, 26), dt.date(2021, 5, 4)),  # old data is planned from its end
        (None, dt.date(2026, 11, 23), dt.date(2026, 11, 24)),
    ],
)
def test_the_suggested_first_day_is_the_next_day_of_work(last, today: dt.date, day: dt.date) -> None:
    assert setting.first_day(last, today) == day
