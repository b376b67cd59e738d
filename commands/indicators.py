"""./rasd indicators, refresh and target: the numbers of a month, their freshness, and what is to be reached."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks, the_territory
from data import lives, targets
from data.analyses.indicators import (
    AGE_BANDS,
    MEANINGS,
    WHOLE,
    Dimension,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    IndicatorSettings,
    Reading,
    Row,
    indicators,
    month_query,
    reports_behind,
)
from data.frames import write_frame
from geo.errors import InputError

_DAY = ["%Y-%m-%d"]
#: On a terminal; the file and --json have them all.
_SHOWN = {
    Indicator.VPI: "VPI", Indicator.RECEIVED: "received", Indicator.CLOSED: "closed",
    Indicator.ON_TIME: "on time", Indicator.REMEDY_MEDIAN: "days, half", Indicator.BACKLOG: "open",
    Indicator.OVERDUE: "late",
}  # fmt: skip


def indicators_command(
    territory: TerritoryOption = None,
    by: Annotated[Dimension, typer.Option(help="What the rows are.")] = Dimension.MUNICIPALITY,
    month: Annotated[
        dt.datetime | None,
        typer.Option("--month", formats=["%Y-%m"], help="The last full month if left out."),
    ] = None,
    start: Annotated[
        dt.datetime | None, typer.Option("--start", formats=_DAY, help="First day, instead of a month.")
    ] = None,
    end: Annotated[
        dt.datetime | None, typer.Option("--end", formats=_DAY, help="Last day, with --start.")
    ] = None,
    known_at: Annotated[
        dt.datetime | None,
        typer.Option(
            "--known-at",
            formats=["%Y-%m-%dT%H:%M:%S%z"],
            help="Only what the store knew then, as in 2026-10-01T08:00:00+0300.",
        ),
    ] = None,
    ground: Annotated[
        str, typer.Option("--ground", help="km² of VPI: served (cells with people or roads), or area.")
    ] = "served",
    behind: Annotated[
        str | None,
        typer.Option("--behind", help="List the reports behind INDICATOR[:ROW], as in overdue:27."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="Write all numbers to a file: .csv, .xlsx or .parquet.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Indicators of a month or period, each as of its end: it comes out the same next year.

    Formulas and columns are described in docs/methods/indicators.md.
    """
    settings = IndicatorSettings(ground=ground)  # type: ignore[arg-type]
    engine = ready()
    with engine.connect() as conn:
        place = the_territory(conn, territory)
    if known_at is None:
        with bar("Reading histories", as_json) as progress:
            lives.refresh_if_stale(engine, place.id, patience=dt.timedelta(0), tick=progress)
    with engine.connect() as conn:
        query = dataclasses.replace(_query(place.id, by, month, start, end), known_at=known_at)
        if behind is not None:
            _tell_behind(conn, query, settings, behind, as_json)
            return
        with bar("Reading histories", as_json) as progress:
            found = indicators(conn, query, settings, tick=progress)
    written = None if file is None else write_frame(frame(found), file)
    if as_json:
        emit(summary(found) | ({"file": str(file), "rows_written": written} if file else {}))
        return
    _tell(found)
    if file is not None:
        say(f"Wrote {written:,} numbers to {file!s}.")


