"""Where does it keep coming back? What is said, drawn and listed, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from data.analyses.returning import Returning, ReturningSettings, returning
from data.incidents import refresh_incidents
from data.query import ReportQuery
from tests.data.incident_city import City
from views.method import Scene
from views.methods.returning import METHOD
from views.words import LANGUAGES, Words


@pytest.fixture(scope="module")
def answers(module_store: Any) -> Iterator[tuple[Returning, Returning]]:
    """A city where two things come back (one of them too soon), and one without any closing."""
    with module_store.engine.begin() as conn:
        city = City.made(conn)
        for day, closed in ((0, 4), (6, 10), (40, 44), (90, 93)):
            city.add(day, closed=closed)
        for day, closed in ((0, 4), (50, 60), (130, 135)):
            city.add(day, north=6000, closed=closed, element="L05")
        city.add(150, north=9000)
    refresh_incidents(module_store.engine, city.territory)
    with module_store.engine.connect() as conn:
        found = returning(conn, ReportQuery(city.territory), ReturningSettings(resolution=9))
        none = returning(
            conn, ReportQuery(city.territory, elements=("B01",)), ReturningSettings(resolution=9)
        )
        yield found, none


def a_scene(language: str, result: Returning) -> Scene:
    return Scene(Words(language), "small", 1, result.query, "ember", None, None, ())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_counts_places_and_closings(answers: tuple[Returning, Returning], language: str) -> None:
    found, none = answers
    words = Words(language)
    said = METHOD.answer(words, found)
    # Seven closings of which it is known, one of them followed by a return within days.
    assert words.plural("returning.spots", 2) in said and "7" in said and "14.3" in said
    assert METHOD.answer(words, none).startswith(words("returning.nowhere", times="§").partition("§")[0])


@pytest.mark.parametrize("language", LANGUAGES)
def test_cells_where_a_closing_did_not_hold_carry_a_mark(
    answers: tuple[Returning, Returning], language: str
) -> None:
    found, none = answers
    layer = METHOD.layer(a_scene(language, found), found)
    held = {found.cells[i]: layer.legend[layer.classes[i]] for i in range(len(found.cells))}
    soon, late = (held[cell] for cell in found.spots.cell)
    assert (soon.mark, late.mark) == ("cross", "") and soon.light
    assert sum(entry.count for entry in layer.legend) == len(found.cells)
    assert {entry.code for entry in METHOD.layer(a_scene(language, none), none).legend} == {"never", "some"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_lists_spots_with_columns_of_the_file(
    answers: tuple[Returning, Returning], language: str
) -> None:
    found, none = answers
    table = METHOD.table(Words(language), found)
    assert table is not None and table.order.tolist() == [0, 1]
    assert table.column("recurrences").values.tolist() == [3, 2]
    frame = METHOD.frame(found)
    assert {column.key for column in table.columns} <= set(frame.columns)
    empty = METHOD.table(Words(language), none)
    assert empty is not None and len(empty.order) == 0


def test_a_clicked_cell_says_what_comes_back_there(answers: tuple[Returning, Returning]) -> None:
    found, _ = answers
    words = Words("en")
    here = METHOD.finding(words, found, int(found.spots.cell[0]))
    assert here is not None and here.verdict == "1 chronic spot here"
    facts = dict(here.facts)
    assert facts["Incidents"] == "4" and facts["Suspicious closings"] == "1 of 4"
    assert facts["Comes back most"] == "Street excavations & potholes · 3 returns"
    quiet = found.cells[found.incidents == 0][0]
    nothing = METHOD.finding(words, found, int(quiet))
    assert nothing is not None and nothing.verdict == "Nothing came back"
    assert METHOD.finding(words, found, int(np.int64(0x8828308281FFFFF))) is None
