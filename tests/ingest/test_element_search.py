"""What a person types: an element by its words, a place by its coordinates."""

from __future__ import annotations

import pytest

from data import reference
from data.elements import ElementRow
from ingest.element_search import ElementSearch
from ingest.typed_point import read_point

EAST = (47.0, 24.0, 51.0, 28.5)
ROWS = [
    ElementRow(k, r["code"], r["element_ar"], r["element_en"], r["group_ar"], r["group_en"])
    for k, r in enumerate(reference.read("elements.csv"), start=1)
]
CODES = {row.id: row.code for row in ROWS}
IDS = {code: id_ for id_, code in CODES.items()}
SEARCH = ElementSearch(ROWS, [(IDS[r["code"]], r["alias_ar"]) for r in reference.read("element_aliases.csv")])


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("حفر", "R04"),
        ("الحفر", "R04"),
        ("حُفَر الشوارع", "R04"),
        ("potholes", "R04"),
        ("pothols", "R04"),
        ("انارة", "L05"),
        ("إنارة", "L05"),
        ("graffiti", "B03"),
        ("مخلفات", "C05"),
        ("مخلفات البنا", "C05"),
        ("car", "R10"),
        ("سيارة", "R10"),
        ("رصيف", "R02"),
        ("زبالة", "P06"),
        ("l 05", "L05"),
        ("Abandoned vehicels", "R10"),
    ],
)
def test_an_element_is_found_by_its_words_in_both_languages_and_with_slips(typed: str, code: str) -> None:
    assert CODES[SEARCH.find(typed)[0]] == code


def test_every_element_is_found_first_by_its_own_names_and_nothing_by_noise() -> None:
    for row in ROWS:
        assert SEARCH.find(row.name_ar)[0] == row.id and SEARCH.find(row.name_en)[0] == row.id
    for noise in ("", "  ", "qqqq", "؟", "<>", "x" * 300):
        assert SEARCH.find(noise) == []


def test_a_group_finds_its_elements() -> None:
    found = {CODES[i] for i in SEARCH.find("المباني", most=43)}
    assert {row.code for row in ROWS if row.code[0] == "B"} <= found


@pytest.mark.parametrize(
    "typed",
    [
        "26.4207, 50.0888",
        "50.0888 26.4207",
        "٢٦٫٤٢٠٧، ٥٠٫٠٨٨٨",
        "26°25'14.5\"N 50°05'19.7\"E",
        "https://maps.google.com/?q=26.4207,50.0888",
        "POINT(50.0888 26.4207)",
        "26.4207N, 50.0888E",
    ],
)
def test_a_typed_place_is_read_however_it_is_written(typed: str) -> None:
    found = read_point(typed, EAST)
    assert found is not None and found == pytest.approx((50.0888, 26.4207), abs=2e-5)


def test_what_is_no_place_is_none_and_without_an_area_latitude_comes_first() -> None:
    for typed in ("", "here", "26.4", "0, 0", "126, 226"):
        assert read_point(typed, EAST) is None
    assert read_point("-33.5, -70.25", None) == (-70.25, -33.5)
