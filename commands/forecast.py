"""./rasd forecast and ./rasd backtest: where reports will be, and how well that did before."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import pandas as pd
import typer
from rich.table import Table
from sqlalchemy import Connection

from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks
from commands.questions import (
    ChannelOption,
    DistrictOption,
    ElementOption,
    EndOption,
    GroupOption,
    MunicipalityOption,
    OutOption,
    ResolutionOption,
    StartOption,
    StatusOption,
    TypeOption,
    question,
    write_frame,
)
from data.analyses.forecasts import Backtest, Forecast, ForecastSettings, backtest, forecast
from data.query import ReportQuery
from data.summaries import choices
from geo.forecast import AUTO, CODES
from views.words import short

HorizonOption = Annotated[
    Literal["week", "month"], typer.Option("--horizon", help="The next 7 days, or the next 30.")
]
CountOption = Annotated[
    Literal["reports", "incidents"],
    typer.Option("--count", help="Count reports, or incidents by their first report."),
]
ByGroupOption = Annotated[
    bool, typer.Option("--by-group", help="Each element group by itself, each with its own best model.")
]
ModelOption = Annotated[
    str,
    typer.Option("--model", help=f"{AUTO} (the best of the kept backtest), or one of {', '.join(CODES)}."),
]


def forecast_command(
    territory: TerritoryOption = None,
    start: StartOption = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    type_: TypeOption = None,
    municipality: MunicipalityOption = None,
    district: DistrictOption = None,
    channel: ChannelOption = None,
    status: StatusOption = None,
    count: CountOption = "reports",
    horizon: HorizonOption = "month",
    model: ModelOption = AUTO,
    by_group: ByGroupOption = False,
    resolution: ResolutionOption = None,
    file: OutOption = None,
    as_json: Json = False,
) -> None:
    """Reports to expect in every cell in the days after the newest report.

    Columns of the file are described in docs/methods/forecast.md. Make a backtest first:
    it says how far to trust the forecast, and chooses its model.
    """
    settings = ForecastSettings(horizon=horizon, resolution=resolution, model=model)
    with ready().connect() as conn:
        query = question(
            conn, territory, start=start, end=end, groups=group, elements=element, types=type_,
            municipalities=municipality, districts=district, channels=channel, statuses=status,
        )  # fmt: skip
        query = dataclasses.replace(query, incidents=count == "incidents")
        with bar("Forecasting", as_json) as progress:
            found = {
                code: forecast(conn, narrowed, settings, tick=progress)
                for code, narrowed in _questions(conn, query, by_group)
            }
    frames = [
        one.to_geodataframe().assign(**({"group": code} if by_group else {})) for code, one in found.items()
    ]
    written = None if file is None else write_frame(pd.concat(frames, ignore_index=True), file)
    if as_json:
        told = {code: one.summary() for code, one in found.items()}
        emit((told if by_group else told[""]) | ({"file": str(file), "rows": written} if file else {}))
        return
    for code, one in found.items():
        _tell_forecast(code, one)
    if file is not None:
        say(f"Wrote {written:,} rows to {file!s}.")


def backtest_command(
    territory: TerritoryOption = None,
    start: StartOption = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    type_: TypeOption = None,
    municipality: MunicipalityOption = None,
    district: DistrictOption = None,
    channel: ChannelOption = None,
    status: StatusOption = None,
    count: CountOption = "reports",
    horizon: HorizonOption = "month",
    by_group: ByGroupOption = False,
    resolution: ResolutionOption = None,
    file: OutOption = None,
    as_json: Json = False,
) -> None:
    """How well every forecast model did on windows that it had never seen.

    Columns of the file (.csv, .xlsx or .parquet) are described in docs/methods/forecast.md. The
    result is kept and chooses the model of ./rasd forecast until the data change.
    """
    settings = ForecastSettings(horizon=horizon, resolution=resolution)
    found: dict[str, Backtest] = {}
    with ready().connect() as conn:
        query = question(
            conn, territory, start=start, end=end, groups=group, elements=element, types=type_,
            municipalities=municipality, districts=district, channels=channel, statuses=status,
        )  # fmt: skip
        query = dataclasses.replace(query, incidents=count == "incidents")
        with bar("Forecasting the past", as_json) as progress:
            for code, narrowed in _questions(conn, query, by_group):
                found[code] = backtest(conn, narrowed, settings, tick=progress)
                conn.commit()
    frames = [one.to_frame().assign(**({"group": code} if by_group else {})) for code, one in found.items()]
    written = None if file is None else write_frame(pd.concat(frames, ignore_index=True), file)
    if as_json:
        told = {code: one.summary() for code, one in found.items()}
        emit((told if by_group else told[""]) | ({"file": str(file), "rows": written} if file else {}))
        return
    for code, one in found.items():
        _tell_backtest(code, one)
    if file is not None:
        say(f"Wrote {written:,} rows to {file!s}.")


def _questions(conn: Connection, query: ReportQuery, by_group: bool) -> list[tuple[str, ReportQuery]]:
    """The question itself under "", or one for each element group that it covers."""
    if not by_group:
        return [("", query)]
    known = [str(choice.key) for choice in choices(conn, query.territory_id).groups]
    wanted = [code for code in known if not query.groups or code in query.groups]
    return [(code, dataclasses.replace(query, groups=(code,))) for code in wanted]


def _tell_forecast(code: str, one: Forecast) -> None:
    name = f"Group {code}: " if code else ""
    if one.first is not None:
        recent = int(one.recent.sum())
        say(
            f"{name}about {one.total:,.0f} reports from {one.first} to {one.last} ({recent:,} in as many days "
            f"before), model {one.model}; {float(one.expected[one.top(0.05)].sum() / one.total):.0%} of them "
            "expected in 5 % of the area.",
            style="bold",
        )
    say_remarks(one.remarks)


def _tell_backtest(code: str, one: Backtest) -> None:
    name = f"Group {code}: " if code else ""
    if one.starts:
        say(
            f"{name}{len(one.starts)} windows of {one.days} days from {one.starts[0]}, {one.reports:,} reports in "
            f"{one.cells:,} cells of resolution {one.resolution}. Best: {one.best}.",
            style="bold",
        )
        table = Table("model", "area", "hit %", "PAI", "95 %", "PEI")
        for score in one.scores:
            table.add_row(
                score.model, f"{score.budget:.0%}", f"{100 * score.hit:.1f}", short(score.pai),
                f"{score.low:.2f} – {score.high:.2f}", f"{score.pei:.2f}",
            )  # fmt: skip
        out.print(table)
        for gain in one.differences:
            sure = "better" if gain.better else "no sure difference" if gain.high > 0 else "worse"
            say(
                f"{gain.model} minus {gain.against} at {gain.budget:.0%}: PAI {gain.pai:+.2f} "
                f"({gain.low:+.2f} to {gain.high:+.2f}), {sure}"
            )
    say_remarks(one.remarks)


def register(app: typer.Typer) -> None:
    app.command("forecast", epilog="Example: ./rasd forecast --horizon week --out next.geojson")(
        forecast_command
    )
    app.command("backtest", epilog="Example: ./rasd backtest --by-group --out backtest.csv")(backtest_command)
