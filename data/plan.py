"""The plan of a campaign as a document: what was asked, what came out, and for which data.

These frozen classes are what a proposal returns, what the store keeps (as JSON), and what
page, hand-out and command line show. Everything in them is plain: cells are H3 texts, times
are ISO dates, so that a plan reads the same next year. Caveat: a plan holds what was known
when it was made; the reports behind it have moved on since.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from geo.errors import InputError

Kind = Literal["inspection", "community", "axes"]
#: What makes a place worth a visit, in the order of the screens.
#: ``open`` are reports within their limit: for volunteers, or where they are given a weight.
TARGETS = ("overdue", "open", "chronic", "new", "unvisited")
Target = Literal["overdue", "open", "chronic", "new", "unvisited"]
WEEK = 5  # working days
MOST_AREAS = 200
MOST_SEED = 2**31 - 1  # what every generator takes
FORMAT = 1  # of the document; count up when its meaning changes


@dataclass(frozen=True, slots=True)
class Base:
    """Where a team starts and ends its day; decimal degrees."""

    name: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """What a director asks for. The defaults are those of an inspection campaign.

    Parameters
    ----------
    kind : inspection, or community (volunteers instead of inspectors).
    start, days : first day, and working days from then on.
    teams : people who work together count as one team. hours : of work a day, breaks left out.
    minutes_site : at an inspected site. minutes_km : between sites.
    areas : how many to propose; None gives each team one for each of its weeks of five days,
        for an area that is worked longer runs into its lesser places. More areas than teams
        are rounded up to a multiple of the teams, so that no team's hours are left over. A plan
        holds the number that None stood for.
    most_km2 : no area is larger; None leaves it to the hours.
    weights : (target, weight) of each kind of target; one that is missing weighs what
        ``data/reference/campaign_targets.csv`` says.
    severity : (element code, weight) in place of the reference table's.
    each_municipality : area ids, each of which gets at least one area.
    least_share : (area id, share 0 to 1) of all hours that a municipality gets at least.
    keep_out, include : H3 texts that no area, or some area, must hold; of the plan's
        resolution or coarser (all finer cells are then meant; for ``include``, one of them).
    pinned : areas of an earlier proposal that must come out again, as their cells.
    since_visit : cells visited within so many days before ``start`` are left out.
    one_municipality : every area lies in one municipality, so that one office owns it.
    resolution : of the cells; None takes the one that suits the reports.
    bases : where teams start; without any, in the middle of their municipality's reports.
    seed : of everything that is drawn.
    volunteers : people in a community campaign's team (inspectors are a team of their own).
    weekend : days of the week without work, Monday is 0; Friday and Saturday unless said.

    Raises
    ------
    InputError : with every value that is out of its range.
    """

    kind: Literal["inspection", "community"] = "inspection"
    start: dt.date = dt.date.min
    days: int = 15
    teams: int = 6
    hours: float = 6.0
    minutes_site: float = 12.0
    minutes_km: float = 2.5
    areas: int | None = None
    most_km2: float | None = None
    weights: tuple[tuple[Target, float], ...] = ()
    severity: tuple[tuple[str, float], ...] = ()
    each_municipality: tuple[int, ...] = ()
    least_share: tuple[tuple[int, float], ...] = ()
    keep_out: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    pinned: tuple[tuple[str, ...], ...] = ()
    since_visit: int = 14
    one_municipality: bool = True
    resolution: int | None = None
    bases: tuple[Base, ...] = ()
    seed: int = 0
    volunteers: int = 1
    weekend: tuple[int, ...] = (4, 5)

    def __post_init__(self) -> None:
        ranges: list[tuple[str, float, float, float]] = [
            ("days", self.days, 1, 366),
            ("teams", self.teams, 1, 200),
            ("hours", self.hours, 0.5, 24),
            ("minutes_site", self.minutes_site, 0.5, 480),
            ("minutes_km", self.minutes_km, 0.1, 120),
            ("areas", 1 if self.areas is None else self.areas, 1, MOST_AREAS),
            ("most_km2", 1 if self.most_km2 is None else self.most_km2, 1e-4, 1e6),
            ("since_visit", self.since_visit, 0, 3660),
            ("volunteers", self.volunteers, 1, 10_000),
            ("seed", self.seed, 0, MOST_SEED),
        ]
        faults = [f"{n} is {v:g}, not from {a:g} to {b:g}" for n, v, a, b in ranges if not a <= v <= b]
        faults += [
            f"the weight of {n} is {v:g}" for n, v in (*self.weights, *self.severity) if not 0 <= v <= 1000
        ]
        faults += [f"the share of area {a} is {s:g}" for a, s in self.least_share if not 0 <= s <= 1]
        if sum(s for _, s in self.least_share) > 1 + 1e-9:
            faults.append("the least shares add up to more than all hours")
        if not set(self.weekend) < set(range(7)):
            faults.append("the weekend is more than six days, or a day that is none from 0 to 6")
        if faults:
            raise InputError("A campaign cannot be planned: " + "; ".join(faults) + ".")

    def weight(self, target: str, usual: float = 1.0) -> float:
        """The weight of a kind of target, ``usual`` where the terms say nothing of it."""
        return dict(self.weights).get(target, usual)  # type: ignore[call-overload]

    @property
    def number_of_areas(self) -> int:
        """Areas that are proposed: the number given, else one for each team and week.

        Above the number of teams it is a multiple of them.
        """
        if self.areas is not None and self.areas <= self.teams:
            return self.areas
        return self.teams * self.turns

    @property
    def turns(self) -> int:
        """Areas that one team works, one after the other."""
        turns = -(-self.days // WEEK) if self.areas is None else -(-self.areas // self.teams)
        return max(1, min(turns, MOST_AREAS // self.teams))

    @property
    def team_hours(self) -> float:
        """Hours that one team works in the whole campaign."""
        return self.days * self.hours

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Date of each working day; the first is ``start`` or the next day that is none of the weekend's."""
        found: list[dt.date] = []
        day = self.start
        while len(found) < self.days:
            if day.weekday() not in self.weekend:
                found.append(day)
            day += dt.timedelta(days=1)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class AxisTerms:
    """What is asked of improvement projects along movement axes.

    Parameters
    ----------
    budget : SAR. costs : (class of work, SAR per km) in place of the reference table's.
    length_m : of a stretch. snap_m : farthest a report may lie from its road.
    least_share : (area id, share 0 to 1) of the budget that a municipality gets at least.
    pinned, dropped : keys of stretches that must, or must not, be chosen.
    """

    kind: Literal["axes"] = "axes"
    budget: float = 20_000_000.0
    costs: tuple[tuple[str, float], ...] = ()
    length_m: float = 1_000.0
    snap_m: float = 30.0
    least_share: tuple[tuple[int, float], ...] = ()
    pinned: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  # road classes to look at; all main roads when empty

    def __post_init__(self) -> None:
        ranges = [("budget", self.budget, 0, 1e13), ("length_m", self.length_m, 50, 50_000)]
        ranges.append(("snap_m", self.snap_m, 1, 1_000))
        faults = [f"{n} is {v:g}, not from {a:g} to {b:g}" for n, v, a, b in ranges if not a <= v <= b]
        faults += [f"the cost of {n} is {v:g}" for n, v in self.costs if not 0 < v < 1e12]
        faults += [f"the share of area {a} is {s:g}" for a, s in self.least_share if not 0 <= s <= 1]
        if faults:
            raise InputError("Projects cannot be chosen: " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True)
