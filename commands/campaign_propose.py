"""./rasd campaign propose: areas for teams, from options or a file of terms."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from sqlalchemy import Connection

from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks
from commands.questions import (
    ChannelOption,
    ElementOption,
    EndOption,
    GroupOption,
    MunicipalityOption,
    question,
)
from data.analyses.campaigns import propose, remark_of
from data.analyses.rules import CampaignClash
from data.analyses.scenarios import total_finds
from data.plan import AxisTerms, Base, CampaignPlan, CampaignTerms
from data.query import ReportQuery
from data.summaries import choices
from geo.errors import InputError
from ingest.text import fold
from views.remarks import sentence
from views.words import Words, short

KindOption = Annotated[
    Literal["inspection", "community", "axes"],
    typer.Option("--kind", help="Inspectors, volunteers, or projects along roads."),
]
TermsOption = Annotated[
    Path | None,
    typer.Option(
        "--terms", help="YAML or JSON file of terms (docs/methods/campaigns.md); options win over it."
    ),
]
PlanOption = Annotated[Path | None, typer.Option("--out", help="Write the plan as JSON.")]
BeginOption = Annotated[
    dt.datetime | None,
    typer.Option("--begin", formats=["%Y-%m-%d"], help="First day; the day after the newest report."),
]


def _number(name: str, text: str) -> Any:
    return typer.Option(name, help=text)


def propose_command(
    territory: TerritoryOption = None,
    kind: KindOption = "inspection",
    terms: TermsOption = None,
    begin: BeginOption = None,
    days: Annotated[int | None, _number("--days", "Working days; 15.")] = None,
    teams: Annotated[int | None, _number("--teams", "Teams; 6.")] = None,
    hours: Annotated[float | None, _number("--hours", "Hours of work a day; 6.")] = None,
    minutes_site: Annotated[float | None, _number("--minutes-site", "Minutes at a site; 12.")] = None,
    minutes_km: Annotated[float | None, _number("--minutes-km", "Minutes a km between sites; 2.5.")] = None,
    areas: Annotated[int | None, _number("--areas", "Areas; one for each team and week.")] = None,
    most_km2: Annotated[float | None, _number("--most-km2", "No area is larger than so many km².")] = None,
    volunteers: Annotated[int | None, _number("--volunteers", "People in a team of volunteers; 1.")] = None,
    weight: Annotated[
        list[str] | None, _number("--weight", "TARGET=W: overdue, open, chronic, new, unvisited; repeat.")
    ] = None,
    severity: Annotated[list[str] | None, _number("--severity", "ELEMENT=W, such as R04=2; repeat.")] = None,
    each_municipality: Annotated[
        list[str] | None, _number("--each-municipality", "Name or id that gets at least one area; repeat.")
    ] = None,
    least_share: Annotated[
        list[str] | None, _number("--least-share", "NAME=SHARE of all hours, 0 to 1; repeat.")
    ] = None,
    keep_out: Annotated[list[str] | None, _number("--keep-out", "H3 cell no area may hold; repeat.")] = None,
    include: Annotated[list[str] | None, _number("--include", "H3 cell some area must hold; repeat.")] = None,
    since_visit: Annotated[
        int | None, _number("--since-visit", "Leave out cells visited within so many days; 14.")
    ] = None,
    across: Annotated[
        bool | None, typer.Option("--across/--one-municipality", help="Areas may cross municipalities.")
    ] = None,
    resolution: Annotated[int | None, _number("--resolution", "H3 resolution of the cells.")] = None,
    base: Annotated[list[str] | None, _number("--base", "NAME=LON,LAT where teams start; repeat.")] = None,
    seed: Annotated[int | None, _number("--seed", "Of everything that is drawn; 0.")] = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    municipality: MunicipalityOption = None,
    channel: ChannelOption = None,
    file: PlanOption = None,
    as_json: Json = False,
) -> None:
    """Areas for the teams: where to go, what will be found, and how sure that is."""
    given: dict[str, Any] = {
        "kind": kind if terms is None or kind != "inspection" else None,
        "start": begin.date() if begin else None, "days": days, "teams": teams, "hours": hours,
        "minutes_site": minutes_site, "minutes_km": minutes_km, "areas": areas, "most_km2": most_km2,
        "volunteers": volunteers, "weights": pairs("--weight", weight, float),
        "severity": pairs("--severity", severity, float), "keep_out": keep_out, "include": include,
        "since_visit": since_visit, "one_municipality": None if across is None else not across,
        "resolution": resolution, "bases": _bases(base), "seed": seed,
    }  # fmt: skip
    if given["kind"] == "axes":
        raise InputError("Projects along roads have a command of their own: ./rasd campaign axes --help")
    with ready().connect() as conn:
        query = question(
            conn, territory, end=end, groups=group, elements=element, municipalities=municipality,
            channels=channel,
        )  # fmt: skip
        given["each_municipality"] = municipality_ids(conn, query, each_municipality)
        given["least_share"] = least_shares(conn, query, least_share)
        asked = read_terms(terms, given)
        with bar("Choosing areas", as_json) as progress:
            plan = _proposed(conn, query, asked, progress)
    deliver(plan, file, as_json, tell)


def deliver(
    plan: CampaignPlan, file: Path | None, as_json: bool, tell: Callable[[CampaignPlan], None]
) -> None:
    """The plan into its file, and as JSON or (``tell``) in words to the console."""
    if file is not None:
        write_plan(file, plan.to_json())
    if as_json:
        emit(json.loads(plan.to_json()) | ({"file": str(file)} if file else {}))
        return
    tell(plan)
    if file is not None:
        say(f"Wrote the plan to {file!s}.")


def _proposed(
    conn: Connection, query: ReportQuery, terms: CampaignTerms, progress: Callable[..., None]
) -> CampaignPlan:
    try:
        return propose(conn, query, terms, tick=progress)
    except CampaignClash as error:
        raise in_words(error) from None


def in_words(clash: CampaignClash) -> InputError:
    """The clash as one sentence a rule."""
    words = Words("en")
    told = " ".join(sentence(words, rule) for rule in clash.rules)
    return InputError(f"These rules cannot all be met. {told} Give up one of them.")


def read_terms(path: Path | None, given: dict[str, Any]) -> CampaignTerms:
    """Terms of a file with the options that were given (not None) in place of its own.

    Raises
    ------
    InputError : the file cannot be read, or holds what is no term of such a campaign.
    """
    held: dict[str, Any] = {}
    if path is not None:
        try:
            loaded = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path} cannot be read as terms: {error}") from None
        if not isinstance(loaded, dict):
            raise InputError(f"{path} should hold terms by name, such as `teams: 6`.")
        held = {str(name): value for name, value in loaded.items()}
    held |= {name: value for name, value in given.items() if value is not None}
    known = {field.name for field in dataclasses.fields(CampaignTerms)}
    if strange := sorted(set(held) - known):
        raise InputError(f"There is no term {strange[0]!r}; there are: {', '.join(sorted(known))}.")
    if isinstance(held.get("weights"), dict):
        held["weights"] = list(held["weights"].items())
    if isinstance(held.get("severity"), dict):
        held["severity"] = list(held["severity"].items())
    try:
        return TypeAdapter(CampaignTerms).validate_python(held)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"The term {where} does not fit: {first['msg']}.") from None


def pairs(
    option: str, given: Sequence[str] | None, number: type[float]
) -> tuple[tuple[str, float], ...] | None:
    """``NAME=NUMBER`` options; None when there are none."""
    if not given:
        return None
    found = []
    for text in given:
        name, equals, value = text.rpartition("=")
        try:
            found.append((name.strip(), number(value)))
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InputError(f"{option} {text!r}: write a name, = and a number, such as new=0.5.")
    return tuple(found)


def _bases(given: Sequence[str] | None) -> tuple[Base, ...] | None:
    if not given:
        return None
    found = []
    for text in given:
        name, _, place = text.rpartition("=")
        lon, _, lat = place.partition(",")
        try:
            at = (float(lon), float(lat))
        except ValueError:
            raise InputError(f"--base {text!r}: write NAME=LON,LAT, such as Depot=50.1,26.4.") from None
        if not (abs(at[0]) <= 180 and abs(at[1]) <= 90):
            raise InputError(f"--base {text!r}: longitude and latitude in decimal degrees, in this order.")
        found.append(Base(name.strip() or text, *at))
    return tuple(found)


def municipality_ids(
    conn: Connection, query: ReportQuery, names: Sequence[str] | None
) -> tuple[int, ...] | None:
    """Ids of municipalities given by name or id; None when there are none."""
    if not names:
        return None
    known = choices(conn, query.territory_id).municipalities
    found = []
    for text in names:
        fits = [
            int(one.key)
            for one in known
            if text == str(one.key) or fold(text) in (fold(one.name_ar or ""), fold(one.name_en or ""))
        ]
        if not fits:
            listed = ", ".join(f"{one.name_en or one.name_ar} ({one.key})" for one in known[:20]) or "none"
            raise InputError(f"There is no municipality {text!r} among the reports. There are: {listed}")
        found += fits
    return tuple(found)


def least_shares(
    conn: Connection, query: ReportQuery, given: Sequence[str] | None
) -> tuple[tuple[int, float], ...] | None:
    """``NAME=SHARE`` options by the ids of their municipalities; None when there are none."""
    shares = pairs("--least-share", given, float)
    if shares is None:
        return None
    return tuple(
        (area, share) for name, share in shares for area in municipality_ids(conn, query, [name]) or ()
    )


def write_plan(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place.") from error


def tell(plan: CampaignPlan) -> None:
    """A plan in sentences and a table."""
    terms = plan.terms
    if isinstance(terms, AxisTerms):
        raise AssertionError("a plan of areas was expected")
    words = Words("en")
    known = total_finds(plan)
    said = (
        f"{len(plan.areas)} areas, {plan.finds:,.0f} finds expected (80 %: {known.low:,.0f} to {known.high:,.0f})"
        f" in {plan.hours:,.0f} hours of work"
    )
    say(f"{said}, from {terms.start} in {terms.days} working days.", style="bold")
    table = Table("no.", "municipality", "km²", "hours", "finds", "80 %", "driven by", "most of")
    for area in plan.areas:
        most = ", ".join(words.pick(part.name.ar, part.name.en) or "-" for part in area.elements[:3])
        table.add_row(
            str(area.number), words.pick(area.municipality.ar, area.municipality.en), short(area.km2),
            f"{area.hours:.0f} / {area.capacity:.0f}", f"{area.finds:.0f}", f"{area.low:.0f} – {area.high:.0f}",
            ", ".join(area.drivers), most,
        )  # fmt: skip
    out.print(table)
    if plan.proof is not None:
        proof = plan.proof
        say(
            f"Weighted finds {proof.objective:,.0f}; no choice among {proof.candidates:,} candidates exceeds "
            f"{proof.bound:,.0f} (gap {proof.gap:.2%}), no plan at all {proof.free_bound:,.0f}."
        )
    for rival in plan.rivals:
        name = rival.code.replace("_", " ")
        say(
            f"Instead {name}: {rival.finds:,.0f} finds in {rival.hours:,.0f} hours; the plan is {rival.better:+.0%}."
        )
    for other in plan.what_if:
        say(f"With {other.teams} teams: {other.finds:,.0f} finds ({other.finds - plan.finds:+,.0f}).")
    say_remarks(remark_of(one) for one in plan.remarks)


def register(group: typer.Typer) -> None:
    group.command("propose", epilog="Example: ./rasd campaign propose --teams 6 --days 15 --out plan.json")(
        propose_command
    )
