"""The weekly pack as a document: how the territory stood at the end of a period, in plain values.

These frozen classes are what ``data/analyses/weekly.py`` makes, what the table ``pack`` keeps
as JSON, and what page, command, HTML and XLSX show, so that a pack reads the same next year.
Its digest is of everything in it: a pack made again for the same moment has the same one.
Caveat: numbers are rounded to nine significant digits, below anything that is shown, so that
sums in another order give the same document.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from data.plan import Name, Said
from geo.errors import InputError

FORMAT = 1  # of the document; count up when its meaning changes
_DIGITS = 9
Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """One indicator of one row.

    Attributes
    ----------
    code : of ``data.analyses.indicators.Indicator``.
    kind : "count", "share" (0 to 1), "rate" or "days".
    value, before : in the period, and in the one before; None where it cannot be told.
    base : reports that a share is of, or that were followed.
    differs : the change is more than chance would make.
    better : 1 when more is better, -1 when less is, 0 when neither.
    target, met : what was to be reached, and whether it is.
    """

    code: str
    kind: str
    value: float | None
    before: float | None = None
    base: int = 0
    differs: bool = False
    better: int = 0
    target: float | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A municipality or an element with its measures; ``key`` is empty for reports without one."""

    key: str
    name: Name
    measures: tuple[Measure, ...]

    def measure(self, code: str) -> Measure | None:
        """The measure of this code, if the line has one."""
        return next((one for one in self.measures if one.code == code), None)

    def value(self, code: str) -> float:
        """Its value; 0 where there is none."""
        found = self.measure(code)
        return 0.0 if found is None or found.value is None else found.value


@dataclass(frozen=True, slots=True)
class LateReport:
    """A report that was open past its limit at the end of the period.

    Attributes
    ----------
    id, reference : of the report. opened, due : local days. days : whole days past the limit.
    lon, lat : decimal degrees; None without a point.
    """

    id: int
    reference: str
    element: Name
    municipality: Name
    status: int
    opened: dt.date
    due: dt.date
    days: int
    lon: float | None
    lat: float | None


