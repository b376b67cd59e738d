"""Elements from words: what is found, how, and what is left for a person."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.vocabulary import Classified
from geo.errors import InputError
from ingest.classify import ElementClassifier, ElementEntry

REFERENCE = Path(__file__).resolve().parents[2] / "data" / "reference"


def rows(name):
    with (REFERENCE / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


ELEMENTS = [
    ElementEntry(i, r["code"], r["element_ar"], r["element_en"], r["group_ar"], r["group_en"])
    for i, r in enumerate(rows("elements.csv"), start=1)
]
ID = {entry.code: entry.id for entry in ELEMENTS}
CODE = {entry.id: entry.code for entry in ELEMENTS}
ALIASES = [(ID[r["code"]], r["alias_ar"]) for r in rows("element_aliases.csv")]


@pytest.fixture(scope="module")
def own():
    return ElementClassifier(ELEMENTS, ALIASES)


def found(classifier, text):
    match = classifier.classify_unique([text])[0]
    return CODE.get(match.element_id), match.method


def test_every_name_of_the_taxonomy_is_found_exactly_in_both_languages(own):
    for entry in ELEMENTS:
        for name in (entry.name_ar, entry.name_en, f"  {entry.name_ar}\u200f "):
            assert found(own, name) == (entry.code, Classified.EXACT)


def test_every_alias_is_found_as_alias(own):
    for element_id, alias in ALIASES:
        assert found(own, alias) == (CODE[element_id], Classified.ALIAS)


@pytest.mark.parametrize(
    ("text", "code", "method"),
    [
        ("حفر شوارع", "R04", Classified.FOLDED),
        ("الارصفه المتهالكه", "R02", Classified.FOLDED),
        ("اعمدة الانارة", "L05", Classified.FOLDED),
        ("مُخَلَّفات البناء", "C05", Classified.FOLDED),
        ("STREET VENDORS", "P05", Classified.FOLDED),
        ("street-vendors", "P05", Classified.FOLDED),
        ("أعمدة الاتصال", "L07", Classified.FUZZY),
        ("حفر الشوارغ", "R04", Classified.FUZZY),
        ("تسوير الأراضي البيضا", "P02", Classified.FUZZY),
        ("المظلات و الخيام", "B11", Classified.FOLDED),
        ("Abandonned vehicles", "R10", Classified.FUZZY),
        ("R04", "R04", Classified.EXACT),
        ("r04", "R04", Classified.EXACT),
        ("R-04", "R04", Classified.EXACT),
        ("R04 - حفر الشوارع", "R04", Classified.EXACT),
        ("[R04] حفر شوارع", "R04", Classified.FOLDED),
        ("حفر الشوارع (R04)", "R04", Classified.EXACT),
        ("الطرق/حفر الشوارع", "R04", Classified.EXACT),
        ("الطرق والشوارع > حفر الشوارع", "R04", Classified.EXACT),
        ("المباني / المباني المهجورة", "B01", Classified.EXACT),
        ("الطرق/حفر الشوارغ", "R04", Classified.FUZZY),
    ],
)
def test_other_ways_of_writing_are_found_and_say_how(own, text, code, method):
    assert found(own, text) == (code, method)


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("هدم المباني تحت الإنشاء", "C04"),  # demolition is neither fencing nor covering
        ("تسوير الأراضي", "P02"),
        ("تسوير المباني", "C04"),
        ("تغطية المباني", "C03"),
        ("السيارات الخربة", "R10"),
        ("Potholes", "R04"),
        ("R04 - مخلفات البناء", "C05"),  # code and name contradict each other
        ("حفر الشوارع / مخلفات البناء", "C05"),  # two elements in one text
        ("دهان", "R03"),
    ],
)
def test_near_words_of_other_things_stay_unclassified_with_a_suggestion(own, text, suggested):
    match = own.classify_unique([text])[0]
    assert (match.element_id, match.method) == (None, Classified.UNCLASSIFIED)
    assert suggested in match.suggestions
    assert len(match.suggestions) <= 3


@pytest.mark.parametrize("text", ["", " ", "قطط ضالة في الحديقة الخلفية", "12345", "///", "X99"])
def test_words_without_a_counterpart_stay_unclassified(own, text):
    assert found(own, text) == (None, Classified.UNCLASSIFIED)


@pytest.mark.parametrize("threshold", [75, 80, 88, 92])
def test_no_alias_goes_to_a_wrong_element_when_it_is_not_listed(threshold):
    likeness = 0
    for i, (element_id, alias) in enumerate(ALIASES):
        classifier = ElementClassifier(ELEMENTS, ALIASES[:i] + ALIASES[i + 1 :], threshold=threshold)
        match = classifier.classify_unique([alias])[0]
        assert match.element_id in (None, element_id)
        likeness += match.element_id is not None
    assert likeness >= 7


def test_no_name_of_a_missing_element_goes_to_another_one():
    for entry in ELEMENTS:
        others = [e for e in ELEMENTS if e.id != entry.id]
        aliases = [a for a in ALIASES if a[0] != entry.id]
        own_names = [entry.name_ar, entry.name_en, *[alias for i, alias in ALIASES if i == entry.id]]
        classifier = ElementClassifier(others, aliases)
        assert [m.element_id for m in classifier.classify_unique(own_names)] == [None] * len(own_names)


def test_the_table_of_the_profile_stands_above_all_else():
    table = {"Pothole": "R04", "حفر الشوارع": "C02", "Dead animal": None}
    for own_taxonomy in (True, False):
        classifier = ElementClassifier(ELEMENTS, ALIASES, table, own_taxonomy=own_taxonomy)
        assert found(classifier, "Pothole") == ("R04", Classified.PROFILE)
        assert found(classifier, " pothole") == ("R04", Classified.PROFILE)
        assert found(classifier, "حفر الشوارع") == ("C02", Classified.PROFILE)
        assert found(classifier, "Dead animal") == (None, Classified.NONE)


def test_a_foreign_taxonomy_gets_an_element_by_name_only():
    foreign = ElementClassifier(ELEMENTS, ALIASES, own_taxonomy=False)
    assert found(foreign, "Street vendors") == ("P05", Classified.EXACT)
    assert found(foreign, "street vendors") == ("P05", Classified.FOLDED)
    assert found(foreign, "الباعة الجائلين") == ("P05", Classified.ALIAS)
    for text in ("R04", "Abandonned vehicles", "Illegal Dumping Pickup", "Graffiti"):
        match = foreign.classify_unique([text])[0]
        assert (match.element_id, match.method, match.suggestions) == (None, Classified.NONE, [])


def test_a_name_that_two_elements_share_is_left_to_a_person():
    two = [
        ElementEntry(1, "A1", "نفايات", "Waste", "", ""),
        ElementEntry(2, "A2", "نفايات", "Litter", "", ""),
    ]
    match = ElementClassifier(two).classify_unique(["نفايات"])[0]
    assert (match.element_id, match.method, match.suggestions) == (
        None,
        Classified.UNCLASSIFIED,
        ["A1", "A2"],
    )


def test_the_answers_come_in_the_order_of_the_texts(own):
    texts = ["R04", "?", "حفر الشوارع"]
    assert [m.text for m in own.classify_unique(texts)] == texts


def test_a_table_that_names_no_element_is_refused():
    with pytest.raises(InputError, match="Z99"):
        ElementClassifier(ELEMENTS, ALIASES, {"x": "Z99"})
    with pytest.raises(InputError, match="does not exist"):
        ElementClassifier(ELEMENTS, [(999, "x")])


def test_an_empty_taxonomy_classifies_nothing():
    assert found(ElementClassifier([]), "حفر") == (None, Classified.UNCLASSIFIED)


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_text_breaks_the_classifier(text):
    match = ElementClassifier(ELEMENTS[:5], []).classify_unique([text])[0]
    assert match.text == text
    assert match.element_id is None or match.element_id in CODE
