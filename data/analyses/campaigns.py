"""Where to send the teams: contiguous areas, chosen so that most is found in the hours there are.

Targets (``targets.py``) with their hit rates and weights become curves of finds by hours in
each cell (``stakes.py``); areas are grown and chosen exactly (``geo/selection.py``), compared
with other ways to spend the same hours (``geo/rivals.py``) and explained (``explained.py``).
The same question on the same data has the same answer. Caveat: it is as good as its
assumptions, which ``docs/methods/campaigns.md`` lists; visits that come back mend the rates.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data.analyses.explained import Explainer, work_of
from data.analyses.hits import hit_rates, types_of
from data.analyses.kinds import kinds
from data.analyses.rules import Rules, rules_of, told_clash
from data.analyses.stakes import Stakes, stakes, weights
from data.analyses.study import best_resolution, study_cells
from data.analyses.targets import targets
from data.analyses.terrain import Terrain, terrain
from data.maps import COARSEST
from data.plan import CampaignPlan, CampaignTerms, Name, PlannedArea, Proof, Rival, Said, WhatIf
from data.query import ReportQuery, TerritoryFacts, territory_facts
from geo.cells import from_text, resolutions
from geo.clashes import ClashError
from geo.errors import InputError
from geo.portfolio import Portfolio
from geo.remarks import Named, Remark, Term, Value, caution, decided
from geo.rivals import Days, rivals
from geo.roads import DETOUR
from geo.scale import width_m
from geo.selection import Candidates, Choice, candidates, choose

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]

MOST_CELLS = 8_000  # of a study area from which areas are made, unless a resolution is asked for
WHAT_IF = 0.2  # share of the teams more or fewer


def propose(
    conn: Connection, query: ReportQuery, terms: CampaignTerms, *, tick: Tick | None = None
) -> CampaignPlan:
    """Areas for the teams of an inspection or a community campaign.

    Parameters
    ----------
    query : which reports count; its end, if any, is the last day that is known.
    terms : ``start`` left at its default is the day after the newest report.
    tick : called with the share done; raise ``Cancelled`` in it to stop.

    Raises
    ------
    InputError : a term names what is not there; ``CampaignClash`` : rules cannot all be met.
    """
    told = tick or (lambda done: None)
    if terms.areas is None:
        terms = dataclasses.replace(terms, areas=terms.number_of_areas)
    facts = territory_facts(conn, query.territory_id)
    known = kinds(conn, facts.id, terms.severity)
    resolution, remarks = _resolution(conn, query, terms)
    ground = terrain(conn, query, terms, resolution, known)
    if ground is None:
        return _plan(facts, query, terms, resolution, remarks=(caution("campaign_no_reports"),))
    told(0.05)
    if terms.start == dt.date.min:
        terms = dataclasses.replace(terms, start=ground.today)
    types = types_of(conn, facts.id, query.end)
    rates = hit_rates(conn, facts.id, until=terms.start, types=types)
    given = weights(terms)
    found = targets(
        conn, query, ground, known, types, terms.start, terms.dates[-1],
        within=given["open"] > 0, expect=given["new"] > 0 or given["unvisited"] > 0,
        tick=lambda s: told(0.05 + 0.35 * s),
    )  # fmt: skip
    stake = stakes(conn, found, ground, known, types, rates, terms)
    remarks += [*found.remarks, *stake.remarks, *_told_ground(ground, terms)]
    if rates.visits:
        remarks.append(decided("campaign_visits", visits=rates.visits))
    if not len(stake.worth.effort.step_cell):
        return _plan(facts, query, terms, resolution, remarks=(*remarks, caution("campaign_nothing")))
    rules = rules_of(conn, ground, terms)
    remarks += rules.remarks
    try:
        # Grown for more teams too, so that the same candidates answer what more would bring.
        most = max(areas for _, _, areas in _other_teams(rules, terms))
        wide = dataclasses.replace(rules.limits, areas=max(most, rules.limits.areas))
        among = candidates(stake.worth.effort, wide, lambda s: told(0.4 + 0.35 * s))
        choice = choose(stake.worth.effort, rules.limits, among, lambda s: told(0.75 + 0.1 * s))
    except ClashError as error:
        raise told_clash(error, rules, ground) from None
    explain = Explainer(conn, stake, ground, known, rates, terms)
    areas = tuple(explain.area(number, patch) for number, patch in enumerate(choice.patches, 1))
    told(0.9)
    what_if, said = _what_if(stake, rules, among, terms)
    said += _told_areas(len(areas), rules, terms)
    told(0.95)
    others = _rivals(stake, ground, rules, among, choice, terms)
    told(1.0)
    proof = proof_of(choice, choice.complete)
    plan = _plan(facts, query, terms, resolution, areas, others, proof, what_if, (*remarks, *said))
    low, high = explain.interval()
    return dataclasses.replace(plan, low=low, high=high)


def _resolution(conn: Connection, query: ReportQuery, terms: CampaignTerms) -> tuple[int, list[Remark]]:
    """Of the cells: the one asked for, that of the pinned areas, or the one that suits the reports.

    Coarser than for a map, where that has many cells: an area of hundreds of tiny cells is no
    better to work, its rounds are told cell by cell, and shapes are harder to find.
    """
    if terms.resolution is not None:
        return terms.resolution, []
    pinned = [cell for area in terms.pinned for cell in area]
    if pinned:
        return int(resolutions(from_text(pinned)).max()), []
    found = best_resolution(conn, query)
    resolution = found.resolution
    while resolution > COARSEST and len(study_cells(conn, query, resolution)[0]) > MOST_CELLS:
        resolution -= 1
    if resolution < found.resolution:
        cells, metres = len(study_cells(conn, query, resolution)[0]), round(width_m(resolution), -1)
        return resolution, [decided("campaign_scale", resolution=resolution, metres=metres, cells=cells)]
    return resolution, [r for r in found.remarks if r.code in ("scale_chosen", "scale_few_reports")]


def _told_ground(ground: Terrain, terms: CampaignTerms) -> list[Remark]:
    said = []
    if ground.bases_assumed:
        said.append(caution("campaign_bases_assumed", bases=len(ground.bases)))
    if not ground.bounded:
        said.append(caution("study_guessed", cells=len(ground.cells)))
    if terms.kind == "community":
        hours = round(terms.teams * terms.volunteers * terms.team_hours)
        said.append(decided("campaign_people", volunteers=terms.volunteers, teams=terms.teams, hours=hours))
    return said


def _told_areas(areas: int, rules: Rules, terms: CampaignTerms) -> list[Remark]:
    """Areas that are missing, and teams without one."""
    said = []
    if areas < rules.limits.areas:
        said.append(caution("campaign_fewer_areas", areas=areas, asked=rules.limits.areas))
    if 0 < areas < terms.teams:
        said.append(caution("campaign_idle", areas=areas, teams=terms.teams, idle=terms.teams - areas))
    return said


def _what_if(
    stake: Stakes, rules: Rules, among: Candidates, terms: CampaignTerms
) -> tuple[tuple[WhatIf, ...], list[Remark]]:
    """The same candidates with a fifth of the teams more, and fewer."""
    found, said = [], []
    for code, teams, areas in _other_teams(rules, terms):
        limits = dataclasses.replace(rules.limits, areas=areas)
        try:
            other = choose(stake.worth.effort, limits, among)
        except ClashError:
            # With fewer areas the rules may not fit any more; that is an answer too.
            said.append(caution("campaign_what_if_clash", teams=teams))
            continue
        finds = sum(float(work_of(stake, patch).finds.sum()) for patch in other.patches)
        found.append(WhatIf(code, teams, finds, other.objective))
    return tuple(found), said


def _other_teams(rules: Rules, terms: CampaignTerms) -> list[tuple[str, int, int]]:
    """Code, teams and areas of the plans with a fifth of the teams fewer, and more.

    Each team works as many areas as before. Where some teams have none, others that go or come
    are of those.
    """
    asked = rules.limits.areas
    step = max(1, round(WHAT_IF * terms.teams))
    others = (("teams_fewer", terms.teams - step), ("teams_more", terms.teams + step))
    return [
        (code, teams, rules.turns * teams if asked >= terms.teams else min(asked, teams))
        for code, teams in others
        if teams >= 1
    ]


def _rivals(
    stake: Stakes, ground: Terrain, rules: Rules, among: Candidates, choice: Choice, terms: CampaignTerms
) -> tuple[Rival, ...]:
    """Other ways to spend the same hours; all, the plan too, by the evaluator of ``geo.rivals``."""
    hours_m = stake.minutes_km * DETOUR / 60_000
    away_m = terms.minutes_km * DETOUR / 60_000  # volunteers walk from site to site, and are driven there
    counts = ground.mix.sum(axis=1)
    days = Days(terms.team_hours / rules.turns, terms.days / rules.turns)
    found = rivals(stake.worth.effort, rules.limits, choice, among, counts, hours_m, days, away_m)
    others = (
        ("top_cells", found.top_cells),
        ("municipality_share", found.municipality_share),
        ("greedy", found.greedy),
    )
    told = []
    for code, other in others:
        steps, shares = other.steps
        if other.value <= 0:
            continue  # it finds nothing at all: there is nothing to compare with
        told.append(
            Rival(
                code=code,
                finds=float((stake.worth.finds[steps] * shares).sum()),
                weighted=other.value,
                hours=other.hours,
                cells=other.cells,
                better=found.plan.value / other.value - 1,
                plan=found.plan.value,
            )
        )
    return tuple(told)


def proof_of(choice: Choice | Portfolio, complete: bool) -> Proof:
    """What the solver knows of its choice; ``complete``: nothing was left out of it."""
    return Proof(
        objective=choice.objective,
        bound=choice.bound,
        gap=choice.gap,
        free_bound=choice.free_bound,
        candidates=choice.candidates,
        complete=complete,
        seconds=round(choice.seconds, 3),
        status=choice.status,
    )


def _plan(
    facts: TerritoryFacts,
    query: ReportQuery,
    terms: CampaignTerms,
    resolution: int,
    areas: tuple[PlannedArea, ...] = (),
    rivals: tuple[Rival, ...] = (),
    proof: Proof | None = None,
    what_if: tuple[WhatIf, ...] = (),
    remarks: Sequence[Remark] = (),
) -> CampaignPlan:
    return CampaignPlan(
        kind=terms.kind,
        territory=facts.code,
        territory_name=Name(facts.name_ar, facts.name_en),
        data_version=facts.data_version,
        simulated=facts.simulated,
        query=told_query(query),
        terms=terms,
        resolution=resolution,
        areas=areas,
        rivals=rivals,
        proof=proof,
        what_if=what_if,
        remarks=tuple(dict.fromkeys(said(remark) for remark in remarks)),
    )


def told_query(query: ReportQuery) -> dict[str, Any]:
    """The fields of a query, JSON-ready; ``asked_query`` gives it back.

    Raises
    ------
    InputError : the query is about a past moment; plans are made from today's reports.
    """
    if query.as_of is not None:
        raise InputError("A campaign is planned from the reports as they are now, not as of a past moment.")
    plain = dataclasses.asdict(query)
    del plain["as_of"]
    return {
        name: value.isoformat()
        if isinstance(value, dt.date)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in plain.items()
    }


def asked_query(fields: dict[str, Any]) -> ReportQuery:
    """The query of a plan.

    Raises
    ------
    InputError : it has a field that no query has, or a day that is none.
    """
    known = {one.name for one in dataclasses.fields(ReportQuery)} - {"as_of"}
    if strange := sorted(set(fields) - known):
        raise InputError(f"The plan's query has fields that no query has: {', '.join(strange)}.")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    for name in ("start", "end"):
        if given.get(name) is not None:
            try:
                given[name] = dt.date.fromisoformat(given[name])
            except (TypeError, ValueError):
                raise InputError(f"The plan's query has no day in {name}: {given[name]!r}.") from None
    return ReportQuery(**given)


def said(remark: Remark) -> Said:
    """A remark in the form that a plan keeps; names become two values, ``<name>_ar`` and ``<name>_en``."""
    values: list[tuple[str, str | int | float]] = []
    for name, value in remark.values:
        if isinstance(value, Named):
            values += [(f"{name}_ar", value.ar or ""), (f"{name}_en", value.en or "")]
        elif isinstance(value, Term):
            values.append((f"{name}_term", value.key))
        else:
            values.append((name, value))
    return Said(remark.code, tuple(values), remark.caution)


def remark_of(one: Said) -> Remark:
    """The remark that a plan kept; the inverse of ``said``."""
    values: list[tuple[str, Value]] = []
    given = dict(one.values)
    for name, value in one.values:
        if name.endswith("_ar") and f"{name[:-3]}_en" in given:
            values.append((name[:-3], Named(str(value), str(given[f"{name[:-3]}_en"]))))
        elif name.endswith("_term"):
            values.append((name[:-5], Term(str(value))))
        elif not (name.endswith("_en") and f"{name[:-3]}_ar" in given):
            values.append((name, value))
    return Remark(one.code, tuple(values), one.caution)
