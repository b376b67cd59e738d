"""The catalogues: same keys, all used, nothing typed into the pages instead."""

from __future__ import annotations

import ast
import datetime as dt
import re
import string
from pathlib import Path

import pytest

from data import audit, photos
from data.analyses.indicators import Dimension, Indicator
from data.analyses.kinds import element_terms
from data.analyses.unrouted import REASONS
from data.analyses.weekly import SHOWN
from data.analyses.works import work_costs
from data.campaigns import STATUSES
from data.inbox import Band
from data.life import DETAILS, Action, Role
from data.parties import KINDS
from data.plan import TARGETS
from data.stepping import Fate
from data.vocabulary import LEVELS, Channel, Status
from geo.hitrates import TYPES
from geo.roads import CLASSES
from layers import workorder
from layers.palettes import PALETTES
from views import audit as access_page
from views import (
    campaigns,
    casecards,
    compare,
    doors,
    filters,
    handouts,
    methods,
    orders,
    packbook,
    packdoc,
    routing,
)
from views.filing import device, what
from views.filing import where as spotting
from views.gauge import choropleth
from views.handouts import FORMS
from views.routes import bodies, rulebook, waiting
from views.studio import areacards, codes, drawing, proof, results, saved, visits
from views.words import LANGUAGES, Words, catalogue, number, plural_category, short

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "views").rglob("*.py"))
REMARKING = sorted(path for room in ("geo", "data", "layers") for path in (ROOT / room).rglob("*.py"))
# Keys that are put together while the page runs, with all they can become.
FAMILIES = {
    "status": [s.name.lower() for s in Status],
    "channel": [c.name.lower() for c in Channel],
    "months": [f"m{k}" for k in range(1, 13)],
    "hijri": [f"m{k}" for k in range(1, 13)],
    "period": list(filters.PERIODS),
    "palette": list(PALETTES),
    "lang": list(LANGUAGES),
    "rank": list(LEVELS),
    "empty": ["demo", "areas", "reports"],
    "download": ["geojson", "gpkg", "csv", "xlsx", "parquet"],
    "method": [*methods.CODES, *(f"{code}_about" for code in methods.CODES)],
    "compare": list(compare.WAYS),
    "against": list(compare.AGAINST),
    "count": list(filters.COUNTED),
    "history": ["day", "week", "month", "hot", "cold"],
    "pages": list(doors.SHOWN),
    "action": [a.name.lower() for a in Action],
    "do": [a.name.lower() for a in Action if a not in (Action.IMPORTED, Action.FILE)],
    "detail": [name for name in DETAILS if name != "rule_id"],
    "band": [str(band) for band in Band],
    "fate": [str(fate) for fate in Fate if fate is not Fate.DONE],
    "inboxcount": [f"{way}_{unit}" for way in ("late", "left") for unit in ("hours", "days")],
    "case": list(casecards.FACTS),
    "what": [*campaigns.WHAT, *(f"{code}_about" for code in campaigns.WHAT)],
    "terms": [*codes.WHOLE, *codes.DECIMAL, "classes", "costs"],
    "termshelp": [*(set(codes.WHOLE) | set(codes.DECIMAL)) - {"teams"}, "classes", "costs"],
    "target": list(TARGETS),
    "targethelp": list(TARGETS),
    "driver": [*TARGETS, "growing", "severe"],
    "areatype": list(TYPES),
    "road": list(CLASSES),
    "material": sorted({row.material for row in element_terms().values()} - {""}),
    "told": list(codes.KINDS),
    "answer": list(codes.KINDS),
    "solving": list(codes.KINDS),
    "stretch": [code for code, *_ in drawing.STRETCH_SHADES],
    "tab": sorted({*results.TABS, *saved.TABS}),
    "work": list(work_costs()),
    "rival": ["top_cells", "municipality_share", "greedy", "by_rate", "by_count", "by_ratio"],
    "whatif": ["teams_fewer", "teams_more"],
    "weekend": list(codes.WEEKENDS),
    "state": list(STATUSES),
    "step": [status for status in STATUSES if status != "proposed"],
    "handout": list(FORMS),
    "handouthelp": list(FORMS),
    "sitehead": list(areacards.SITE_HEADS),
    "axishead": list(areacards.AXIS_HEADS),
    "runhead": list(areacards.RUN_HEADS),
    "ratehead": list(proof.RATE_HEADS),
    "visithead": list(visits.RATE_HEADS),
    "visitlist": list(visits.LIST_HEADS),
    "visitdone": list(visits.DONE),
    "coursehead": sorted({*saved.EVENT_HEADS, *saved.VERSION_HEADS}),
    "field": list(handouts.FIELD),
    "ordered": list(workorder.WORDS),
    "orderhead": sorted(
        {*orders.AREA_HEADS, *orders.PART_HEADS, *orders.MATERIAL_HEADS, *orders.STRETCH_HEADS}
    ),
    "role": [*Role, "entity"],
    "deed": list(audit.ACTIONS),
    "trailhead": sorted({*access_page.PEOPLE_HEADS, *access_page.TRAIL_HEADS}),
    "routingpart": list(routing.PARTS),
    "rulehead": list(rulebook.HEADS),
    "rulestate": list(rulebook.STATES),
    "arealevel": list(LEVELS),
    "partykind": list(KINDS),
    "queuereason": list(REASONS),
    "queuehead": list(waiting.KIND_HEADS),
    "ownerhead": list(bodies.HEADS),
    "gauge": [*choropleth.DIFFERENT, *(f"map_{way}" for way in choropleth.WAYS)],
    "dimension": [str(dimension) for dimension in Dimension],
    "indicator": [str(indicator) for indicator in Indicator],
    "meaning": [str(indicator) for indicator in Indicator],
    "visitby": ["all", "area", "team", "target"],
    "weekly": [*packdoc.TITLED, *(f"sheet_{code}" for code in packbook.SHEETS)],
    "packhead": sorted(
        {"name", "element", *(str(code) for code in SHOWN)}.union(
            *(
                heads
                for room in (packdoc, packbook)
                for name, heads in vars(room).items()
                if name.endswith("_HEADS")
            )
        )
    ),
    "placeby": list(spotting.WAYS),
    "placelevel": ["municipality", "district"],
    "pickmap": list(spotting.MAP_WORDS),
    "devicefault": list(device.FAULTS),
    "photofault": list(photos.FAULTS),
    "grade": [f"m{grade}" for grade in what.GRADES],
    "workunit": sorted(set(what.UNITS.values())),
}
NO_KEYS = ("css", "js", "py", "html")  # file names look like keys


