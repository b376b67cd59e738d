"""What a campaign assumes of each kind of report and each kind of target.

Two reference tables, all assumed and meant to be edited: ``campaign_elements.csv`` (how
grave an element is, how long it may stay open, how long a look at it takes, whether
volunteers can remove it, with what) and ``campaign_targets.csv`` (how often a visit finds
something, how much a find weighs). Caveat: no official table by element was found.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import reference
from data.plan import TARGETS, Name
from geo.errors import StoreError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ELEMENTS = "campaign_elements.csv"
_TARGETS = "campaign_targets.csv"
DEFAULT = "*"


@dataclass(frozen=True, slots=True)
class ElementTerms:
    """One row of ``campaign_elements.csv``.

    Attributes
    ----------
    weight : of a find, 1 is usual. limit_days : open longer is overdue, where a report says nothing.
    site_factor : times the usual minutes at a site. volunteer : volunteers can remove it.
    crew_minutes : person-minutes of work a unit. usual_quantity : where a report has none.
    material : code of what volunteers bring, "" for nothing; per_unit : so much of it.
    """

    weight: float
    limit_days: float
    site_factor: float
    volunteer: bool
    crew_minutes: float
    usual_quantity: float
    material: str
    per_unit: float


@dataclass(frozen=True, slots=True)
class TargetTerms:
    """One row of ``campaign_targets.csv``: Beta prior of the hit rate, and usual weights."""

    prior_a: float
    prior_b: float
    weight: float
    weight_community: float


@functools.cache
def element_terms() -> dict[str, ElementTerms]:
    """Terms by element code; the key ``*`` is for all others.

    Raises
    ------
    StoreError : the file lacks the default or holds a value that cannot be one.
    """
    found: dict[str, ElementTerms] = {}
    for row in reference.read(_ELEMENTS):
        number = _numbers(_ELEMENTS, row["code"], row)
        found[row["code"]] = ElementTerms(
            weight=number("severity_weight", 0, 1000),
            limit_days=number("limit_days", 0, 3660),
            site_factor=number("site_factor", 0.05, 50),
            volunteer=bool(number("volunteer", 0, 1)),
            crew_minutes=number("crew_minutes", 0, 10_000),
            usual_quantity=number("usual_quantity", 0, 1e6),
            material=row["material"],
            per_unit=number("material_per_unit", 0, 1e6),
        )
    if DEFAULT not in found:
        raise StoreError(f"data/reference/{_ELEMENTS} has no row {DEFAULT!r}, the default of all kinds.")
    return found


@functools.cache
def target_terms() -> dict[str, TargetTerms]:
    """Terms by kind of target, in the order of ``data.plan.TARGETS``.

    Raises
    ------
    StoreError : a kind is missing, or a value cannot be one.
    """
    rows = {row["target"]: row for row in reference.read(_TARGETS)}
    missing = [target for target in TARGETS if target not in rows]
    if missing:
        raise StoreError(f"data/reference/{_TARGETS} has no row for {', '.join(missing)}.")
    found = {}
    for target in TARGETS:
        number = _numbers(_TARGETS, target, rows[target])
        found[target] = TargetTerms(
            prior_a=number("prior_a", 1e-3, 1e6),
            prior_b=number("prior_b", 1e-3, 1e6),
            weight=number("weight", 0, 1000),
            weight_community=number("weight_community", 0, 1000),
        )
    return found


def _numbers(file: str, name: str, row: dict[str, str]) -> Callable[[str, float, float], float]:
    def number(column: str, low: float, high: float) -> float:
        try:
            value = float(row[column])
        except (KeyError, ValueError):
            value = math.nan
        if not low <= value <= high:
            raise StoreError(
                f"data/reference/{file}: the row of {name} needs a number from {low:g} to {high:g} "
                f"in {column}, not {row.get(column)!r}."
            )
        return value

    return number


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """The kinds of report in a territory: elements (positive ids) and source types (negative).

    Attributes
    ----------
    ids : (k,) ascending; 0 stands for a report of neither. code : "" for what is no element.
    key : code of a kind in a list of parts: the element's, or ``t`` and the type's id.
    terms : one each.
    """

    ids: Ints
    code: tuple[str, ...]
    key: tuple[str, ...]
    name: tuple[Name, ...]
    terms: tuple[ElementTerms, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, ids: npt.ArrayLike) -> Ints:
        """Position of each kind (m,) among ``ids``; one that is not there is the kind 0."""
        wanted = np.asarray(ids, dtype=np.int64)
        place = np.searchsorted(self.ids, wanted).clip(max=len(self.ids) - 1)
        return np.where(self.ids[place] == wanted, place, np.searchsorted(self.ids, 0))

    def numbers(self, name: str) -> Floats:
        """A field of the terms of all kinds, (k,)."""
        return np.array([getattr(terms, name) for terms in self.terms], dtype=np.float64)


def kinds(conn: Connection, territory_id: int, severity: tuple[tuple[str, float], ...] = ()) -> Kinds:
    """All kinds that a report of the territory may have.

    Parameters
    ----------
    severity : (element code, weight) in place of the table's.
    """
    known, own = element_terms(), dict(severity)
    # Served by scans of `element` and `source_type`: some dozen or hundred rows.
    rows = conn.execute(
        text(
            """SELECT id, code, name_ar, name_en FROM element
               UNION ALL SELECT 0, '', '', ''
               UNION ALL SELECT -t.id, '', t.name, t.name FROM source_type t JOIN source s ON s.id = t.source_id
                 WHERE s.territory_id = :territory ORDER BY id"""
        ),
        {"territory": territory_id},
    ).all()
    terms = []
    for row in rows:
        one = known.get(row.code, known[DEFAULT])
        weight = own.get(row.code, one.weight) if row.code else one.weight
        terms.append(
            ElementTerms(
                weight,
                one.limit_days,
                one.site_factor,
                one.volunteer,
                one.crew_minutes,
                one.usual_quantity,
                one.material,
                one.per_unit,
            )
        )
    return Kinds(
        ids=np.array([row.id for row in rows], dtype=np.int64),
        code=tuple(row.code for row in rows),
        key=tuple(row.code or (f"t{-row.id}" if row.id else "") for row in rows),
        name=tuple(Name(row.name_ar, row.name_en) for row in rows),
        terms=tuple(terms),
    )
