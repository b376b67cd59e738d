"""The weekly pack as it is handed out: the page that makes it, its HTML, its workbook, its command."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from typer.testing import CliRunner

from cli import application
from data import packs
from data.analyses import weekly
from data.analyses.weekly import weekly_pack
from data.pack import Line, Measure, Pair, WeeklyPack
from data.plan import Name
from geo.errors import InputError
from tests.data.weekly_town import LAST, WeeklyTown, build_weekly_town
from tests.views.opened import APP, address, forget, person, settle, shown
from views import access
from views import packs as packs_page
from views.packdoc import change, pack_sheet, target
from views.packdoc import shown as written
from views.packfiles import FORMS, export_pack, file_name
from views.words import Words, number

HOSTILE = '<img src=x onerror="window.hit=1">'
FORMULA = '=HYPERLINK("http://x","y")'


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[WeeklyTown]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weekly, "SETTLE_S", 0.05)  # nobody else writes here
        yield build_weekly_town(module_store)


@pytest.fixture(scope="module")
def pack(town: WeeklyTown) -> WeeklyPack:
    """A pack with targets, pictures and hostile texts in it."""
    with town.store.engine.begin() as conn:
        made = weekly_pack(conn, town.terms)
        packs.keep(conn, made)
    late = dataclasses.replace(made.overdue.oldest[0], reference=FORMULA, municipality=Name(HOSTILE, HOSTILE))
    total = Line(
        "",
        made.total.name,
        tuple(
            dataclasses.replace(one, target=0.8, met=False) if one.code == "on_time" else one
            for one in made.total.measures
        ),
    )
    pair = Pair(7, "R7", Name("حفرة", "Pothole"), Name(HOSTILE, HOSTILE), LAST, LAST, "ab" * 32, "cd" * 32)
    return dataclasses.replace(
        made,
        simulated=True,
        illustrative=True,
        total=total,
        pairs=(pair,),
        overdue=dataclasses.replace(made.overdue, oldest=(late, *made.overdue.oldest[1:])),
    )


def _pictures(report_id: int, digest: str) -> bytes | None:
    return b"\xff\xd8\xff" if digest.startswith("ab") else None


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_document_says_its_numbers_and_fetches_nothing(pack: WeeklyPack, language: str) -> None:
    words = Words(language)
    body = export_pack(pack, "html", language, pictures=_pictures).decode()
    assert f'dir="{"rtl" if language == "ar" else "ltr"}"' in body
    fetched = re.findall(r"<[a-z]+[^>]*(?:src|href)=.([^\"'>]*)|url\(([^)]*)\)", body)
    assert fetched and all((plain or style).startswith("data:") for plain, style in fetched)
    assert not re.search("<script|<link|@import", body)
    told = html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", body, flags=re.S)))
    for key in (
        "weekly.simulated",
        "weekly.illustrative",
        "weekly.hot",
        "weekly.chronic",
        "weekly.decided_note",
        "weekly.gone",
    ):
        assert words(key) in told
    assert f" {pack.overdue.reports:,} " in told and pack.digest()[:12] in told
    for line in (*pack.municipalities, *pack.elements):
        assert words.pick(line.name.ar, line.name.en) in told or not line.value("received")
    assert ("هـ)" in told) is (language == "ar")
    # What came from outside stands as text; a picture that is there stands in the file.
    assert "<img src=x" not in body and HOSTILE in told and "<b>الشتاء</b>" not in body
    assert body.count('src="data:image/jpeg;base64,/9j/"') == 1
    assert body.count("<svg") >= 3 and 'class="fill full"' in body
    sheet = pack_sheet(pack, words)
    assert sum(one.fill == "full" for part in sheet.parts for s in part.sheets for one in s.keys) >= 1


def test_the_workbook_holds_the_same_numbers_and_no_formulas(pack: WeeklyPack) -> None:
    words = Words("ar")
    book = openpyxl.load_workbook(io.BytesIO(export_pack(pack, "xlsx", "ar")))
    assert all(sheet.sheet_view.rightToLeft for sheet in book)
    sheet = book[words("weekly.sheet_municipalities")]
    rows = list(sheet.iter_rows(values_only=True))
    column = rows[0].index(words("packhead.received"))
    assert rows[1][column] == pack.total.value("received")
    assert {row[0]: row[column] for row in rows[2:]} == {
        line.name.ar or words("weekly.nobody"): line.value("received") for line in pack.municipalities
    }
    aim = rows[0].index(words("packhead.target", name=words("packhead.on_time")))
    assert rows[1][aim] == 0.8
    late = list(book[words("weekly.sheet_overdue")].iter_rows(values_only=True))
    assert late[1][0] == "'" + FORMULA and len(late) == 1 + len(pack.overdue.oldest)
    assert late[1][5].date() == pack.overdue.oldest[0].due
    cells = list(book[words("weekly.sheet_hot")].iter_rows(values_only=True))
    assert [row[0] for row in cells[1:]] == [cell for spots in pack.hot.spots for cell in spots.cells]
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert export_pack(pack, "xlsx", "en") == export_pack(pack, "xlsx", "en")
    for form, language in (("pdf", "ar"), ("html", "fr")):
        with pytest.raises(InputError, match="There is no pack"):
            export_pack(pack, form, language)


def test_a_change_and_a_target_are_told_in_words_of_their_kind() -> None:
    words = Words("en")
    waits = Measure("remedy_p90", "days", None, 40.0, base=12)
    assert (written(words, waits), change(words, waits)) == ("not yet", "")
    assert written(words, Measure("quality_failed", "share", None)) == "–"
    share = Measure("on_time", "share", 0.62, 0.7, base=50, better=1, target=0.8, met=False)
    assert (written(words, share), target(words, share)) == ("62%", "target: at least 80%")
    assert change(words, share) == "\u2066\u22128\u2069 pts"
    days = Measure("remedy_median", "days", 9.5, 9.25, base=5, better=-1, target=7.0)
    assert (change(words, days), target(words, days)) == ("\u2066+0.2\u2069 d", "target: at most 7.0 d")
    assert change(words, Measure("received", "count", 12.0, 12.0)) == "as before"


def test_the_command_keeps_the_first_pack_and_writes_both_files(
    town: WeeklyTown, pack: WeeklyPack, tmp_path: Path
) -> None:
    period = ["pack", "--from", str(town.terms.first), "--to", str(LAST)]

    def run(*words: str) -> Any:
        return CliRunner().invoke(application(), [*words], catch_exceptions=False)

    done = run(*period, "--lang", "both", "--out", str(tmp_path), "--json")
    told = json.loads(done.stdout)
    with town.store.engine.connect() as conn:
        kept = packs.first_kept(conn, town.town.territory, town.terms.first, LAST)
    assert kept is not None and told["digest"] == kept.digest
    names = {file_name(pack, form, language) for form in FORMS for language in ("ar", "en")}
    assert {file.name for file in tmp_path.iterdir()} == names
    checked = json.loads(run(*period, "--check", "--json").stdout)
    assert checked["same"] is True and checked["differs_in"] == []
    assert len(json.loads(run("pack", "--list", "--json").stdout)["packs"]) == 1
    for wrong in (
        ["--week", "2026-W99"],
        ["--from", "2025-01-01"],
        ["--week", "2025-W40", "--to", "2025-10-01"],
    ):
        with pytest.raises(InputError):
            run("pack", *wrong)


def _opened(**values: str) -> AppTest:
    """The page at an address; the first thing a server is asked for."""
    forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in values.items():
        page.query_params[key] = value
    page._page_hash = calc_hash("packs")
    return settle(page.run())


def test_the_page_hands_out_the_kept_pack_and_makes_another_by_a_press(
    town: WeeklyTown, pack: WeeklyPack
) -> None:
    words = Words("en")
    with town.store.engine.connect() as conn:
        kept = packs.first_kept(conn, town.town.territory, town.terms.first, LAST)
        assert kept is not None
    page = _opened(lang="en", pack_to=LAST.isoformat())
    told = shown(page)
    assert f"<bdi>{number(pack.overdue.reports)}</bdi>" in told and words("packhead.overdue") in told
    # The day there, which is another than UTC's before three in the morning.
    day = kept.made_at.astimezone(ZoneInfo("Asia/Riyadh")).date()
    assert words("weekly.kept", day=words.date(day)) in told
    assert page.button(key="pack_make").label == words("weekly.anew")
    with access.held(person()):
        body = packs_page.make(kept.id, "html", "en").decode()
    assert kept.digest[:12] in body
    with town.store.engine.connect() as conn:
        entry = conn.execute(
            text("SELECT object, detail FROM audit WHERE action = 'export' ORDER BY id DESC LIMIT 1")
        ).one()
    assert entry.object == "pack" and entry.detail["pack"] == kept.id
    # The week before has none yet: one press makes and keeps it.
    before = LAST - dt.timedelta(days=7)
    page = _opened(lang="ar", pack_to=before.isoformat())
    assert page.button(key="pack_make").label == Words("ar")("weekly.make")
    settle(page.button(key="pack_make").click().run())
    assert not page.exception and address(page)["pack_to"] == before.isoformat()
    with town.store.engine.connect() as conn:
        made = packs.first_kept(conn, town.town.territory, before - dt.timedelta(days=6), before)
    assert made is not None and f"pack_open_{before}" in {button.key for button in page.button}


def test_a_viewer_reads_packs_and_makes_none(town: WeeklyTown, pack: WeeklyPack) -> None:
    page = _opened(lang="en", pack_to=LAST.isoformat(), **{"as": "demo-viewer"})
    assert "pack_make" not in {button.key for button in page.button}
    assert Words("en")("packhead.overdue") in shown(page)