def used_keys() -> set[str]:
    """Keys that stand in the views as texts of their own, families spelled out, and remarks."""
    sections = {key.partition(".")[0] for key in catalogue("en")}
    used: set[str] = set()
    families: set[str] = {"status", "channel"}
    for path in FILES:
        tree = ast.parse(path.read_text("utf-8"))
        pieces = {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in pieces else None
            key = re.fullmatch(r"([a-z0-9_]+)\.([a-z0-9_]+)", text) if isinstance(text, str) else None
            if key and key[1] in sections and key[2] not in NO_KEYS:
                used.add(key[0])
        families |= set(re.findall(r"""f["']([a-z]+)\.m?\{""", path.read_text("utf-8")))
    families -= {"remark"}
    assert families <= set(FAMILIES), "a family of keys that this test does not know"
    used |= {f"{family}.{part}" for family in families for part in FAMILIES[family]}
    return used | {f"remark.{code}" for code, _, _ in remarks()}


def remarks() -> list[tuple[str, set[str], str]]:
    """(code, names of its values, where) of every ``decided`` and ``caution`` in the code."""
    found = []
    for path in REMARKING:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node, "func", None)
            if not isinstance(node, ast.Call) or not isinstance(name, ast.Name):
                continue
            if name.id in ("decided", "caution"):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert node.args and isinstance(node.args[0], ast.Constant), (
                    f"{where}: the code is no literal"
                )
                assert len(node.args) == 1 and all(k.arg for k in node.keywords), f"{where}: name the values"
                found.append((str(node.args[0].value), {str(k.arg) for k in node.keywords}, where))
    return found


def test_every_remark_has_words_and_fills_their_places() -> None:
    for code, values, where in remarks():
        for language in LANGUAGES:
            text = catalogue(language).get(f"remark.{code}")
            assert isinstance(text, str), f"{where}: remark.{code} has no words in {language}"
            places = {field for _, field, _, _ in string.Formatter().parse(text) if field}
            assert places <= values, f"{where}: {language} has a place that {code} does not fill"


def test_every_language_has_the_same_keys() -> None:
    assert set(catalogue("ar")) == set(catalogue("en"))


