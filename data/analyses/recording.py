"""What changed in the recording, and what floods it: warnings that stand beside every map.

Breaks (``data/analyses/breaks.py``), floods and default points (``data/analyses/floods.py``)
among the reports that fit a question. They are looked for in its whole history and told
when they fall into its period. Caveat: no warning is no proof; a slow change, or one that
comes area by area, is not seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from data import columns
from data.analyses.breaks import FALSE_ALARMS, SEASONS, Break, breaks
from data.analyses.floods import DefaultPlace, Flood, SenderFlood, default_places, floods, sender_floods
from data.analyses.history import FINE_LEVELS, history_of
from data.query import ReportQuery
from data.vocabulary import Channel
from geo.breaks import FEWEST_STEPS
from geo.cells import to_text
from geo.remarks import Remark, Term, caution, decided

NAMED = 3  # of each sort of warning that are told one by one


@dataclass(frozen=True, slots=True)
class Recording:
    """What to know of the recording before trusting a map.

    Attributes
    ----------
    breaks : the newest first. ``seasonal`` came back a year earlier or later: not warned of.
    floods, senders : most reports first.
    weeks : of history that were looked at; 0 when too few for breaks.
    """

    query: ReportQuery
    weeks: int
    breaks: tuple[Break, ...]
    seasonal: tuple[Break, ...]
    floods: tuple[Flood, ...]
    senders: tuple[SenderFlood, ...]
    default_points: tuple[DefaultPlace, ...]
    remarks: tuple[Remark, ...]


def recording_warnings(conn: Connection, query: ReportQuery) -> tuple[Remark, ...]:
    """The warnings alone, as remarks."""
    return recording(conn, query).remarks


def recording(conn: Connection, query: ReportQuery) -> Recording:
    """Breaks, floods and default points among the reports that fit the query.

    Raises
    ------
    InputError : the territory does not exist.
    """
    # Without the first day: what is usual is told by the whole history.
    found, chosen = columns.select(
        conn, dataclasses.replace(query, start=None), {"cell", "day", "channel", "type", *FINE_LEVELS}
    )
    history = history_of(found, chosen)
    weeks = history.weeks if history.weeks >= FEWEST_STEPS else 0
    found_breaks, seasonal = breaks(conn, history, query) if weeks else ((), ())
    found_floods = floods(conn, history, query)
    senders = sender_floods(conn, query)
    points = default_places(conn, query)
    return Recording(
        query=query,
        weeks=weeks,
        breaks=found_breaks,
        seasonal=seasonal,
        floods=found_floods,
        senders=senders,
        default_points=points,
        remarks=(
            *_told_breaks(found_breaks, history.weeks),
            *_told_floods(found_floods, len(history.day)),
            *_told_senders(senders),
            *_told_points(points, query),
        ),
    )


# ---- as remarks ----


def _told_breaks(found: tuple[Break, ...], weeks: int) -> Iterable[Remark]:
    if weeks < FEWEST_STEPS:
        yield decided("recording_short", weeks=weeks, least=FEWEST_STEPS)
        return
    whole = [b for b in found if b.what == "all"]
    for one in whole[:NAMED]:
        yield _told_all(one)
    parts = [b for b in found if b.what != "all"]
    # A change of the taxonomy moves many types on one day: told once.
    days = sorted({b.first for b in parts}, reverse=True)
    for day in days[:NAMED]:
        types = [b for b in parts if b.first == day and b.what == "type"]
        yield from (_told_part(b) for b in parts if b.first == day and b.what != "type")
        if len(types) == 1:
            yield _told_part(types[0])
        elif types:
            named = " · ".join(b.name for b in types[:NAMED])
            yield caution("recording_types", day=day.isoformat(), types=len(types), names=named)
    more = max(0, len(whole) - NAMED) + sum(b.first in days[NAMED:] for b in parts)
    if more:
        yield caution("recording_more", breaks=more)
    if found and weeks < SEASONS:
        yield caution("recording_one_year", weeks=weeks, least=SEASONS)
    yield decided("recording_checked", weeks=weeks, alarms=round(100 * FALSE_ALARMS))


def _told_all(found: Break) -> Remark:
    change = round(100 * (found.level / found.expected - 1)) if found.expected else 100
    day, percent, same, areas = found.first.isoformat(), abs(change), found.same, found.areas
    if found.last is not None:
        last = found.last.isoformat()
        if change < 0:
            return caution("recording_dip", day=day, last=last, percent=percent, same=same, areas=areas)
        return caution("recording_bump", day=day, last=last, percent=percent, same=same, areas=areas)
    if change < 0:
        return caution("recording_fall", day=day, percent=percent, same=same, areas=areas)
    return caution("recording_rise", day=day, percent=percent, same=same, areas=areas)


def _told_part(found: Break) -> Remark:
    name = _channel(found.key) if found.what == "channel" and found.key is not None else found.name
    day, last = found.first.isoformat(), found.last.isoformat() if found.last is not None else ""
    before, after = round(100 * found.expected, 1), round(100 * found.level, 1)
    same, areas = found.same, found.areas
    # A test reads the names of the values at each call, so they are written out.
    match found.what, bool(last):
        case "channel", False:
            return caution(
                "recording_channel", name=name, day=day, before=before, after=after, same=same, areas=areas
            )
        case "channel", True:
            return caution(
                "recording_channel_while",
                name=name, day=day, last=last, before=before, after=after, same=same, areas=areas,
            )  # fmt: skip
        case "source", False:
            return caution(
                "recording_source", name=name, day=day, before=before, after=after, same=same, areas=areas
            )
        case "source", True:
            return caution(
                "recording_source_while",
                name=name, day=day, last=last, before=before, after=after, same=same, areas=areas,
            )  # fmt: skip
        case _, False:
            return caution(
                "recording_type", name=name, day=day, before=before, after=after, same=same, areas=areas
            )
        case _:
            return caution(
                "recording_type_while",
                name=name, day=day, last=last, before=before, after=after, same=same, areas=areas,
            )  # fmt: skip


def _channel(code: int) -> Term:
    return Term(f"channel.{Channel(code).name.lower()}")


def _told_floods(found: tuple[Flood, ...], reports: int) -> Iterable[Remark]:
    for flood in found[:NAMED]:
        cell, day, usual = to_text([flood.cell])[0], flood.day.isoformat(), round(30 * flood.usual, 1)
        if flood.channel is None or flood.channel == Channel.UNKNOWN:
            yield caution(
                "recording_flood",
                reports=flood.reports, type=flood.type_name, place=flood.place, cell=cell, day=day, usual=usual,
            )  # fmt: skip
        else:
            yield caution(
                "recording_flood_channel",
                reports=flood.reports, type=flood.type_name, place=flood.place, cell=cell, day=day, usual=usual,
                channel=_channel(flood.channel),
            )  # fmt: skip
    if len(found) > NAMED:
        share = round(100 * sum(f.reports for f in found) / max(reports, 1), 2)
        yield caution("recording_floods", floods=len(found), named=NAMED, share=share)


def _told_senders(found: tuple[SenderFlood, ...]) -> Iterable[Remark]:
    for flood in found[:NAMED]:
        cell = to_text([flood.cell])[0]
        yield caution("recording_sender", reports=flood.reports, of=flood.of, place=flood.place, cell=cell)
    if len(found) > NAMED:
        yield caution("recording_senders", floods=len(found), named=NAMED)


def _told_points(points: tuple[DefaultPlace, ...], query: ReportQuery) -> Iterable[Remark]:
    for point in points[:NAMED]:
        at = f"{point.lat:.5f}, {point.lon:.5f}"
        if query.default_points:
            yield caution("recording_point_in", reports=point.reports, place=point.place, at=at)
        else:
            yield caution("recording_point_out", reports=point.reports, place=point.place, at=at)
    rest = points[NAMED:]
    if rest:
        yield caution("recording_points", points=len(rest), reports=sum(p.reports for p in rest))
