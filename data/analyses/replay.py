"""Whether a saved plan comes out again: the same terms and question, asked of the same data.

Equal means equal in every word (``data.campaigns.digest_of``): areas, sites, numbers, rivals.
Caveat: when reports, visits or roads have changed since, another plan is no fault; the
answer says that the data moved on, and still what is different.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from data.analyses.axes import propose_axes
from data.analyses.campaigns import asked_query, propose
from data.analyses.rounds import with_rounds
from data.campaigns import Saved, digest_of
from data.plan import CampaignPlan
from data.query import territory_facts

Tick = Callable[[float], None]
_PARTS_MOST = 20


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out when a saved plan was made again.

    Attributes
    ----------
    same : the plan is equal to the saved one, solving time apart.
    moved : the territory's data version is another one than the plan's.
    saved_version, data_version : of the data, then and now.
    parts : where the two differ, such as ``areas[2].finds``; at most 20.
    plan : as it comes out now.
    """

    same: bool
    moved: bool
    saved_version: int
    data_version: int
    parts: tuple[str, ...]
    plan: CampaignPlan


def same_again(conn: Connection, saved: Saved, *, tick: Tick | None = None) -> Replay:
    """Make the plan anew and compare; nothing is written.

    Raises
    ------
    InputError : the question cannot be asked any more, for instance of areas that are gone.
    """
    old = saved.plan
    query = asked_query(old.query)
    if old.terms.kind == "axes":
        plan = propose_axes(conn, query, old.terms, tick=tick)
    else:
        plan = propose(conn, query, old.terms, tick=tick)
        # Days of the sites are worked out after the proposal, where the saved plan has them.
        if any(site.day is not None for area in old.areas for site in area.sites):
            plan = with_rounds(conn, plan)
    now = territory_facts(conn, saved.territory_id).data_version
    moved = now != old.data_version
    before, after = _document(old), _document(plan)
    if moved:
        # That the data have another version is what ``moved`` says.
        before.pop("data_version")
        after.pop("data_version")
        parts = tuple(_differences(before, after, ""))[:_PARTS_MOST]
        return Replay(not parts, True, old.data_version, now, parts, plan)
    same = digest_of(plan) == saved.digest
    parts = () if same else tuple(_differences(before, after, ""))[:_PARTS_MOST]
    return Replay(same, False, old.data_version, now, parts, plan)


def _document(plan: CampaignPlan) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(plan.to_json())
    if document.get("proof"):
        del document["proof"]["seconds"]
    return document


def _differences(one: Any, other: Any, where: str) -> list[str]:
    """Paths at which two documents differ, in their order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            path
            for key in dict.fromkeys([*one, *other])
            for path in _differences(one.get(key), other.get(key), f"{where}.{key}" if where else str(key))
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            path
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for path in _differences(a, b, f"{where}[{i}]")
        ]
    return [] if one == other else [where]
