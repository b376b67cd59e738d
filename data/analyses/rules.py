"""The rules of a campaign on its cells, and the clash of rules that cannot all be met.

Terms name municipalities by id and places by H3 text; ``geo.patches.Limits`` names both by
position. What is not there is an ``InputError``; rules that exclude each other are found by
the solver and come back as ``CampaignClash`` with one remark a rule, for screens and
command line to say in words. Caveat: a cell that cannot be reached within a day is out.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data.analyses.hits import visited
from data.analyses.terrain import Terrain
from data.plan import CampaignTerms
from geo.cells import from_text, parents, resolutions
from geo.clashes import ClashError, Clashing
from geo.errors import InputError
from geo.patches import Limits
from geo.remarks import Named, Remark, caution, decided

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class CampaignClash(InputError):
    """Rules of a campaign that cannot all be met.

    Attributes
    ----------
    rules : one remark each, with words under ``remark.<code>``; none of them can be spared.
    proven : no choice exists; else none was found.
    """

    def __init__(self, message: str, rules: tuple[Remark, ...], proven: bool) -> None:
        super().__init__(message)
        self.rules, self.proven = rules, proven


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Limits for the solver, and what their numbers stand for.

    Attributes
    ----------
    groups : ``area.id`` of each group. must : H3 text of each set of ``limits.must``.
    turns : areas that one team works, one after the other.
    """

    limits: Limits
    groups: tuple[int, ...]
    must: tuple[str, ...]
    turns: int
    remarks: tuple[Remark, ...]


def rules_of(conn: Connection, ground: Terrain, terms: CampaignTerms) -> Rules:
    """The limits of a campaign.

    Raises
    ------
    InputError : a municipality or a cell that the terms name is not in the study area.
    """
    asked = terms.number_of_areas
    turns = terms.turns
    remarks: list[Remark] = []
    if terms.areas not in (None, asked):
        remarks.append(decided("campaign_rounded", asked=terms.areas, areas=asked, teams=terms.teams))
    if turns > 1:
        remarks.append(decided("campaign_turns", areas=asked, teams=terms.teams, turns=turns))
    capacity = terms.days * np.maximum(terms.hours - 2 * ground.way_hours, 0.0) / turns
    ids = [area for area in np.unique(ground.municipality).tolist() if area]
    place = {area: number for number, area in enumerate(ids)}
    group = np.array([place.get(area, -1) for area in ground.municipality.tolist()], dtype=np.int64)
    pinned = tuple(np.sort(_places(ground, area, "pinned area", exact=True)) for area in terms.pinned)
    must = tuple(_places(ground, (cell,), "cell to include") for cell in terms.include)
    closed = np.zeros(len(ground.cells), dtype=bool)
    if terms.keep_out:
        closed[_places(ground, terms.keep_out, "cell to keep out")] = True
    far = capacity <= 0
    lately = np.zeros(len(ground.cells), dtype=bool)
    if terms.since_visit:
        since = terms.start - dt.timedelta(days=terms.since_visit)
        lately = visited(conn, ground.facts.id, ground.cells, ground.resolution, since, terms.start)
    held = _held(pinned, must, closed | far | lately)
    far, lately = far & ~held, lately & ~held
    if far.any():
        remarks.append(decided("campaign_far", cells=int(far.sum())))
    if lately.any():
        remarks.append(decided("campaign_visited", cells=int(lately.sum()), days=terms.since_visit))
    named = (*terms.each_municipality, *(area for area, _ in terms.least_share))
    if strange := [area for area in named if area not in place]:
        raise InputError(
            f"Area {strange[0]} is no municipality with a cell in this study area; there are: "
            f"{', '.join(f'{area} ({ground.names[area].en or ground.names[area].ar})' for area in ids[:40]) or 'none'}."
        )
    return Rules(
        limits=Limits(
            areas=asked,
            capacity=capacity,
            most_km2=terms.most_km2,
            km2=ground.km2,
            group=group if ids else None,
            one_group=terms.one_municipality and bool(ids),
            closed=closed | far | lately,
            must=must,
            pinned=pinned,
            each_group=tuple(place[area] for area in terms.each_municipality),
            least_share=tuple((place[area], share) for area, share in terms.least_share),
            seed=terms.seed,
        ),
        groups=tuple(ids),
        must=terms.include,
        turns=turns,
        remarks=tuple(remarks),
    )


def _held(pinned: tuple[Ints, ...], must: tuple[Ints, ...], shut: Flags) -> Flags:
    """Cells that are asked for by name though they are shut, (n,).

    Those of pinned areas, and of a set to include of which no cell is open: where one is, that
    one can be taken, and a coarse cell does not open what was visited lately in it.
    """
    held = np.zeros(len(shut), dtype=bool)
    for one in pinned:
        held[one] = True
    for one in must:
        held[one] |= bool(shut[one].all())
    return held


def _places(ground: Terrain, texts: tuple[str, ...], what: str, *, exact: bool = False) -> Ints:
    """Positions of the cells that H3 texts name, of the plan's resolution or (not ``exact``) coarser.

    Raises
    ------
    InputError : a text is no cell, is too fine (or not of this resolution), or lies outside.
    """
    cells = from_text(list(texts))
    level = resolutions(cells)
    found: list[Ints] = []
    for text, cell, own in zip(texts, cells.tolist(), level.tolist(), strict=True):
        if own < 0 or own > ground.resolution or (exact and own != ground.resolution):
            least = "of" if exact else "of at most"
            raise InputError(f"The {what} {text!r} must be {least} resolution {ground.resolution}.")
        here = np.flatnonzero(parents(ground.cells, own) == cell)
        if not len(here):
            raise InputError(f"The {what} {text!r} lies outside the study area.")
        found.append(here)
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)


def told_clash(error: ClashError, rules: Rules, ground: Terrain) -> CampaignClash:
    """The same clash with names instead of positions; a last remark says when it is not proven."""
    told = [_told(rule, rules, ground) for rule in error.rules]
    if not error.proven:
        told.append(caution("clash_unproven"))
    return CampaignClash(str(error), tuple(told), error.proven)


def _told(rule: Clashing, rules: Rules, ground: Terrain) -> Remark:
    if rule.code in ("clash_each_group", "clash_group_closed", "clash_least_share"):
        found = ground.names[rules.groups[rule.number]]
        name = Named(found.ar or None, found.en or None)
        if rule.code == "clash_each_group":
            return caution("clash_each_group", municipality=name)
        if rule.code == "clash_group_closed":
            return caution("clash_group_closed", municipality=name)
        return caution("clash_least_share", municipality=name, percent=round(100 * rule.value, 1))
    place, areas = rule.number + 1, int(rule.value)
    cell = rules.must[rule.number] if rule.code.startswith("clash_must") else ""
    return {
        "clash_must": caution("clash_must", cell=cell),
        "clash_must_closed": caution("clash_must_closed", cell=cell),
        "clash_must_far": caution("clash_must_far", cell=cell),
        "clash_pinned_closed": caution("clash_pinned_closed", area=place),
        "clash_pinned_far": caution("clash_pinned_far", area=place),
        "clash_pinned_apart": caution("clash_pinned_apart", area=place),
        "clash_pinned_overlap": caution("clash_pinned_overlap", area=place),
        "clash_pinned_many": caution("clash_pinned_many", pinned=areas),
        "clash_areas": caution("clash_areas", areas=areas),
    }[rule.code]