def test_no_key_is_missing_and_none_is_unused() -> None:
    known = set(catalogue("en"))
    used = used_keys()
    assert used - known == set()
    assert known - used == set()


def test_both_languages_take_the_same_values() -> None:
    def places(text: object) -> set[str]:
        texts = text.values() if isinstance(text, dict) else [text]
        return {field for t in texts for _, field, _, _ in string.Formatter().parse(str(t)) if field}

    for key, english in catalogue("en").items():
        if key != "date.both":  # English shows no Hijri date
            assert places(english) == places(catalogue("ar")[key]), key


def test_plurals_have_every_category_of_their_language() -> None:
    needed = {"en": {"one", "other"}, "ar": {"zero", "one", "two", "few", "many", "other"}}
    for language in LANGUAGES:
        for key, word in catalogue(language).items():
            if isinstance(word, dict):
                assert set(word) == needed[language], (language, key)


@pytest.mark.parametrize(
    ("n", "category"),
    [
        (0, "zero"),
        (1, "one"),
        (2, "two"),
        (3, "few"),
        (10, "few"),
        (11, "many"),
        (99, "many"),
        (100, "other"),
        (102, "other"),
        (103, "few"),
        (111, "many"),
        (1000, "other"),
    ],
)
def test_arabic_plurals_follow_cldr(n: int, category: str) -> None:
    assert plural_category("ar", n) == category


def _literals(path: Path) -> list[tuple[int, str]]:
    """Texts in the code, joined where they are formatted, docstrings left out."""
    tree = ast.parse(path.read_text("utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    } - {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "{}" for v in node.values]
            found.append((node.lineno, "".join(map(str, parts))))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            found.append((node.lineno, node.value))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_no_words_of_a_language_are_typed_into_a_page(path: Path) -> None:
    for line, text in _literals(path):
        assert not re.search("[\u0600-\u06ff]", text), f"{path.name}:{line}: {text}"
        if re.search("<[a-z/]", text):
            # Half tags at either end of a piece belong to the markup as well.
            bare = re.sub(r"<[^<>]*>|<[^<>]*$|^[^<>]*>|\{\}|&\w+;", " ", text)
            assert not re.search(r"[A-Za-z]{2,}", bare), f"{path.name}:{line}: {bare.strip()}"


SHOWING = {
    "caption",
    "write",
    "markdown",
    "title",
    "header",
    "subheader",
    "button",
    "selectbox",
    "multiselect",
    "checkbox",
    "date_input",
    "download_button",
    "segmented_control",
    "tabs",
    "info",
    "warning",
    "error",
    "success",
    "text",
    "metric",
    "toggle",
    "radio",
    "popover",
    "expander",
}


def _streamlit_calls(path: Path) -> list[ast.Call]:
    """Calls of ``st.<something that shows words>``."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in SHOWING
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "st"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_widgets_take_their_words_from_the_catalogue(path: Path) -> None:
    for call in _streamlit_calls(path):
        helping = (k.value for k in call.keywords if k.arg in ("help", "placeholder"))
        for value in [*call.args[:1], *helping]:
            assert not isinstance(value, (ast.Constant, ast.JoinedStr)), f"{path.name}:{call.lineno}"


def test_dates_have_the_hijri_date_beside_them_in_arabic_only() -> None:
    day = dt.date(2026, 3, 5)
    assert Words("ar").date(day) == "5 مارس 2026 (16 رمضان 1447هـ)"
    assert Words("en").date(day) == "5 March 2026"


def test_a_date_outside_the_hijri_tables_stands_alone() -> None:
    assert Words("ar").date(dt.date(1900, 1, 2)) == "2 يناير 1900"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00042, "0.00042"),
        (0.0456, "0.046"),
        (1, "1"),
        (3.10, "3.1"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
    ],
)
def test_measures_keep_three_digits_and_no_powers(value: float, text: str) -> None:
    assert short(value) == text


def test_numbers_have_latin_digits_in_both_languages() -> None:
    assert number(1234567) == "1,234,567"
    assert Words("ar").plural("units.reports", 1234) == "1,234 بلاغًا"
    assert Words("en").plural("units.reports", 1) == "1 report"


def test_a_name_missing_in_one_language_is_shown_in_the_other() -> None:
    assert Words("ar").pick(None, "Only") == "Only"
    assert Words("en").pick("فقط", "") == "فقط"
    assert Words("en").pick(None, None) == "Not stated"
