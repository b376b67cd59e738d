"""What indicators are to reach: targets of a territory, an area, a group of elements or a party.

A target holds from a day on until it is ended or replaced, and is kept after that, so that a
past month is held to what was asked of it then. Caveat: a target of the territory holds for
its parts too where it is a share, a rate or a time; a number of reports is only its own.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

from geo.errors import InputError

_PARTIES = ("department", "entity", "contractor")
_AREAS = ("municipality", "district")


@dataclass(frozen=True, slots=True)
class Target:
    """One target; without area, group and party it is the territory's.

    Attributes
    ----------
    indicator : code of ``Indicator``. value : in the indicator's own unit, shares 0 to 1.
    assumed : set for a trial, by nobody's rule.
    valid_from, valid_to : first day, and the first day on which it no longer holds.
    """

    id: int
    indicator: str
    area_id: int | None
    group_code: str | None
    party_id: int | None
    value: float
    assumed: bool
    valid_from: dt.date
    valid_to: dt.date | None


def valid(conn: Connection, territory_id: int, day: dt.date | None = None) -> tuple[Target, ...]:
    """The targets that hold on a day; None: all that there ever were, the newest first."""
    # Served by ix_target_territory_id.
    rows = conn.execute(
        text(
            """SELECT id, indicator, area_id, group_code, party_id, value, assumed, valid_from, valid_to
               FROM target WHERE territory_id = :territory AND (CAST(:day AS date) IS NULL
                 OR (valid_from <= :day AND (valid_to IS NULL OR valid_to > :day)))
               ORDER BY valid_from DESC, id DESC"""
        ),
        {"territory": territory_id, "day": day},
    )
    return tuple(Target(*row) for row in rows)


def target_for(
    targets: tuple[Target, ...], indicator: str, by: str, key: int | str | None, is_count: bool, whole: bool
) -> float | None:
    """What one row is to reach: its own target, else the territory's where that holds for parts too.

    Parameters
    ----------
    by, key : dimension and key of the row. whole : the row is all of the territory's reports.
    """
    own = [one for one in targets if one.indicator == indicator]
    for one in own:
        if key is not None and (
            (by in _AREAS and one.area_id == key)
            or (by in _PARTIES and one.party_id == key)
            or (by == "group" and one.group_code == key)
        ):
            return one.value
    if is_count and not whole:
        return None
    general = [one for one in own if (one.area_id, one.group_code, one.party_id) == (None, None, None)]
    return general[0].value if general else None


def put(
    conn: Connection,
    territory_id: int,
    indicator: str,
    value: float,
    *,
    area_id: int | None = None,
    group_code: str | None = None,
    party_id: int | None = None,
    valid_from: dt.date,
    assumed: bool = False,
    principal_id: int | None = None,
) -> int:
    """Set a target from a day on; the one that held for the same ends on that day. Returns its id.

    Raises
    ------
    InputError : more than one of area, group and party, or the value is no target.
    """
    if sum(one is not None for one in (area_id, group_code, party_id)) > 1:
        raise InputError("A target is of one area, one group or one party, or of the whole territory.")
    if not 0 <= value < 1e9:
        raise InputError(f"A target is a number of at least 0, not {value:g}.")
    params = {
        "territory": territory_id,
        "indicator": indicator,
        "area": area_id,
        "group": group_code,
        "party": party_id,
        "value": value,
        "from": valid_from,
        "assumed": assumed,
        "principal": principal_id,
    }
    # Served by ix_target_territory_id.
    conn.execute(
        text(
            """UPDATE target SET valid_to = :from WHERE territory_id = :territory AND indicator = :indicator
               AND area_id IS NOT DISTINCT FROM :area AND group_code IS NOT DISTINCT FROM :group
               AND party_id IS NOT DISTINCT FROM :party AND (valid_to IS NULL OR valid_to > :from)"""
        ),
        params,
    )
    return int(
        conn.execute(
            text(
                """INSERT INTO target (territory_id, indicator, area_id, group_code, party_id, value, assumed,
                     valid_from, principal_id)
                   VALUES (:territory, :indicator, :area, :group, :party, :value, :assumed, :from, :principal)
                   RETURNING id"""
            ),
            params,
        ).scalar_one()
    )


def end(conn: Connection, territory_id: int, target_id: int, day: dt.date) -> None:
    """Let a target hold no longer from a day on.

    Raises
    ------
    InputError : there is no such target.
    """
    # Served by pk_target.
    found = conn.execute(
        text(
            """UPDATE target SET valid_to = greatest(:day, valid_from)
               WHERE id = :id AND territory_id = :territory RETURNING id"""
        ),
        {"id": target_id, "territory": territory_id, "day": day},
    ).scalar_one_or_none()
    if found is None:
        raise InputError(f"There is no target {target_id} in this territory: see ./rasd target list.")
