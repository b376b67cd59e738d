"""The hand-outs of a plan in one place: what the page's buttons and the command line make.

``export_plan`` gives the file's content in the language that is asked for; nothing of it
needs the store, except the roads behind the maps, which are handed in (``data/backdrops.py``).
Caveat: a hand-out holds the plan as it is; sites change on the ground after it is printed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

from data import handouts
from data.backdrops import Lines
from data.handouts import Stamp
from data.plan import CampaignPlan, Name
from data.plan_frames import only_areas
from geo.errors import InputError
from layers.workorder import rendered
from views.orders import facts_of, work_order
from views.words import LANGUAGES, Words

#: File ending → MIME type, in the order of the screens.
FORMS = {
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
    "gpx": "application/gpx+xml",
    "zip": "application/zip",
}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # what a ZIP can hold: the same plan gives the same file
#: Words of the sheets and routes, section ``field`` of the catalogues.
FIELD = (
    "simulated", "area", "team", "day", "base", "yes", "no",
    "sheet_plan", "sheet_areas", "sheet_sites", "sheet_stretches", "sheet_visits", "sheet_lists",
    *(f"column_{name}" for name, _, _ in handouts.VISIT_SHEET),
)  # fmt: skip


def export_plan(
    plan: CampaignPlan,
    form: str,
    language: str = "ar",
    *,
    title: str = "",
    campaign: int | None = None,
    version: int | None = None,
    area: int | None = None,
    day_starts: str | None = None,
    roads: Lines | None = None,
) -> bytes:
    """A plan as a file's content.

    Parameters
    ----------
    form : html (work order to print), xlsx (with the sheet that comes back), geojson, gpkg, gpx,
        or zip: a folder for each team with its work order, workbook and routes.
    language : ar or en.
    title, campaign, version : of a saved plan; said on every hand-out.
    area : number of the only area to be in it.
    day_starts : "07:30": times of day instead of hours after the start.
    roads : drawn faintly behind the maps.

    Raises
    ------
    InputError : no such form, language or area; a team's folder of a plan without day plans.
    """
    if form not in FORMS:
        raise InputError(f"There is no hand-out as {form!r}: choose one of {', '.join(FORMS)}.")
    if language not in LANGUAGES:
        raise InputError(f"There is no hand-out in {language!r}: choose one of {', '.join(LANGUAGES)}.")
    if area is not None:
        plan = only_areas(plan, [area])
    stamp = Stamp(campaign, version, title)
    if form == "zip":
        return _folders(plan, stamp, language, day_starts, roads)
    return _file(plan, form, stamp, Words(language), day_starts, roads)


def _file(
    plan: CampaignPlan, form: str, stamp: Stamp, words: Words, day_starts: str | None, roads: Lines | None
) -> bytes:
    def pick(name: Name) -> str:
        return words.pick(name.ar, name.en) if name.ar or name.en else ""

    field = field_words(words)
    if form == "html":
        return rendered(work_order(plan, stamp, words, day_starts=day_starts, roads=roads)).encode()
    if form == "xlsx":
        facts = facts_of(plan, stamp, words)
        return handouts.to_xlsx(plan, stamp, field, pick, facts, rtl=words.rtl)
    if form == "gpx":
        return handouts.to_gpx(plan, stamp, field, pick)
    return (handouts.to_geojson if form == "geojson" else handouts.to_gpkg)(plan, stamp)


def field_words(words: Words) -> Callable[[str], str]:
    """Words by the names that ``data/handouts.py`` knows; those of targets are the screen's."""

    def say(key: str) -> str:
        if key.startswith("target_"):
            return words(f"target.{key.removeprefix('target_')}")
        return words(f"field.{key}")

    return say


def _folders(
    plan: CampaignPlan, stamp: Stamp, language: str, day_starts: str | None, roads: Lines | None
) -> bytes:
    """A folder a team; areas whose team is not known yet are a fault."""
    teams = sorted({area.team for area in plan.areas if area.team is not None})
    if not teams or any(area.team is None for area in plan.areas):
        raise InputError("Folders for teams need day plans, which this plan has not: propose it anew.")
    words, out = Words(language), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for team in teams:
            own = only_areas(plan, [area.number for area in plan.areas if area.team == team])
            for form, name in (("html", "work_order"), ("xlsx", "visits"), ("gpx", "routes")):
                entry = zipfile.ZipInfo(f"team_{team:02}/{name}.{form}", _EARLIEST)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, _file(own, form, stamp, words, day_starts, roads))
    return out.getvalue()