@dataclass(frozen=True, slots=True)
class Late:
    """Reports open past their limit in one municipality, and the days of the oldest of them."""

    name: Name
    reports: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """What was open past its limit.

    Attributes
    ----------
    reports : in all. limited : open reports that have a limit, of ``open`` in all.
    places : by municipality, most first. oldest : longest past the limit first.
    """

    reports: int
    limited: int
    open: int
    places: tuple[Late, ...] = ()
    oldest: tuple[LateReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Chronic:
    """A place where the same thing was reported, closed, and reported again.

    Attributes
    ----------
    returned : it came back within the period. gap : days until half of what was closed came
        back; None while fewer did. open : not closed at the end of the period.
    """

    element: str
    name: Name
    municipality: Name
    incidents: int
    returns: int
    suspicious: int
    gap: float | None
    last_closed: dt.date
    last_opened: dt.date
    returned: bool
    open: bool
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Spots:
    """Cells of one class.

    Attributes
    ----------
    code : hot_99, hot_95, or a pattern of ``geo.trends.CODES``.
    cells : H3 texts, ascending. reports : in them, in the days looked at.
    """

    code: str
    cells: tuple[str, ...]
    reports: int


@dataclass(frozen=True, slots=True)
class Where:
    """How much of a class lies in one municipality."""

    name: Name
    cells: int
    reports: int


@dataclass(frozen=True, slots=True)
class Heat:
    """Hot or emerging spots.

    Attributes
    ----------
    since, until : days that were looked at. step : "month" or "week" of a history, else "".
    resolution : of the cells, ``cells`` of them in the study area.
    spots : classes that stand out. places : where they are, most reports first.
    """

    since: dt.date
    until: dt.date
    step: str
    resolution: int
    cells: int
    reports: int
    spots: tuple[Spots, ...] = ()
    places: tuple[Where, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a campaign changed: reports came against expected, their ratio and its interval."""

    observed: int
    expected: float
    ratio: float | None
    low: float | None
    high: float | None
    level: float


@dataclass(frozen=True, slots=True)
class Before:
    """One period of a campaign's course: reports came, and expected without it."""

    start: dt.date
    end: dt.date
    observed: int
    expected: float
    after: bool


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A campaign that ran in the period or shortly before it.

    Attributes
    ----------
    status : "running" or "done", by its days as they were known.
    planned : sites, or chosen stretches. expected : finds of the whole plan.
    visits, found, treated : up to the end of the period; ``new_visits`` within it.
    change : None while it runs; and where it cannot be told (``untold``), because too little
        time lies before or after it or nothing says where it worked.
    """

    id: int
    title: str
    kind: str
    status: Literal["running", "done"]
    start: dt.date
    end: dt.date
    planned: int
    expected: float
    visits: int
    new_visits: int
    found: int
    treated: int
    change: Change | None = None
    course: tuple[Before, ...] = ()
    said: tuple[Said, ...] = ()
    untold: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A report closed in the period with a picture of before and one of after, by digest."""

    report_id: int
    reference: str
    element: Name
    municipality: Name
    opened: dt.date
    closed: dt.date
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A municipality's outline, simplified for paper: rings of (lon, lat) decimal degrees."""

    name: Name
    rings: tuple[Ring, ...]


@dataclass(frozen=True, slots=True)
class WeeklyPack:
    """Everything that a weekly pack says.

    Attributes
    ----------
    territory : code. first, last : local days of the period, both included.
    as_of : its end, UTC. known_at : what the store learned later is not in it, UTC.
    simulated : made of simulated reports; illustrative : so are the boundaries.
    newest : local day of the newest report that counts; None without any.
    total : of the territory. municipalities, elements : in order of name, and of code.
    ages : open reports by age in the bands of ``data.analyses.indicators.AGE_BANDS``.
    chronic : worst first, ``chronic_spots`` of them in all.
    said : what to beware of and what was decided, by part.
    """

    territory: str
    name: Name
    timezone: str
    simulated: bool
    illustrative: bool
    first: dt.date
    last: dt.date
    as_of: dt.datetime
    known_at: dt.datetime
    newest: dt.date | None
    total: Line
    municipalities: tuple[Line, ...]
    elements: tuple[Line, ...]
    ages: tuple[int, ...]
    overdue: Overdue
    chronic: tuple[Chronic, ...]
    chronic_spots: int
    hot: Heat
    emerging: Heat
    campaigns: tuple[CampaignResult, ...]
    pairs: tuple[Pair, ...]
    outlines: tuple[Outline, ...]
    said: tuple[tuple[str, tuple[Said, ...]], ...]
    format: int = field(default=FORMAT)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def to_json(self) -> str:
        """The document, keys sorted; ``from_json`` gives an equal pack back."""
        plain = _rounded(_ADAPTER.dump_python(self, mode="json"))
        return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of the document."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


_ADAPTER: TypeAdapter[WeeklyPack] = TypeAdapter(WeeklyPack)


def from_json(text: str | bytes) -> WeeklyPack:
    """The pack of a document.

    Raises
    ------
    InputError : it is no pack, or of a newer format.
    """
    try:
        pack = _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"This is no weekly pack: {where}: {first['msg']}.") from None
    if pack.format > FORMAT:
        raise InputError(f"The pack has format {pack.format}; this Rasd reads up to {FORMAT}. Update Rasd.")
    return pack


def differences(one: WeeklyPack, other: WeeklyPack) -> tuple[str, ...]:
    """Parts in which two packs differ, in order, such as ``overdue`` or ``municipalities``."""
    left, right = json.loads(one.to_json()), json.loads(other.to_json())
    return tuple(name for name in left if left[name] != right.get(name))


def _rounded(value: Any) -> Any:
    """Floats with nine significant digits; whole ones stay as they are."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    return value
