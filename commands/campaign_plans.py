"""./rasd campaign save, list, show, status, again, effect: what became of the plans."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.campaign_propose import write_plan
from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks, the_territory
from data import campaigns
from data.analyses.effect_ground import EffectSettings
from data.analyses.effects import Effect, effect
from data.analyses.replay import same_again
from data.campaigns import STATUSES, Saved
from data.plan import from_json
from data.visits import HitRate, hit_rates_of
from geo.effects import Estimate
from geo.errors import InputError
from views.remarks import sentence
from views.words import Words, short

CampaignArgument = Annotated[int, typer.Argument(help="Number of the saved campaign.")]
NoteOption = Annotated[str, typer.Option("--note", help="Why; kept in the history.")]


def save_command(
    file: Annotated[Path, typer.Argument(help="A plan as JSON, as ./rasd campaign propose --out writes it.")],
    title: Annotated[str, typer.Option("--title", help="What the campaign is called.")],
    campaign: Annotated[
        int | None, typer.Option("--campaign", help="Save as the next version of this campaign.")
    ] = None,
    note: NoteOption = "",
    as_json: Json = False,
) -> None:
    """Keep a plan. The same plan again is the same version."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    with ready().begin() as conn:
        saved = campaigns.save(conn, from_json(text), title, note, campaign_id=campaign)
    if as_json:
        emit(_head(saved) | {"changed": saved.changed})
        return
    kept = "saved" if saved.changed else "unchanged: this plan was saved before"
    say(f"Campaign {saved.id} '{saved.title}', version {saved.version}: {kept}.")


def list_command(territory: TerritoryOption = None, as_json: Json = False) -> None:
    """The saved campaigns, newest first."""
    with ready().connect() as conn:
        place = the_territory(conn, territory).id if territory is not None else None
        found = campaigns.listed(conn, place)
    if as_json:
        emit({"campaigns": [one.to_dict() for one in found]})
        return
    if not found:
        say("No campaign has been saved yet.")
        return
    whole = {name: Column(name, no_wrap=True) for name in ("no.", "kind", "status", "visits", "found")}
    table = Table(
        whole["no."], whole["kind"], Column("title", overflow="fold"), whole["status"], "areas", "finds",
        whole["visits"], whole["found"],
    )  # fmt: skip
    for one in found:
        table.add_row(
            str(one.id),
            one.kind,
            escape(one.title),
            one.status,
            str(one.areas),
            short(one.finds),
            f"{one.visits:,}",
            f"{one.found:,}",
        )
    out.print(table)