class Name:
    """A name in both languages; either may be empty."""

    ar: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A place that a team goes to.

    Attributes
    ----------
    key : names the site in visits that come back: ``r123`` a report, ``p45`` a chronic place,
        ``c8a2…`` the round through a cell where only new violations are expected.
    chance : that a violation is found there, 0 to 1. weight : of finding it.
    minutes : at the site. late_days : a report's days past its limit; nan without one.
    assumed_limit : the limit is the reference table's, not the report's own.
    day, order : working day and place in it, both from 1; None: beyond the hours of the area.
    arrive : minutes after the day's start.
    material : what volunteers bring, such as ("bags", 6.0); () for none.
    """

    key: str
    target: Target
    lon: float
    lat: float
    cell: str
    element: str
    element_name: Name
    chance: float
    weight: float
    minutes: float
    report_id: int | None = None
    reference: str = ""
    severity: int | None = None
    quantity: float | None = None
    unit: str = ""
    late_days: float | None = None
    assumed_limit: bool = False
    returns: int | None = None
    material: tuple[tuple[str, float], ...] = ()
    day: int | None = None
    order: int | None = None
    arrive: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A share of an area's finds: of a kind of target, or of an element."""

    code: str
    name: Name
    finds: float
    sites: int
    hours: float


@dataclass(frozen=True, slots=True)
class WorkDay:
    """A team's day in one area, from its base and back (``data/analyses/rounds.py``).

    Attributes
    ----------
    day : working day of the campaign, from 1. sites : how many.
    km : of travel. hours : of travel and work; ``back`` : minutes after the day's start.
    """

    day: int
    sites: int
    km: float
    hours: float
    back: float


