"""./rasd campaign axes: which stretches of road to improve with a budget."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.campaign_propose import PlanOption, deliver, in_words, least_shares, pairs
from commands.console import Json, TerritoryOption, bar, out, ready, say, say_remarks
from commands.questions import (
    ChannelOption,
    ElementOption,
    EndOption,
    GroupOption,
    MunicipalityOption,
    StartOption,
    question,
)
from data.analyses.axes import propose_axes
from data.analyses.campaigns import remark_of
from data.analyses.rules import CampaignClash
from data.plan import AxisTerms, CampaignPlan
from views.words import Words, short

_SHOWN = 30


def axes_command(
    territory: TerritoryOption = None,
    budget: Annotated[float, typer.Option(help="Million SAR.")] = 20.0,
    length: Annotated[float, typer.Option(help="Metres of a stretch, about.")] = 1_000.0,
    snap: Annotated[float, typer.Option(help="Metres a report may lie from its road.")] = 30.0,
    road_class: Annotated[
        list[str] | None,
        typer.Option("--class", help="Class of roads to look at, such as primary; all main roads; repeat."),
    ] = None,
    cost: Annotated[
        list[str] | None, typer.Option(help="WORK=MILLION SAR per km, such as surface=2.1; repeat.")
    ] = None,
    least_share: Annotated[
        list[str] | None, typer.Option(help="NAME=SHARE of the budget, 0 to 1; repeat.")
    ] = None,
    pin: Annotated[
        list[str] | None, typer.Option(help="Key of a stretch that must be chosen; repeat.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Key of a stretch that must not be chosen; repeat.")
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    municipality: MunicipalityOption = None,
    channel: ChannelOption = None,
    file: PlanOption = None,
    as_json: Json = False,
) -> None:
    """Stretches of road to improve within a budget, chosen exactly, and why."""
    with ready().connect() as conn:
        query = question(
            conn, territory, start=start, end=end, groups=group, elements=element,
            municipalities=municipality, channels=channel,
        )  # fmt: skip
        terms = AxisTerms(
            budget=budget * 1e6,
            costs=tuple((work, sar * 1e6) for work, sar in pairs("--cost", cost, float) or ()),
            length_m=length,
            snap_m=snap,
            least_share=least_shares(conn, query, least_share) or (),
            pinned=tuple(pin or ()),
            dropped=tuple(drop or ()),
            classes=tuple(road_class or ()),
        )
        with bar("Choosing stretches", as_json) as progress:
            try:
                plan = propose_axes(conn, query, terms, tick=progress)
            except CampaignClash as error:
                raise in_words(error) from None
    deliver(plan, file, as_json, tell_axes)


def tell_axes(plan: CampaignPlan) -> None:
    """A plan of axes in sentences and a table."""
    words = Words("en")
    chosen = [stretch for stretch in plan.stretches if stretch.chosen]
    spent, km = sum(s.cost for s in chosen) / 1e6, sum(s.km for s in chosen)
    say(f"{len(chosen)} stretches, {km:,.1f} km, for {spent:,.2f} million SAR.", style="bold")
    out.print(_table(plan, words))
    for run in plan.runs:
        say(
            f"{words.pick(run.axis.ar, run.axis.en) or '-'}: {len(run.keys)} neighbouring stretches ({run.km:,.1f} km) "
            f"with {run.reports:,} reports where {run.expected:,.0f} would be usual."
        )
    if plan.proof is not None:
        proof = plan.proof
        say(
            f"Benefit {proof.objective:,.1f} weighted reports a year; no choice by the same rules exceeds "
            f"{proof.bound:,.1f} (gap {proof.gap:.2%}), none at all {proof.free_bound:,.1f}."
        )
    for rival in plan.rivals:
        say(
            f"Instead {rival.code.replace('_', ' ')}: {rival.cells} stretches with benefit {rival.weighted:,.1f}; "
            f"the plan is {rival.better:+.0%}."
        )
    say_remarks(remark_of(one) for one in plan.remarks)


def _table(plan: CampaignPlan, words: Words) -> Table:
    rows = sorted(plan.stretches, key=lambda s: (not s.chosen, s.rank))[:_SHOWN]
    table = Table(
        "rank", "stretch", "municipality", "km", "per km", Column("work", no_wrap=True), "M SAR", "benefit",
        Column("key", no_wrap=True),
    )  # fmt: skip
    for row in rows:
        name, place = (words.pick(each.ar, each.en) for each in (row.axis, row.municipality))
        table.add_row(
            f"{row.rank}{' ✓' if row.chosen else ''}", escape(f"{name or row.road_class} {row.number}"),
            escape(place), short(row.km), f"{row.shrunk:.0f} ({row.low:.0f}–{row.high:.0f})", row.work,
            f"{row.cost / 1e6:,.2f}", f"{row.benefit:,.1f}", row.key,
        )  # fmt: skip
    return table


def register(group: typer.Typer) -> None:
    group.command("axes", epilog="Example: ./rasd campaign axes --budget 30 --class primary --out axes.json")(
        axes_command
    )