def _query(
    territory: int,
    by: Dimension,
    month: dt.datetime | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
) -> IndicatorQuery:
    if (start is None) != (end is None) or (start is not None and month is not None):
        raise InputError("Give a --month, or both --start and --end.")
    if start is not None and end is not None:
        return IndicatorQuery(territory, by, start.date(), end.date())
    last = month.date() if month else dt.date.today().replace(day=1) - dt.timedelta(days=1)
    asked = month_query(territory, last, by)
    if by is Dimension.MONTH:
        # A single month is no course: the twelve up to it.
        first = last.replace(day=1)
        earlier = first.year * 12 + first.month - 12
        return dataclasses.replace(asked, start=dt.date(earlier // 12, earlier % 12 + 1, 1))
    return asked


def _tell_behind(
    conn: Any, query: IndicatorQuery, settings: IndicatorSettings, behind: str, as_json: bool
) -> None:
    name, _, row = behind.partition(":")
    try:
        indicator = Indicator(name)
    except ValueError:
        raise InputError(f"There is no indicator {name!r}: use one of {', '.join(Indicator)}.") from None
    key: int | str | None = WHOLE
    if row:
        terms = (Dimension.ELEMENT, Dimension.GROUP, Dimension.MONTH)
        key = row if query.by in terms else int(row) if row.isdigit() else None
    ids = reports_behind(conn, query, indicator, key, settings=settings).tolist()
    if as_json:
        emit({"indicator": name, "row": row or None, "reports": ids})
        return
    say(f"{len(ids):,} reports: {', '.join(map(str, ids[:50]))}{' …' if len(ids) > 50 else ''}")


def frame(found: IndicatorResult) -> pd.DataFrame:
    """One line a row and indicator; the columns are in docs/methods/indicators.md."""
    lines = []
    for row, whole in ((found.whole, True), *((row, False) for row in found.rows)):
        for reading in row.readings:
            change = reading.change
            lines.append(
                {
                    "row": "" if row.key is None else str(row.key),
                    "whole": whole,
                    "name_ar": row.name_ar,
                    "name_en": row.name_en,
                    "indicator": str(reading.indicator),
                    "kind": MEANINGS[reading.indicator].kind,
                    "value": reading.value,
                    "low": reading.low,
                    "high": reading.high,
                    "reports": reading.count,
                    "base": reading.base,
                    "amount": reading.amount,
                    "over": reading.over,
                    "shrunken": reading.shrunken,
                    "position": reading.position,
                    "rank": reading.rank,
                    "before": reading.before,
                    "change": None if change is None else change.value,
                    "change_low": None if change is None else change.low,
                    "change_high": None if change is None else change.high,
                    "differs": None if change is None else change.differs,
                    "target": reading.target,
                    "met": reading.met,
                    "start": found.query.start.isoformat(),
                    "end": found.query.end.isoformat(),
                    "as_of": found.as_of.isoformat(),
                    "simulated": found.simulated,
                }
            )
    return pd.DataFrame(lines)


def summary(found: IndicatorResult) -> dict[str, Any]:
    """The answer for machines."""

    def one(row: Row) -> dict[str, Any]:
        return {
            "key": row.key,
            "name_ar": row.name_ar,
            "name_en": row.name_en,
            "ages": dict(zip(map(str, AGE_BANDS), row.ages, strict=True)),
            "readings": {str(r.indicator): _plain(r) for r in row.readings},
        }

    return {
        "by": str(found.query.by),
        "start": found.query.start,
        "end": found.query.end,
        "as_of": found.as_of,
        "read_at": found.freshness.read_at,
        "simulated": found.simulated,
        "ground": found.ground,
        "ground_km2": found.ground_km2,
        "whole": one(found.whole),
        "rows": [one(row) for row in found.rows],
        "remarks": [{"code": remark.code, **dict(remark.values)} for remark in found.remarks],
    }


def _plain(reading: Reading) -> dict[str, Any]:
    values = dataclasses.asdict(reading)
    del values["indicator"]
    return {name: value for name, value in values.items() if value is not None}


def _tell(found: IndicatorResult) -> None:
    table = Table("", *(Column(title, justify="right", no_wrap=True) for title in _SHOWN.values()))
    for row in (*found.rows, found.whole):
        name = "all" if row is found.whole else row.name_en or str(row.key or "none")
        table.add_row(escape(name), *(_cell(row.reading(code)) for code in _SHOWN))
    out.print(table)
    say(
        f"{found.query.start} to {found.query.end}, as of {found.as_of:%Y-%m-%d %H:%M} UTC"
        + (", simulated data." if found.simulated else ".")
    )
    say_remarks(found.remarks)


def _cell(reading: Reading | None) -> str:
    if reading is None or (reading.value is None and not reading.base):
        return ""
    if reading.value is None:
        return "not reached"
    kind = MEANINGS[reading.indicator].kind
    mark = {"low": "-", "high": "+"}.get(reading.position or "", "")
    shown = {"count": f"{reading.value:,.0f}", "share": f"{100 * reading.value:.1f} %"}.get(kind)
    return (shown or f"{reading.value:,.1f}") + mark


def refresh_command(
    territory: TerritoryOption = None,
    force: Annotated[bool, typer.Option("--force", help="Read anew even if nothing changed.")] = False,
    as_json: Json = False,
) -> None:
    """Read the histories anew for the indicators; pages do it by themselves in the background."""
    engine = ready()
    with engine.connect() as conn:
        place = the_territory(conn, territory)
    with bar("Reading histories", as_json) as progress:
        if force:
            found = lives.refresh(engine, place.id, progress)
        else:
            found = lives.refresh_if_stale(engine, place.id, patience=dt.timedelta(0), tick=progress)
    if as_json:
        emit({"territory": place.code, **dataclasses.asdict(found)})
    else:
        say(f"The indicators of {place.code} are as of {found.read_at:%Y-%m-%d %H:%M} UTC.")


target_app = typer.Typer(no_args_is_help=True, help="What indicators are to reach.")


@target_app.command("list", epilog="Example: ./rasd target list")
def list_targets(territory: TerritoryOption = None, as_json: Json = False) -> None:
    """All targets there ever were, the newest first."""
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        found = targets.valid(conn, place.id)
    if as_json:
        emit({"territory": place.code, "targets": [dataclasses.asdict(one) for one in found]})
        return
    for one in found:
        of = next(
            (
                f"{what} {value}"
                for what, value in (("area", one.area_id), ("group", one.group_code), ("party", one.party_id))
                if value is not None
            ),
            "all",
        )
        until = f" to {one.valid_to}" if one.valid_to else ""
        assumed = ", assumed" if one.assumed else ""
        say(f"{one.id:>5} {one.indicator:<16} {one.value:>10g} {of}, from {one.valid_from}{until}{assumed}")
    if not found:
        say("No target is set.")


@target_app.command("set", epilog="Example: ./rasd target set on_time 0.8 --from 2026-10-01")
def set_target(
    indicator: Annotated[Indicator, typer.Argument(help="Which indicator.")],
    value: Annotated[float, typer.Argument(help="In its own unit; shares from 0 to 1.")],
    territory: TerritoryOption = None,
    area: Annotated[int | None, typer.Option("--area", help="Id of a municipality or district.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Code of an element group.")] = None,
    party: Annotated[
        int | None, typer.Option("--party", help="Id of a department, entity, contractor.")
    ] = None,
    since: Annotated[
        dt.datetime | None, typer.Option("--from", formats=_DAY, help="First day; today if left out.")
    ] = None,
    assumed: Annotated[bool, typer.Option("--assumed", help="Set for a trial, by nobody's rule.")] = False,
    as_json: Json = False,
) -> None:
    """Set a target from a day on; the one before ends then and is kept for the past."""
    if MEANINGS[indicator].kind == "share" and value > 1:
        raise InputError(f"{indicator} is a share: a target of 80 % is 0.8, not {value:g}.")
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        made = targets.put(
            conn,
            place.id,
            str(indicator),
            value,
            area_id=area,
            group_code=group,
            party_id=party,
            valid_from=since.date() if since else dt.date.today(),
            assumed=assumed,
        )
    if as_json:
        emit({"target": made})
    else:
        say(f"Target {made} is set.")


@target_app.command("end", epilog="Example: ./rasd target end 3")
def end_target(
    target: Annotated[int, typer.Argument(help="Its number in the list.")],
    territory: TerritoryOption = None,
    as_json: Json = False,
) -> None:
    """Let a target hold no longer from today on."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        targets.end(conn, place.id, target, dt.date.today())
    if as_json:
        emit({"ended": target})
    else:
        say(f"Target {target} has ended.")


def register(app: typer.Typer) -> None:
    app.command(
        "indicators", epilog="Example: ./rasd indicators --by municipality --month 2026-09 --out x.xlsx"
    )(indicators_command)
    app.command("refresh", epilog="Example: ./rasd refresh")(refresh_command)
    app.add_typer(target_app, name="target")
