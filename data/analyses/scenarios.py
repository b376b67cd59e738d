"""Proposals side by side: finds with interval, hours, how evenly they are shared, what overlaps.

The interval of all finds is the plan's own, drawn with rates that all areas share. Shares are of hours (of the cost, for axes) by municipality, over all municipalities
that have reports; one without an area has 0. Overlap is of cells (of length, for axes).
Caveat: a scenario with other filters or weights counts other finds; compare the hours then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.plan import CampaignPlan
from geo.fairness import gini


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 80 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One scenario.

    Attributes
    ----------
    finds : violations expected; None for axes, which have ``benefit`` instead.
    hours : of work. cost : SAR; 0 but for axes. km : of stretches.
    areas : or chosen stretches. municipalities : that have at least one.
    gini : of shares by municipality, 0 even to 1; None where nothing is shared out.
    least, most : smallest and largest share, 0 to 1.
    overlap : share of this scenario's cells (or km) that is in the first one too.
    """

    finds: Interval | None
    hours: float
    cost: float
    km: float
    benefit: float
    areas: int
    municipalities: int
    gini: float | None
    least: float
    most: float
    overlap: float


def total_finds(plan: CampaignPlan) -> Interval:
    """Finds of all areas together."""
    if plan.low is not None and plan.high is not None:
        return Interval(plan.finds, plan.low, plan.high)
    # Not drawn together (a part of a plan): as if all areas were wrong in the same direction.
    return Interval(plan.finds, sum(a.low for a in plan.areas), sum(a.high for a in plan.areas))


def figures(plans: Sequence[CampaignPlan], municipalities: Sequence[int]) -> tuple[Figures, ...]:
    """What to compare of each plan; overlaps are with the first.

    Parameters
    ----------
    municipalities : ids of those that could have an area.
    """
    return tuple(_figures(plan, plans[0], municipalities) for plan in plans)


def _figures(plan: CampaignPlan, first: CampaignPlan, municipalities: Sequence[int]) -> Figures:
    chosen = [stretch for stretch in plan.stretches if stretch.chosen]
    amounts = dict.fromkeys(municipalities, 0.0)
    for place, amount in (
        *((area.municipality_id, area.hours) for area in plan.areas),
        *((stretch.municipality_id, stretch.cost) for stretch in chosen),
    ):
        if place is not None:
            amounts[place] = amounts.get(place, 0.0) + amount
    total = sum(amounts.values())
    shares = [amount / total for amount in amounts.values()] if total > 0 else [0.0]
    return Figures(
        finds=total_finds(plan) if plan.kind != "axes" else None,
        hours=plan.hours,
        cost=sum(stretch.cost for stretch in chosen),
        km=sum(stretch.km for stretch in chosen),
        benefit=sum(stretch.benefit for stretch in chosen),
        areas=len(plan.areas) or len(chosen),
        municipalities=sum(amount > 0 for amount in amounts.values()),
        gini=gini(list(amounts.values())) if amounts else None,
        least=min(shares),
        most=max(shares),
        overlap=_overlap(plan, first),
    )


def _overlap(plan: CampaignPlan, first: CampaignPlan) -> float:
    """Share of a plan's cells, or km of chosen stretches, that the first plan has too."""
    if plan.kind == "axes":
        known = {stretch.key for stretch in first.stretches if stretch.chosen}
        mine = [(stretch.key in known, stretch.km) for stretch in plan.stretches if stretch.chosen]
        whole = sum(km for _, km in mine)
        return sum(km for shared, km in mine if shared) / whole if whole else 0.0
    cells = {cell for area in plan.areas for cell in area.cells}
    others = {cell for area in first.areas for cell in area.cells}
    return len(cells & others) / len(cells) if cells else 0.0
