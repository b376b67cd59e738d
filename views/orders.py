"""A plan put into words and pictures for the work order: what is on its pages, in one language.

Numbers have Latin digits, dates stand with the Hijri date beside them in Arabic, as on the
screens. Caveat: times are those of the day plans; without a start of the day they count
from it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from markupsafe import Markup

from data.analyses.works import work_costs
from data.backdrops import Lines
from data.handouts import Stamp
from data.plan import AxisTerms, CampaignPlan, CampaignTerms, Name, Part, PlannedArea, Said, Site, WorkDay
from data.plan_frames import date_of, outline, stretches
from geo.errors import InputError
from geo.remarks import Remark
from layers.sitemap import Backdrop, Mark, Picture, drawn
from layers.workorder import WORDS, Area, Day, Fact, Grid, Stop, WorkOrder
from views.remarks import sentence
from views.words import Words, number, short

WIDTH = 186.0  # mm between the margins
TITLES = {
    "inspection": "order.title_inspection",
    "community": "order.title_community",
    "axes": "order.title_axes",
}
AREA_HEADS = ("number", "municipality", "team", "dates", "n_sites", "n_hours", "n_finds")
PART_HEADS = ("what", "finds", "n_sites", "n_hours")
MATERIAL_HEADS = ("what", "amount")
STRETCH_HEADS = ("number", "axis", "municipality", "km", "per_km", "work", "cost")
_HEIGHTS = {"first": 92.0, "area": 96.0, "day": 72.0}
_DAY_STARTS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def work_order(
    plan: CampaignPlan,
    stamp: Stamp,
    words: Words,
    *,
    day_starts: str | None = None,
    roads: Lines | None = None,
) -> WorkOrder:
    """The work order of a plan; see ``views.handouts.export_plan``."""
    starts = _starts(day_starts)
    behind = Backdrop(roads.lines, roads.main) if roads else Backdrop()
    page = _Page(plan, words, behind, starts)
    first = page.first()
    return WorkOrder(
        language=words.language,
        title=f"{words(TITLES[plan.kind])}{': ' if stamp.title else ''}{stamp.title}",
        subtitle=" · ".join(_when(plan, stamp, words)),
        notice=words("order.simulated") if plan.simulated else "",
        facts=first.facts,
        map=first.map,
        tables=first.tables,
        areas=tuple(page.area(area) for area in plan.areas),
        remarks=tuple((sentence(words, _remark(said)), said.caution) for said in plan.remarks),
        foot=" · ".join(_identity(plan, stamp, words)),
        words={name: words(f"ordered.{name}") for name in WORDS}
        | {"time": words("ordered.time" if starts is not None else "ordered.after")},
        bring=any(site.material for area in plan.areas for site in area.sites),
    )


def facts_of(plan: CampaignPlan, stamp: Stamp, words: Words) -> list[tuple[str, str]]:
    """Lines of the workbook's first sheet: what the plan is, and what to know of it."""
    page = _Page(plan, words, Backdrop(), None)
    rows = [
        (words(TITLES[plan.kind]), stamp.title),
        (words("order.when"), " · ".join(_when(plan, stamp, words))),
    ]
    rows += [
        (fact.label, f"{fact.value} ({fact.note})" if fact.note else fact.value) for fact in page.facts()
    ]
    rows.append((words("order.identity"), " · ".join(_identity(plan, stamp, words))))
    if plan.simulated:
        rows.append((words("order.beware"), words("order.simulated")))
    rows += [(words("ordered.remarks"), sentence(words, _remark(said))) for said in plan.remarks]
    if plan.areas:
        rows.append((words("field.sheet_visits"), words("order.fill_in")))
    return rows


def _remark(said: Said) -> Remark:
    return Remark(said.code, said.values, said.caution)


def _when(plan: CampaignPlan, stamp: Stamp, words: Words) -> list[str]:
    """Territory and dates."""
    found = [words.pick(plan.territory_name.ar, plan.territory_name.en)]
    if isinstance(plan.terms, CampaignTerms):
        dates = plan.terms.dates
        found.append(words("order.from_to", first=words.date(dates[0]), last=words.date(dates[-1])))
    return found