@dataclass(frozen=True, slots=True)
class PlannedArea:
    """One area of a plan.

    Attributes
    ----------
    cells : H3 texts, contiguous.
    hours : of work that are used; ``capacity`` : that its team has, the way to the base taken off.
    finds, low, high : violations expected, and the 80 % interval. weighted : finds times weights.
    compactness : least possible perimeter of as many cells ÷ its own, 0 to 1.
    drivers : codes of what makes it worth going: overdue, growing, chronic, severe, new, unvisited.
    growth : reports of the last 90 days ÷ the 90 before (with the territory's change taken out).
    team : from 1, that works the area. days : of its work, once day plans are made.
    """

    number: int
    cells: tuple[str, ...]
    municipality_id: int | None
    municipality: Name
    districts: tuple[Name, ...]
    km2: float
    hours: float
    capacity: float
    finds: float
    low: float
    high: float
    weighted: float
    compactness: float
    targets: tuple[Part, ...]
    elements: tuple[Part, ...]
    drivers: tuple[str, ...]
    base: Base | None
    sites: tuple[Site, ...]
    growth: float | None = None
    people: float | None = None
    pinned: bool = False
    material: tuple[tuple[str, float], ...] = ()
    team: int | None = None
    days: tuple[WorkDay, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """One piece of an axis; ``line`` is ((lon, lat), …) in decimal degrees, parts joined in order.

    Attributes
    ----------
    reports, per_km : within ``snap_m``, and by km with its 95 % interval low, high.
    shrunk : the rate after empirical-Bayes shrinkage towards comparable stretches.
    trend : yearly change of reports as a ratio (1 = none); None where too few.
    cost : SAR. chosen : in the portfolio. rank : by benefit per SAR.
    """

    key: str
    axis: Name
    number: int
    line: tuple[tuple[tuple[float, float], ...], ...]
    km: float
    road_class: str
    municipality_id: int | None
    municipality: Name
    reports: int
    per_km: float
    low: float
    high: float
    shrunk: float
    severity: float
    trend: float | None
    elements: tuple[Part, ...]
    work: str
    cost: float
    benefit: float
    chosen: bool
    rank: int
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring stretches of one axis that together stand out most.

    Attributes
    ----------
    keys : of the stretches, in order. expected : reports if they were as usual for their class.
    excess : reports above that, steadied.
    """

    axis: Name
    keys: tuple[str, ...]
    km: float
    reports: int
    expected: float
    excess: float


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to spend the same hours, for comparison.

    Attributes
    ----------
    code : top_cells, municipality_share, greedy; for axes by_rate, by_count, by_ratio.
    finds, weighted, hours : as in an area, travel between its cells counted. For axes: reports
        on the stretches, their benefit, and SAR; ``cells`` is then the number of stretches.
    better : ``plan`` ÷ ``weighted`` − 1.
    plan : the plan's own weighted finds by the same evaluator, with a tour through each area in
        place of entering cell by cell: near to ``Proof.objective``, and not the same. None in plans
        that were made before it was kept.
    """

    code: str
    finds: float
    weighted: float
    hours: float
    cells: int
    better: float
    plan: float | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """How good the solver knows the plan to be, in weighted finds.

    Attributes
    ----------
    bound : no choice among the candidates is worth more; ``gap`` = 1 − objective ÷ bound.
    free_bound : no plan at all is worth more, contiguous or not.
    complete : every possible area was a candidate: the plan is then the optimum itself.
    """

    objective: float
    bound: float
    gap: float
    free_bound: float
    candidates: int
    complete: bool
    seconds: float
    status: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The same plan with other terms: ``code`` is teams_fewer or teams_more."""

    code: str
    teams: int
    finds: float
    weighted: float


@dataclass(frozen=True, slots=True)
class Said:
    """A remark in a form that can be kept: code, values, caution (see ``geo/remarks.py``)."""

    code: str
    values: tuple[tuple[str, str | int | float], ...] = ()
    caution: bool = False


Terms = Annotated[CampaignTerms | AxisTerms, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """A proposal, kept or not.

    Attributes
    ----------
    territory : code. data_version : of the reports it was made from.
    query : the filters, as the fields of ``ReportQuery`` (JSON-ready).
    resolution : of the cells; 0 for axes.
    areas : of an inspection or community campaign; ``stretches`` : of axes, ranked.
    simulated : made on simulated reports; said on every hand-out.
    low, high : 80 % interval of the finds of all areas together; None where it was not drawn.
    """

    kind: Kind
    territory: str
    territory_name: Name
    data_version: int
    simulated: bool
    query: dict[str, Any]
    terms: Terms
    resolution: int
    areas: tuple[PlannedArea, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    runs: tuple[Run, ...] = ()
    low: float | None = None
    high: float | None = None
    rivals: tuple[Rival, ...] = ()
    proof: Proof | None = None
    what_if: tuple[WhatIf, ...] = ()
    remarks: tuple[Said, ...] = ()
    format: int = field(default=FORMAT)

    @property
    def finds(self) -> float:
        return sum(area.finds for area in self.areas)

    @property
    def hours(self) -> float:
        return sum(area.hours for area in self.areas)

    def to_json(self) -> str:
        """The document; ``from_json`` gives an equal plan back."""
        return _ADAPTER.dump_json(self).decode("utf-8")


_ADAPTER: TypeAdapter[CampaignPlan] = TypeAdapter(CampaignPlan)


def from_json(text: str | bytes) -> CampaignPlan:
    """The plan of a document.

    Raises
    ------
    InputError : it is no plan, or of a newer format.
    """
    try:
        plan = _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"This is no campaign plan: {where}: {first['msg']}.") from None
    if plan.format > FORMAT:
        raise InputError(f"The plan has format {plan.format}; this Rasd reads up to {FORMAT}. Update Rasd.")
    return plan
