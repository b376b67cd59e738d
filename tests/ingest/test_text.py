"""Text: cleaning, digits and the folding that matches spellings."""

import csv
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.text import (
    PLACEHOLDERS,
    clean,
    clean_text,
    fold,
    fold_place,
    fold_place_series,
    fold_series,
    western_digits,
)

REFERENCE = Path(__file__).resolve().parents[2] / "data" / "reference"


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  a  b ", "a b"),
        ("\u200fحي\u00a0الشاطئ\u200e", "حي الشاطئ"),
        ("\u202b12\u202c", "12"),
        ("\u2067x\u2069\u061c", "x"),
        ("\ufeffid", "id"),
        ("zero\u200bwidth", "zerowidth"),
        ("two\r\n lines\t", "two lines"),
        ("a\x00b", "a b"),
        ("em\u2003space", "em space"),
        ("-5", "-5"),
        ("nano", "nano"),
        ("0", "0"),
        ("\u200f \u00a0", None),
        ("\u200e-\u200e", None),
        (None, None),
    ],
)
def test_cleaning_takes_away_what_nobody_sees(raw, cleaned):
    assert clean(pl.Series([raw], dtype=pl.String))[0] == cleaned


@pytest.mark.parametrize("form", [str, str.upper, str.title, lambda t: f" {t}\u200f"])
def test_a_placeholder_is_nothing_in_any_case(form):
    values = pl.Series([form(p) for p in sorted(PLACEHOLDERS)])
    assert clean(values).null_count() == len(PLACEHOLDERS)


def test_cleaning_leaves_the_series_of_the_caller_alone():
    values = pl.Series([" a", "b"])
    clean(values)
    western_digits(values)
    assert values.to_list() == [" a", "b"]


def test_other_types_are_written_as_text():
    assert clean(pl.Series([1, None])).to_list() == ["1", None]
    assert clean(pl.Series([], dtype=pl.String)).to_list() == []


def test_digits_become_western_and_nothing_else_changes():
    values = pl.Series(["١٬٢٣٤٫٥", "۰۹", "a٣b", "حي", None])
    assert western_digits(values).to_list() == ["1234.5", "09", "a3b", "حي", None]


@given(st.lists(st.text(max_size=20) | st.none(), max_size=20))
@settings(max_examples=150, deadline=None)
def test_cleaning_twice_changes_nothing_more(values):
    once = clean(pl.Series(values, dtype=pl.String))
    assert clean(once).to_list() == once.to_list()


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_cleaning_one_text_is_cleaning_a_column_of_one(text):
    assert clean(pl.Series([text]))[0] in (clean_text(text), None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("أحمد إبراهيم آل", "احمد ابراهيم ال"),
        ("مؤسسة", "موسسه"),
        ("شاطئ", "شاطي"),
        ("مستشفى", "مستشفي"),
        ("ٱلحي", "الحي"),
        ("مُحَافَظَة", "محافظه"),
        ("الدمـــام", "الدمام"),
        ("ﻻ", "لا"),
        ("کریم", "كريم"),
        ("حي ٤٢", "حي 42"),
        ("Café-Straße", "cafe strasse"),
        ("Ra's Tannūrah", "ras tannurah"),
        ("Al-Aḥsāʼ", "al ahsa"),
        ("ABC", "abc"),
        ("a_b—c…d", "a b c d"),
        ("، ؛ ؟", ""),
        ("１２", "12"),
    ],
)
def test_folding_makes_equal_spellings_equal(one, other):
    assert fold(one) == other == fold(other)


@given(st.text(max_size=30))
@settings(max_examples=400, deadline=None)
def test_folding_twice_changes_nothing_more(text):
    assert fold(fold(text)) == fold(text)
    assert fold_place(fold_place(text)) == fold_place(text)


@given(st.text(alphabet="ابتةهىيأإآؤئءـ َُِّ٠١٢۳ \u200f", max_size=30))
@settings(max_examples=200, deadline=None)
def test_folded_arabic_has_only_plain_letters_and_western_digits(text):
    assert set(fold(text)) <= set("ابتهيوء 0123")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("بلدية وسط الدمام", "وسط الدمام"),
        ("حي الشاطئ", "شاطي"),
        ("حى الشاطيء", "الشاطئ"),
        ("محافظة القطيف", "القطيف"),
        ("بلدية محافظة القطيف", "قطيف"),
        ("أمانة المنطقة الشرقية", "المنطقة الشرقية"),
        ("مركز عين دار", "عين دار"),
        ("حي الخضراء", "الخضرا"),
        ("Al-Shati District", "Shati"),
        ("Ash Shāṭiʾ", "Shati"),
        ("Municipality of Al Dammam", "dammam"),
        ("Dammam Governorate", "DAMMAM"),
    ],
)
def test_a_place_is_one_with_and_without_its_kind_and_article(one, other):
    assert fold_place(one) == fold_place(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("وسط الدمام", "غرب الدمام"),
        ("الصناعية الأولى", "الصناعية الثانية"),
        ("حي", "مركز"),
        ("العليا", "علي"),
    ],
)
def test_different_places_stay_different(one, other):
    assert fold_place(one) != fold_place(other)


@pytest.mark.parametrize("name", ["حي", "بلدية", "المدينة", "City", "Al", "ال", "الله"])
def test_a_name_never_folds_to_nothing(name):
    assert fold_place(name)


def test_the_municipalities_and_governorates_keep_a_key_each():
    for file, column, scope in (
        ("municipalities.csv", "municipality_ar", "amana_id"),
        ("governorates.csv", "name_ar", "region_en"),
    ):
        keys = defaultdict(set)
        with (REFERENCE / file).open(encoding="utf-8-sig", newline="") as handle:
            for row in csv.DictReader(handle):
                keys[row[scope], fold_place(row[column])].add(row[column])
        assert keys
        assert [names for names in keys.values() if len(names) > 1] == []


def test_series_fold_as_single_texts_do_and_null_stays_null():
    values = pl.Series(["حي الشاطئ", None, "ABC", "حي الشاطئ"])
    assert fold_series(values).to_list() == ["حي الشاطي", None, "abc", "حي الشاطي"]
    assert fold_place_series(values).to_list() == ["شاطي", None, "abc", "شاطي"]
    assert fold_series(pl.Series([None], dtype=pl.String)).to_list() == [None]