def show_command(
    campaign: CampaignArgument,
    version: Annotated[int | None, typer.Option("--version", help="The newest when left out.")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="Write the plan as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """One saved campaign: its areas, its history, and how often visits found something."""
    with ready().connect() as conn:
        saved = campaigns.get(conn, campaign, version)
        course = campaigns.history(conn, campaign)
        rates = hit_rates_of(conn, campaign)
    if file is not None:
        write_plan(file, saved.plan.to_json())
    if as_json:
        emit(
            _head(saved)
            | {
                "plan": json.loads(saved.plan.to_json()),
                "versions": [dataclasses.asdict(one) for one in course.versions],
                "events": [dataclasses.asdict(one) for one in course.events],
                "hit_rates": [one.to_dict() for one in rates],
            }
        )
        return
    say(f"Campaign {saved.id} '{saved.title}' ({saved.kind}), version {saved.version} of {saved.latest}")
    say(f"It is {saved.status}; what may follow: {', '.join(saved.next_steps) or 'nothing'}")
    if saved.plan.simulated:
        say("Made on simulated reports.", style="bold")
    for area in saved.plan.areas:
        where = area.municipality.en or area.municipality.ar
        say(
            f"  {area.number}. {where}: {area.finds:.1f} finds ({area.low:.1f}–{area.high:.1f}), "
            f"{area.hours:.1f} h, {len(area.sites)} sites, {area.km2:.2f} km²"
        )
    for stretch in saved.plan.stretches:
        if stretch.chosen:
            say(
                f"  {stretch.rank}. {stretch.axis.en or stretch.axis.ar}: {stretch.km:.2f} km, {stretch.cost:,.0f} SAR"
            )
    for event in course.events:
        say(f"  {event.at:%Y-%m-%d %H:%M} UTC: {event.status}, version {event.version} {event.note}".rstrip())
    _say_rates(rates)


def status_command(
    campaign: CampaignArgument,
    to: Annotated[str, typer.Argument(help=f"{', '.join(STATUSES[1:])}.")],
    note: NoteOption = "",
    version: Annotated[
        int | None, typer.Option("--version", help="Only if this is still the newest version.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a campaign one step further: proposed, approved, running, done; or withdraw it."""
    with ready().begin() as conn:
        saved = campaigns.change_status(conn, campaign, to, note, version=version)
    if as_json:
        emit(_head(saved))
        return
    say(f"Campaign {saved.id} '{saved.title}' is {saved.status} now, version {saved.version}.")


def again_command(campaign: CampaignArgument, as_json: Json = False) -> None:
    """Make a saved plan anew, and say whether the same comes out."""
    with ready().connect() as conn:
        saved = campaigns.get(conn, campaign)
        with bar("Making the plan anew", as_json) as progress:
            found = same_again(conn, saved, tick=progress)
    if as_json:
        emit(
            {
                "campaign": saved.id, "version": saved.version, "same": found.same, "moved": found.moved,
                "saved_data_version": found.saved_version, "data_version": found.data_version,
                "differences": list(found.parts),
            }
        )  # fmt: skip
        return
    if found.moved:
        say(
            f"The data moved on: the plan is of data version {found.saved_version}, now it is {found.data_version}."
        )
    say("The same plan came out." if found.same else "Another plan came out; it differs in:")
    for part in found.parts:
        say(f"  {part}")


def effect_command(
    campaign: CampaignArgument,
    before_days: Annotated[int, typer.Option("--before-days", help="Days looked at before it.")] = 720,
    after_days: Annotated[int, typer.Option("--after-days", help="Most days looked at after it.")] = 90,
    period_days: Annotated[int, typer.Option("--period-days", help="Length of a period in days.")] = 30,
    planned: Annotated[
        bool, typer.Option("--planned", help="The plan's cells, although there are visits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What a campaign changed, against untreated cells with the same course before."""
    settings = EffectSettings(before_days, after_days, period_days, planned=planned)
    with ready().connect() as conn, bar("Comparing", as_json) as progress:
        found = effect(conn, campaign, settings, tick=progress)
    words = Words("en")
    if as_json:
        emit(found.to_dict() | {"in_words": sentence(words, found.sentence)})
        return
    _say_effect(found, words)


def _say_effect(found: Effect, words: Words) -> None:
    say(sentence(words, found.sentence), style="bold")
    say_remarks(found.remarks)
    table = Table("what", "cells", "came", "expected", "ratio", "interval", "p")
    rows = [
        ("reports", found.reports),
        ("returns to chronic places", found.chronic),
        ("next to them", found.spill),
    ]
    rows += [(f"placebo {day}", one) for day, one in found.placebo]
    for name, one in rows:
        if one is not None:
            table.add_row(name, *_cells(one))
    out.print(table)


def _cells(one: Estimate) -> tuple[str, ...]:
    if one.ratio != one.ratio:
        return f"{one.cells:,}", f"{one.observed:,}", f"{one.expected:.1f}", "too few", "", ""
    return (
        f"{one.cells:,}",
        f"{one.observed:,}",
        f"{one.expected:,.1f}",
        f"{one.ratio:.2f}",
        f"{one.low:.2f}–{one.high:.2f}",
        f"{one.p:.3f}",
    )


def _say_rates(rates: tuple[HitRate, ...]) -> None:
    if not rates:
        say("No visit has come back yet: ./rasd ingest visits FILE")
        return
    table = Table(
        "by", Column("which", overflow="fold"), "visits", "found", "rate", "95 % interval", "planned"
    )
    for one in rates:
        planned = "" if one.planned is None else f"{one.planned:.1f}"
        table.add_row(
            one.by,
            escape(one.key),
            f"{one.visits:,}",
            f"{one.found:,}",
            f"{one.rate:.0%}",
            f"{one.low:.0%}–{one.high:.0%}",
            planned,
        )
    out.print(table)


def _head(saved: Saved) -> dict[str, Any]:
    names = ("id", "kind", "title", "status", "version", "latest", "digest", "note", "created_at", "made_at")
    return {name: getattr(saved, name) for name in names} | {"next_steps": list(saved.next_steps)}


def register(group: typer.Typer) -> None:
    group.command("save", epilog="Example: ./rasd campaign save plan.json --title 'Summer round'")(
        save_command
    )
    group.command("list", epilog="Example: ./rasd campaign list --json")(list_command)
    group.command("show", epilog="Example: ./rasd campaign show 3")(show_command)
    group.command("status", epilog="Example: ./rasd campaign status 3 approved --note 'by the director'")(
        status_command
    )
    group.command("again", epilog="Example: ./rasd campaign again 3")(again_command)
    group.command("effect", epilog="Example: ./rasd campaign effect 3 --json")(effect_command)