def _identity(plan: CampaignPlan, stamp: Stamp, words: Words) -> list[str]:
    """Which plan this is, so that what comes back finds it."""
    saved = words("order.unsaved") if stamp.campaign is None else words("order.saved", n=stamp.campaign)
    found = [saved]
    if stamp.version is not None:
        found.append(words("order.version", n=stamp.version))
    return [*found, words("order.data_version", n=plan.data_version)]


def _apart(text: str) -> str:
    """A text of a source between Unicode's isolates: it may run in the other direction."""
    return f"\u2068{text}\u2069"


def _starts(text: str | None) -> int | None:
    """Minutes after midnight. Raises InputError for what is no time of day."""
    if text is None:
        return None
    found = _DAY_STARTS.fullmatch(text.strip())
    if found is None:
        raise InputError(f"A day starts at a time such as 07:30, not at {text!r}.")
    return 60 * int(found[1]) + int(found[2])


@dataclass(frozen=True, slots=True)
class _First:
    """What stands on the first page."""

    facts: tuple[Fact, ...]
    map: Markup
    tables: tuple[tuple[str, Grid], ...]


class _Page:
    """The parts of a work order, from one plan in one language."""

    def __init__(self, plan: CampaignPlan, words: Words, backdrop: Backdrop, starts: int | None) -> None:
        self.plan, self.words, self.backdrop, self.starts = plan, words, backdrop, starts

    def first(self) -> _First:
        if isinstance(self.plan.terms, AxisTerms):
            return _First(self.facts(), self.stretch_map(), self.stretch_tables())
        return _First(self.facts(), self.overview(), self.tables())

    def facts(self) -> tuple[Fact, ...]:
        terms = self.plan.terms
        return self.axes_facts(terms) if isinstance(terms, AxisTerms) else self.area_totals(terms)

    def area_totals(self, terms: CampaignTerms) -> tuple[Fact, ...]:
        """Areas, teams, finds and hours of the whole plan."""
        words, plan = self.words, self.plan
        sites = [site for area in plan.areas for site in area.sites]
        planned = sum(site.day is not None for site in sites)
        return (
            Fact(words("order.areas"), number(len(plan.areas)), words.plural("order.n_teams", self._teams())),
            Fact(
                words("order.days"),
                number(terms.days),
                words("order.hours_day", n=short(terms.hours)),
            ),
            Fact(
                words("order.sites"),
                number(len(sites)),
                words("order.planned", n=number(planned)) if planned else words("order.no_days"),
            ),
            Fact(
                words("order.finds"),
                number(plan.finds),
                words("order.hours_all", n=number(plan.hours)),
            ),
        )

    def _teams(self) -> int:
        known = {area.team for area in self.plan.areas if area.team is not None}
        return len(known) or getattr(self.plan.terms, "teams", 0)

    def tables(self) -> tuple[tuple[str, Grid], ...]:
        words = self.words
        rows = tuple(
            (
                str(area.number),
                self._pick(area.municipality) or words("card.unknown"),
                "" if area.team is None else str(area.team),
                self._dates(area),
                number(len(area.sites)),
                number(area.hours, 1),
                words("order.between", value=short(area.finds), low=short(area.low), high=short(area.high)),
            )
            for area in self.plan.areas
        )
        grid = Grid(self._heads(AREA_HEADS), rows, wide=1)
        return ((words("order.list"), grid),) if rows else ()

    def overview(self) -> Markup:
        shapes = tuple((outline(area), str(area.number)) for area in self.plan.areas)
        return self._drawn(Picture(shapes, backdrop=self.backdrop), "first", self.words("order.list"))

    def area(self, area: PlannedArea) -> Area:
        words = self.words
        title = words("order.area", n=area.number, place=self._pick(area.municipality))
        notes = [self._pick(name) for name in area.districts]
        tables = [(words("order.targets"), self._parts(area.targets, "target"))]
        tables.append((words("order.elements"), self._parts(area.elements, "")))
        if area.material:
            rows = tuple((self._material(code), f"{amount:,g}") for code, amount in area.material)
            tables.append((words("order.material"), Grid(self._heads(MATERIAL_HEADS), rows)))
        return Area(
            title=title,
            note=words("order.districts", names=words("order.comma").join(notes)) if notes else "",
            facts=self._area_facts(area),
            map=self._area_map(area),
            key=words("order.map_key" if area.days else "order.map_key_plain"),
            tables=tuple((head, grid) for head, grid in tables if grid.rows),
            days=tuple(self._day(area, day) for day in area.days),
            left=tuple(self._stop(site, False) for site in area.sites if site.day is None),
        )

    def _area_facts(self, area: PlannedArea) -> tuple[Fact, ...]:
        words = self.words
        drivers = words("order.comma").join(words(f"driver.{code}") for code in area.drivers)
        return (
            Fact(
                words("order.finds"),
                short(area.finds),
                words("order.interval", low=short(area.low), high=short(area.high)),
            ),
            Fact(
                words("order.work"),
                words("order.hours", n=number(area.hours, 1)),
                words("order.of_hours", n=number(area.capacity, 1)),
            ),
            Fact(
                words("order.team"),
                str(area.team or "–"),
                words("order.base_is", name=_apart(area.base.name))
                if area.base
                else words("order.base_none"),
            ),
            Fact(words("order.why"), drivers or "–", words("units.km2", km2=short(area.km2))),
        )

    def _area_map(self, area: PlannedArea) -> Markup:
        """All sites as dots, the number of each day in the middle of its sites."""
        marks = [Mark(site.lon, site.lat) for site in area.sites]
        for day in area.days:
            mine = [s for s in area.sites if s.day == day.day]
            lon, lat = (sum(getattr(s, k) for s in mine) / len(mine) for k in ("lon", "lat"))
            middle = min(mine, key=lambda s: (s.lon - lon) ** 2 + (s.lat - lat) ** 2)
            marks.append(Mark(middle.lon, middle.lat, str(day.day)))
        picture = Picture(((outline(area), ""),), tuple(marks), self._base(area), self.backdrop)
        return self._drawn(picture, "area", self.words("order.map_of", n=area.number))

    def _day(self, area: PlannedArea, day: WorkDay) -> Day:
        words = self.words
        turn = sorted((s for s in area.sites if s.day == day.day), key=lambda s: s.order or 0)
        marks = tuple(Mark(s.lon, s.lat, str(s.order)) for s in turn)
        picture = Picture(
            ((outline(area), ""),), marks, self._base(area), self.backdrop, route=True, fit="marks"
        )
        title = words(
            "order.day", area=area.number, team=area.team or "–", n=day.day, date=self._date(day.day)
        )
        note = words(
            "order.day_note",
            sites=words.plural("order.n_sites", day.sites),
            km=number(day.km, 1),
            hours=number(day.hours, 1),
            back=words(
                "order.back_after" if self.starts is None else "order.back_at", time=self._time(day.back)
            ),
        )
        return Day(title, note, self._drawn(picture, "day", title), tuple(self._stop(s, True) for s in turn))

    def _stop(self, site: Site, numbered: bool) -> Stop:
        words = self.words
        notes = [words(f"target.{site.target}")]
        if site.late_days is not None:
            late = words.plural("order.n_late", max(round(site.late_days), 0))
            notes.append(f"{late}{words('order.assumed') if site.assumed_limit else ''}")
        if site.returns:
            notes.append(words.plural("order.n_returns", site.returns))
        if site.severity is not None:
            notes.append(words("order.severity", n=site.severity))
        if site.target in ("new", "unvisited"):
            notes.append(words("order.patrol", n=number(site.minutes)))
        lines = [" · ".join(notes)]
        known = [words("order.reference", text=_apart(site.reference))] if site.reference else []
        if site.quantity is not None:
            known.append(words("order.quantity", n=short(site.quantity), unit=_apart(site.unit)))
        lines += [" · ".join(known)] if known else []
        return Stop(
            number=str(site.order) if numbered else "",
            time=self._time(site.arrive) if numbered and site.arrive is not None else "",
            what=self._pick(site.element_name) or words(f"target.{site.target}"),
            notes=tuple(lines),
            code=site.key,
            place=f"{site.lat:.5f} {site.lon:.5f}",
            bring=words("order.comma").join(f"{self._material(c)}: {n:g}" for c, n in site.material),
        )

    def axes_facts(self, terms: AxisTerms) -> tuple[Fact, ...]:
        words = self.words
        chosen = [s for s in self.plan.stretches if s.chosen]
        cost = sum(s.cost for s in chosen)
        return (
            Fact(
                words("order.stretches"),
                number(len(chosen)),
                words("order.of", n=number(len(self.plan.stretches))),
            ),
            Fact(words("order.length"), words("order.km", n=short(sum(s.km for s in chosen)))),
            Fact(words("order.cost"), number(cost), words("order.budget", n=number(terms.budget))),
            Fact(words("order.reports"), number(sum(s.reports for s in chosen))),
        )

    def stretch_map(self) -> Markup:
        layer = stretches(self.plan, {"campaign": None, "version": None, "simulated": None})
        chosen = layer.frame["chosen"].to_list()
        ranks = layer.frame["rank"].to_list()
        shapes = tuple((s, str(r)) for s, r, c in zip(layer.shapes, ranks, chosen, strict=True) if c)
        return self._drawn(Picture(shapes, backdrop=self.backdrop), "first", self.words("order.stretch_list"))

    def stretch_tables(self) -> tuple[tuple[str, Grid], ...]:
        words = self.words
        rows = tuple(
            (
                str(s.rank),
                words("order.stretch", axis=self._pick(s.axis) or words("order.unnamed"), n=s.number),
                self._pick(s.municipality),
                short(s.km),
                words("order.between", value=short(s.per_km), low=short(s.low), high=short(s.high)),
                self._work(s.work),
                number(s.cost),
            )
            for s in sorted(self.plan.stretches, key=lambda s: s.rank)
            if s.chosen
        )
        grid = Grid(self._heads(STRETCH_HEADS), rows, wide=1)
        return ((words("order.stretch_list"), grid),) if rows else ()

    def _drawn(self, picture: Picture, size: str, title: str) -> Markup:
        return drawn(
            picture,
            width=WIDTH,
            height=_HEIGHTS[size],
            north=self.words("order.north"),
            scale={"m": self.words("order.scale_m"), "km": self.words("order.scale_km")},
            title=title,
        )

    def _heads(self, codes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.words(f"orderhead.{code}") for code in codes)

    def _base(self, area: PlannedArea) -> Mark | None:
        return Mark(area.base.lon, area.base.lat) if area.base else None

    def _pick(self, name: Name) -> str:
        return self.words.pick(name.ar, name.en) if name.ar or name.en else ""

    def _parts(self, parts: tuple[Part, ...], family: str) -> Grid:
        words = self.words
        rows = tuple(
            (
                words(f"target.{part.code}") if family else self._pick(part.name) or part.code,
                number(part.finds, 1),
                number(part.sites) if part.sites else "–",
                number(part.hours, 1),
            )
            for part in parts
        )
        return Grid(self._heads(PART_HEADS), rows)

    def _material(self, code: str) -> str:
        return self.words(f"material.{code}")

    def _work(self, code: str) -> str:
        """The name of a class of work; one that the table has no more stands as its code."""
        names = work_costs().get(code)
        return self.words.pick(*names[0]) if names else code

    def _dates(self, area: PlannedArea) -> str:
        if not area.days:
            return ""
        days = [day.day for day in area.days]
        first, last = self._date(min(days), hijri=False), self._date(max(days), hijri=False)
        return first if first == last else self.words("order.from_to", first=first, last=last)

    def _date(self, day: int, *, hijri: bool = True) -> str:
        date: dt.date = date_of(self.plan, day)
        return self.words.date(date, hijri=hijri)

    def _time(self, minutes: float) -> str:
        """Time of day, or hours and minutes after the start."""
        whole = round(minutes) + (self.starts or 0)
        hours, rest = divmod(whole, 60)
        return f"{hours % 24 if self.starts is not None else hours}:{rest:02}"
