"""What the page says of flare-ups: those that are significant, with their days and their doubts."""

from __future__ import annotations

import dataclasses
import datetime as dt

import h3
import numpy as np
import pytest

from data.analyses.flares import Flare, Flares, ScanSettings, made
from data.query import ReportQuery
from geo.cells import centres
from views.methods.flared import METHOD
from views.words import LANGUAGES, Words

FIRST = dt.date(2025, 4, 1)


def flare(number: int, p: float, lng: float, recurrence: float = 40.0) -> Flare:
    centre = h3.latlng_to_cell(26.4, lng, 9)
    disk = np.sort(np.array([h3.str_to_int(c) for c in h3.grid_disk(centre, 1)]))
    lon, lat = centres([h3.str_to_int(centre)])
    daily = np.ones(90, dtype=np.int64)
    daily[-5:] = [3, 4, 4, 5, 5]
    return Flare(
        number=number, cells=disk[:3], counts=np.array([10, 6, 5]), disk=disk, centre=h3.str_to_int(centre),
        lon=float(lon[0]), lat=float(lat[0]), rings=1, radius_m=520.0, first=FIRST + dt.timedelta(85),
        last=FIRST + dt.timedelta(89), observed=21, expected=5.25, llr=12.0, p=p, p_gumbel=p,
        recurrence_days=recurrence, significant=p <= 0.05, one_day=0.3, daily=daily,
        kind_ar="نظافة", kind_en="Cleanliness", kind_count=14,
    )  # fmt: skip


def answer(*flares: Flare) -> Flares:
    window = (FIRST, FIRST + dt.timedelta(89))
    return made(ReportQuery(1), ScanSettings(), 9, flares, window, 4321, 800, 5, [])


TWO = answer(flare(1, 0.001, 50.1, 1e9), flare(2, 0.03, 50.2), flare(3, 0.6, 50.3))


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_significant_flare_ups_are_drawn_listed_and_told(language: str) -> None:
    words = Words(language)
    assert [outline.number for outline in METHOD.outlines(words, TWO)] == [1, 2]
    table = METHOD.table(words, TWO)
    assert table is not None and table.numbers is not None
    assert table.numbers.tolist() == [1, 2] and table.column("reports").values.tolist() == [21, 21]
    assert METHOD.outlined(words, TWO, 3) is None and METHOD.outlined(words, TWO, 9) is None
    third = TWO.flares[2]
    found = METHOD.finding(words, TWO, int(third.cells[0]))
    assert found is not None and found.verdict == words("flared.outside")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_outline_tells_its_days_and_marks_them(language: str) -> None:
    words = Words(language)
    found = METHOD.outlined(words, TWO, 1)
    assert found is not None and found.history is not None and found.cells is not None
    assert (found.start, found.end) == (FIRST + dt.timedelta(85), FIRST + dt.timedelta(89))
    assert found.cells.tolist() == TWO.flares[0].cells.tolist()
    assert found.history.marks == ("",) * 85 + ("hot",) * 5
    assert found.history.starts[0] == FIRST and found.history.values[-1] == 5
    assert "21" in found.verdict and "5.25" in found.verdict
    assert dict(found.facts)[words("flared.rarity")] == words("flared.never")
    second = METHOD.outlined(words, TWO, 2)
    assert second is not None and "40" in dict(second.facts)[words("flared.rarity")]


def test_a_cell_tells_its_own_share_of_the_flare_up_and_another_size_nothing() -> None:
    words = Words("en")
    first = TWO.flares[0]
    found = METHOD.finding(words, TWO, int(first.cells[1]))
    assert (
        found is not None and found.verdict == "Part of flare-up 1: 6 of its 21 reports lie in this hexagon."
    )
    coarser = h3.str_to_int(h3.cell_to_parent(h3.int_to_str(int(first.cells[1])), 8))
    assert METHOD.finding(words, TWO, coarser) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_counts_places_or_says_that_there_is_none(language: str) -> None:
    words = Words(language)
    assert METHOD.answer(words, TWO).startswith(words.plural("flared.count", 2))
    assert words.plural("units.reports", 21) in METHOD.answer(words, TWO)
    none = answer(flare(1, 0.4, 50.1))
    assert words.plural("units.reports", 4321) in METHOD.answer(words, none)
    assert METHOD.table(words, none) is None and not METHOD.outlines(words, none)
    incidents = dataclasses.replace(TWO, query=ReportQuery(1, incidents=True))
    assert words.plural("units.incidents", 21) in METHOD.answer(words, incidents)
    empty = made(ReportQuery(1), ScanSettings(), 9, (), (None, None), 0, 0, 0, [])
    assert METHOD.answer(words, empty) == ""


def test_classes_of_the_map_follow_p_and_leave_out_what_chance_gives() -> None:
    class Reader:
        words, palette = Words("en"), "ember"

    layer = METHOD.layer(Reader(), TWO)  # type: ignore[arg-type]
    assert layer is not None and len(layer.cells) == 6
    assert [one.count for one in layer.legend] == [3, 0, 3]
    assert METHOD.layer(Reader(), answer(flare(1, 0.4, 50.1))) is None  # type: ignore[arg-type]
