"""The options by which a command says which reports are meant, and where the answer goes.

The same narrowing as the filters of the page: a municipality, element or type may be
given by its code, its id or its name in either language.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from sqlalchemy import Connection

from commands.console import the_territory
from data import frames
from data.query import ReportQuery
from data.summaries import Choice, choices
from data.vocabulary import Channel, Status
from geo.errors import InputError
from ingest.text import fold

_DAY = ["%Y-%m-%d"]
StartOption = Annotated[dt.datetime | None, typer.Option("--start", formats=_DAY, help="First day.")]
EndOption = Annotated[dt.datetime | None, typer.Option("--end", formats=_DAY, help="Last day.")]
GroupOption = Annotated[
    list[str] | None, typer.Option("--group", help="Element group by code or name; repeat the option.")
]
ElementOption = Annotated[
    list[str] | None, typer.Option("--element", help="Element by code or name; repeat the option.")
]
TypeOption = Annotated[
    list[str] | None, typer.Option("--type", help="Type as the source names it; repeat the option.")
]
MunicipalityOption = Annotated[
    list[str] | None, typer.Option("--municipality", help="Municipality by name or id; repeat the option.")
]
DistrictOption = Annotated[
    list[str] | None, typer.Option("--district", help="District by name or id; repeat the option.")
]
ChannelOption = Annotated[
    list[str] | None, typer.Option("--channel", help="citizen, call_centre, inspector …; repeat the option.")
]
StatusOption = Annotated[list[str] | None, typer.Option("--status", help="open codes such as received.")]
ResolutionOption = Annotated[
    int | None,
    typer.Option("--resolution", min=4, max=10, help="H3 resolution; chosen automatically when left out."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write the result: .geojson, .gpkg, .parquet, .csv or .xlsx.")
]


def question(
    conn: Connection,
    territory: str | None,
    *,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    groups: Sequence[str] | None = None,
    elements: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    municipalities: Sequence[str] | None = None,
    districts: Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
) -> ReportQuery:
    """The query that the options mean.

    Raises
    ------
    InputError : a name is not known; the message lists what there is.
    """
    place = the_territory(conn, territory)
    known = choices(conn, place.id)
    return ReportQuery(
        place.id,
        start=start.date() if start else None,
        end=end.date() if end else None,
        groups=tuple(str(key) for key in _keys("group", known.groups, groups)),
        elements=tuple(str(key) for key in _keys("element", known.elements, elements)),
        types=tuple(int(key) for key in _keys("type", known.types, types)),
        municipalities=tuple(int(key) for key in _keys("municipality", known.municipalities, municipalities)),
        districts=tuple(int(key) for key in _keys("district", known.districts, districts)),
        channels=tuple(_code("channel", Channel, name) for name in channels or ()),
        statuses=tuple(_code("status", Status, name) for name in statuses or ()),
    )


def write_frame(frame: pd.DataFrame, path: Path) -> int:
    """Write a result to the file that ``--out`` names; returns the number of rows."""
    return frames.write_frame(frame, path)


def _keys(what: str, known: Sequence[Choice], wanted: Sequence[str] | None) -> list[int | str]:
    found: list[int | str] = []
    for text in wanted or ():
        folded = fold(text)
        fits = [
            choice.key
            for choice in known
            if text == str(choice.key) or folded in (fold(choice.name_ar or ""), fold(choice.name_en or ""))
        ]
        if not fits:
            listed = ", ".join(f"{c.name_en or c.name_ar} ({c.key})" for c in known[:20]) or "none"
            more = " …" if len(known) > 20 else ""
            raise InputError(f"There is no {what} {text!r} among the reports. There are: {listed}{more}")
        found += fits
    return found


def _code(what: str, kind: type[Channel] | type[Status], name: str) -> int:
    try:
        return int(kind[name.strip().upper().replace("-", "_").replace(" ", "_")])
    except KeyError:
        listed = ", ".join(each.name.lower() for each in kind)
        raise InputError(f"There is no {what} {name!r}: use one of {listed}.") from None
