"""The rows of a file of visits, read and checked: who went where, when, and what was there.

Works on whole columns where parsing is done (dates, points, words) and row by row where a
row meets the plan it belongs to. A row with any fault is refused with all of them; nothing
is corrected silently. A site says the rest of its visit: its area, place and kind of target.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz import process
from sqlalchemy import Connection

from data.elements import alias_pairs, element_entries
from data.territories import Territory, study_area
from data.visits import AHEAD, TEXT_MOST, VISIT_SCHEMA, Planned, PlannedSite, visit_digest
from geo.cells import cells_of
from geo.locate import NEAR_METRES, OUTSIDE, StudyArea
from ingest.classify import ElementClassifier, ElementEntry, Match
from ingest.coordinates import CoordinateSpec, StudyBox, parse_points, settle_points
from ingest.dates import DateEvidence, DateHints, parse_dates
from ingest.faults import Faults, equals
from ingest.readers import LAT, LINE, LON
from ingest.text import clean, fold, western_digits
from ingest.typed import as_text, joined_clock

Flags = NDArray[np.bool_]
_EARLIEST = dt.date(2000, 1, 1)
_NAME_MOST = 200
FAR_METRES = 500.0  # a visit this far from its site is told
_METRES = 111_320.0  # a degree of latitude
_CAMPAIGN = re.compile(r"[^\d]{0,24}?(\d{1,9})(?:\s*[vV./·-]+\s*\d{1,4})?")


@dataclass
class VisitRows:
    """What a file's rows came to.

    Attributes
    ----------
    visits : VISIT_SCHEMA, one row a visit, of rows without a fault.
    lines : (n,) of the file. refused : (n,) rows that have faults; ``faults`` knows which.
    references : (n,) what ties a refused row to its corrected one: campaign and site.
    arrived : references of rows that were taken.
    blank, duplicates, far : rows that nobody filled in; that repeat another; far from their site.
    """

    visits: pl.DataFrame
    lines: NDArray[np.int64]
    refused: Flags
    faults: Faults
    references: list[str | None]
    arrived: list[str]
    blank: int
    duplicates: int
    far: int
    notes: list[str]


class Reader:
    """Reads the rows of one file.

    Parameters
    ----------
    plans : of the campaigns that the file names, by number.
    mapping : the file's column of each field. words : those for yes and no.
    timezone : of wall times. now : judges future dates. campaign : of rows that name none.
    """

    def __init__(
        self,
        conn: Connection,
        place: Territory,
        plans: dict[int, Planned],
        mapping: dict[str, str],
        words: dict[str, Any],
        timezone: str,
        now: dt.datetime,
        campaign: int | None,
    ) -> None:
        self.place = place
        self.plans = plans
        self.mapping = mapping
        self.answers = {fold(w) or w: True for w in words["yes"]} | {fold(w) or w: False for w in words["no"]}
        self.timezone = timezone
        self.now = now
        self.campaign = campaign
        elements = element_entries(conn)
        self.codes = {entry.code: entry.id for entry in elements}
        self.classifier = ElementClassifier(
            [ElementEntry(**asdict(entry)) for entry in elements], alias_pairs(conn)
        )
        ground = study_area(conn, place.id)
        self.ground = None if ground is None else StudyArea(ground)
        self.box = None if place.bounds is None else StudyBox(*place.bounds, 0.1)
        self.notes: list[str] = []

    @staticmethod
    def campaign_number(said: str) -> int | None:
        """The campaign of "12", "12.0", "Campaign 12", "12 v3" or "الحملة ١٢"; None if it names none."""
        texts = western_digits(clean(pl.Series([said], dtype=pl.String)))
        found = None if texts[0] is None else _CAMPAIGN.fullmatch(texts[0])
        return None if found is None else int(found[1])

    def read(self, frame: pl.DataFrame) -> VisitRows:
        """All rows of a file, its lines in the column ``__line``."""
        filled = self._filled(frame)
        blank = int(frame.height - filled.sum())
        faults = Faults(frame.height)
        cells: dict[str, list[Any]] = {
            "found": self._answer(frame, "found", filled, faults, required=True),
            "treated": self._answer(frame, "treated", filled, faults, required=False),
            "campaign_id": self._campaigns(frame, filled, faults),
            "area": self._areas(frame, filled, faults),
            "visited_at": self._dates(frame, filled, faults),
            "site": self._text(frame, "site", lower=True).to_list(),
            "team": self._limited(frame, "team", _NAME_MOST, filled, faults),
            "photo": self._limited(frame, "photo", _NAME_MOST, filled, faults),
            "note": self._limited(frame, "note", TEXT_MOST, filled, faults),
        }
        lon, lat = self._points(frame, filled, faults)
        sites = self._sites(frame, cells, filled, faults)
        far = self._settle(cells, sites, lon, lat)
        self._placed(frame, cells, lon, lat, filled, faults)
        self._elements(frame, cells, sites, filled, faults)
        untrue = np.array(
            [t is True and f is False for t, f in zip(cells["treated"], cells["found"], strict=True)]
        )
        faults.add("treated_without_find", self.mapping.get("treated"), untrue & filled)
        lines = frame[LINE].to_numpy().astype(np.int64)
        refused = faults.refused()
        references = [
            f"{campaign}/{site}" if campaign and site else None
            for campaign, site in zip(cells["campaign_id"], cells["site"], strict=True)
        ]
        taken = np.flatnonzero(filled & ~refused)
        visits, duplicates = self._visits(cells, sites, lon, lat, lines, taken)
        arrived = sorted({said for row in taken if (said := references[row]) is not None})
        return VisitRows(
            visits,
            lines,
            refused,
            faults,
            references,
            arrived,
            blank,
            duplicates,
            int(far[taken].sum()) if len(taken) else 0,
            self.notes,
        )

    # -- columns --------------------------------------------------------------------------

    def _text(self, frame: pl.DataFrame, name: str, *, lower: bool = False) -> pl.Series:
        column = self.mapping.get(name)
        if column is None:
            return pl.Series(name, [None] * frame.height, dtype=pl.String)
        values = clean(as_text(frame[column]))
        return western_digits(values).str.to_lowercase() if lower else values

    def _filled(self, frame: pl.DataFrame) -> Flags:
        """Rows in which a team wrote anything, (n,); a column ``visited`` may say no."""
        filled = np.zeros(frame.height, dtype=bool)
        for name in ("found", "treated", "photo", "note"):
            filled |= self._text(frame, name).is_not_null().to_numpy()
        if "visited" in self.mapping:
            said = [self._means(text) for text in self._text(frame, "visited").to_list()]
            filled |= np.array([answer is True for answer in said])
            filled &= np.array([answer is not False for answer in said])
        return filled

    def _means(self, said: str | None) -> bool | None:
        return None if said is None else self.answers.get(fold(said) or said)

    def _answer(
        self, frame: pl.DataFrame, name: str, filled: Flags, faults: Faults, *, required: bool
    ) -> list[bool | None]:
        values = self._text(frame, name)
        given = values.is_not_null().to_numpy()
        answers = [self._means(said) for said in values.to_list()]
        unknown = np.array([answer is None for answer in answers]) & given
        proposal = pl.Series(["yes or no, نعم or لا"]).new_from_index(0, frame.height)
        faults.add(f"unreadable_{name}", self.mapping.get(name), unknown & filled, values, proposal)
        if required:
            faults.add(f"missing_{name}", self.mapping.get(name), ~given & filled)
        return answers

    def _limited(
        self, frame: pl.DataFrame, name: str, most: int, filled: Flags, faults: Faults
    ) -> list[str | None]:
        values = self._text(frame, name)
        long = (values.str.len_chars() > most).fill_null(False).to_numpy()
        faults.add("text_too_long", self.mapping.get(name), long & filled, values.str.slice(0, 80))
        return values.to_list()

    def _campaigns(self, frame: pl.DataFrame, filled: Flags, faults: Faults) -> list[int | None]:
        values = self._text(frame, "campaign")
        numbers = {said: self.campaign_number(said) for said in values.unique().drop_nulls().to_list()}
        found = [self.campaign if said is None else numbers[said] for said in values.to_list()]
        given = values.is_not_null().to_numpy()
        column = self.mapping.get("campaign")
        unknown = np.array([number not in self.plans for number in found]) & given
        faults.add("unknown_campaign", column, unknown & filled, values)
        other = np.array(
            [number in self.plans and self.plans[number].territory_id != self.place.id for number in found]
        )
        faults.add("other_territory", column, other & filled, values)
        return found

    def _areas(self, frame: pl.DataFrame, filled: Flags, faults: Faults) -> list[int | None]:
        values = self._text(frame, "area", lower=True)
        numbers = values.str.extract(r"^\D*(\d{1,6})(?:\.0+)?$").cast(pl.Int64)
        odd = (values.is_not_null() & numbers.is_null()).to_numpy()
        faults.add("unreadable_area", self.mapping.get("area"), odd & filled, values)
        return numbers.to_list()

    def _dates(self, frame: pl.DataFrame, filled: Flags, faults: Faults) -> list[dt.datetime | None]:
        column = self.mapping["date"]
        values = frame[column]
        if "time" in self.mapping:
            values = joined_clock(values, self._text(frame, "time"))
        evidence = DateEvidence()
        evidence.update(values)
        hints = DateHints(timezone=self.timezone)
        order = evidence.settle(hints)
        counts = order.counts
        if counts.dmy or counts.mdy or counts.ambiguous:
            self.notes.append(f"{column}: {order.describe()}")
        parsed = parse_dates(
            values, order, hints, window=(_EARLIEST, self.now.date() + dt.timedelta(days=366))
        )
        given = clean(as_text(values)).is_not_null().to_numpy()
        faults.add("missing_date", column, ~given & filled)
        for code in ("unreadable_date", "hijri_year_implausible"):
            faults.add(code, column, equals(parsed.fault, code) & filled, as_text(values), parsed.proposal)
        lost = given & parsed.utc.is_null().to_numpy() & parsed.fault.is_null().to_numpy()
        faults.add("unreadable_date", column, lost & filled, as_text(values))
        late = (parsed.utc > self.now + AHEAD).fill_null(False).to_numpy()
        faults.add("future_date", column, late & filled, as_text(values))
        return parsed.utc.to_list()

    def _points(
        self, frame: pl.DataFrame, filled: Flags, faults: Faults
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where visits were made, nan where the row does not say; decimal degrees."""
        n = frame.height
        names = [self.mapping.get(name) for name in ("longitude", "latitude", "location")]
        lon_name, lat_name, place_name = names
        pair = lon_name is not None and lat_name is not None
        if not pair and place_name is None:
            if LON not in frame.columns:
                return np.full(n, np.nan), np.full(n, np.nan)
            return tuple(frame[c].cast(pl.Float64).fill_null(np.nan).to_numpy().copy() for c in (LON, LAT))  # type: ignore[return-value]
        x = frame[lon_name] if pair and lon_name else None
        y = frame[lat_name] if pair and lat_name else None
        both = None if pair or place_name is None else frame[place_name]
        spec, _ = settle_points(x, y, both, CoordinateSpec(), self.box)
        points = parse_points(x, y, both, spec, self.box)
        shown = lon_name if pair else place_name
        for code in ("unreadable_coordinates", "out_of_range_coordinates"):
            faults.add(code, shown, equals(points.fault, code) & filled, as_text(frame[str(shown)]))
        return points.lon, points.lat

    # -- what a row and its plan say together -----------------------------------------------

    def _sites(
        self, frame: pl.DataFrame, cells: dict[str, list[Any]], filled: Flags, faults: Faults
    ) -> list[PlannedSite | None]:
        """The planned site of each row; faults for keys and areas that no plan has."""
        n = frame.height
        found: list[PlannedSite | None] = [None] * n
        unknown, alone, no_area = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
        proposals: list[str | None] = [None] * n
        for row in np.flatnonzero(filled):
            plan = self.plans.get(cells["campaign_id"][row])
            key, area = cells["site"][row], cells["area"][row]
            if plan is None:
                alone[row] = bool(key) and cells["campaign_id"][row] is None
                continue
            if key:
                found[row] = plan.sites.get(key)
                unknown[row] = found[row] is None
                if unknown[row]:
                    near = process.extractOne(key, plan.sites.keys(), score_cutoff=75)
                    proposals[row] = near[0] if near else None
            elif area is not None:
                no_area[row] = area not in plan.areas
        shown = self._text(frame, "site")
        faults.add(
            "unknown_site", self.mapping.get("site"), unknown, shown, pl.Series(proposals, dtype=pl.String)
        )
        faults.add("site_without_campaign", self.mapping.get("site"), alone, shown)
        faults.add("unknown_area", self.mapping.get("area"), no_area, self._text(frame, "area"))
        return found

    def _settle(
        self,
        cells: dict[str, list[Any]],
        sites: list[PlannedSite | None],
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
    ) -> Flags:
        """Areas and places from the sites, in place; which rows lie far from their site, (n,)."""
        far = np.zeros(len(sites), dtype=bool)
        moved = 0
        for row, site in enumerate(sites):
            if site is None:
                continue
            moved += cells["area"][row] not in (None, site.area)
            cells["area"][row] = site.area
            if site.lon is None or site.lat is None:
                continue
            if not (np.isfinite(lon[row]) and np.isfinite(lat[row])):
                lon[row], lat[row] = site.lon, site.lat
                continue
            east = (lon[row] - site.lon) * _METRES * np.cos(np.radians(site.lat))
            far[row] = np.hypot(east, (lat[row] - site.lat) * _METRES) > FAR_METRES
        if moved:
            self.notes.append(f"{moved:,} rows name another area than their site's: the site's was taken.")
        return far

    def _placed(
        self,
        frame: pl.DataFrame,
        cells: dict[str, list[Any]],
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
        filled: Flags,
        faults: Faults,
    ) -> None:
        placed = np.isfinite(lon) & np.isfinite(lat)
        named = np.array([bool(site) for site in cells["site"]])
        in_area = np.array(
            [
                campaign is not None and area is not None
                for campaign, area in zip(cells["campaign_id"], cells["area"], strict=True)
            ]
        )
        faults.add("missing_place", self.mapping.get("site"), filled & ~placed & ~named & ~in_area)
        if self.ground is not None:
            outside = placed & (self.ground.classify(lon, lat, NEAR_METRES) == OUTSIDE)
            shown = pl.Series([f"{x:.5f}, {y:.5f}" for x, y in zip(lon, lat, strict=True)])
            column = self.mapping.get("longitude", self.mapping.get("location"))
            faults.add("outside_study_area", column, outside & filled, shown)
        cells["cell"] = [
            int(cell) or None
            for cell in cells_of(np.where(placed, lon, np.nan), np.where(placed, lat, np.nan))
        ]

    def _elements(
        self,
        frame: pl.DataFrame,
        cells: dict[str, list[Any]],
        sites: list[PlannedSite | None],
        filled: Flags,
        faults: Faults,
    ) -> None:
        """What was found: as written, else the site's own; nothing where nothing was found."""
        values = self._text(frame, "element")
        hits = np.array([found is True for found in cells["found"]]) & filled
        words = values.filter(pl.Series(hits)).unique().drop_nulls().sort().to_list()
        means: dict[str, Match] = dict(zip(words, self.classifier.classify_unique(words), strict=True))
        elements: list[int | None] = [None] * frame.height
        unknown = np.zeros(frame.height, dtype=bool)
        proposals: list[str | None] = [None] * frame.height
        said = values.to_list()
        for row in np.flatnonzero(hits):
            word, site = said[row], sites[row]
            if word is not None:
                elements[row] = means[word].element_id
                unknown[row] = elements[row] is None
                proposals[row] = ", ".join(means[word].suggestions) or None
            elif site is not None and site.element:
                elements[row] = self.codes.get(site.element)
        faults.add(
            "unknown_element",
            self.mapping.get("element"),
            unknown,
            values,
            pl.Series(proposals, dtype=pl.String),
        )
        cells["element_id"] = elements

    def _visits(
        self,
        cells: dict[str, list[Any]],
        sites: list[PlannedSite | None],
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
        lines: NDArray[np.int64],
        taken: NDArray[np.int64],
    ) -> tuple[pl.DataFrame, int]:
        """Rows as visits: those told twice once, several at one place and time numbered in order."""
        told: dict[int, list[tuple[Any, ...]]] = {}
        records = []
        duplicates = 0
        columns = ("area", "team", "visited_at", "found", "element_id", "treated", "photo", "note", "cell")
        for row in taken:
            campaign, site = cells["campaign_id"][row], sites[row]
            x = float(lon[row]) if np.isfinite(lon[row]) else None
            y = float(lat[row]) if np.isfinite(lat[row]) else None
            identity = (campaign, cells["site"][row], cells["area"][row], cells["team"][row])
            moment = cells["visited_at"][row]
            content = tuple(cells[name][row] for name in columns)
            before = told.setdefault(visit_digest(*identity, moment, x, y), [])
            if content in before:
                duplicates += 1
                continue
            before.append(content)
            plan = self.plans.get(campaign)
            version = site.version if site is not None else None if plan is None else plan.version
            records.append(
                {
                    "campaign_id": campaign,
                    "version": version,
                    "site": cells["site"][row],
                    "target": None if site is None else site.target,
                    "report_id": None if site is None else site.report_id,
                    "lon": x,
                    "lat": y,
                    "line": int(lines[row]),
                    "digest": visit_digest(*identity, moment, x, y, len(before)),
                    **dict(zip(columns, content, strict=True)),
                }
            )
        return pl.DataFrame(records, schema=VISIT_SCHEMA), duplicates
