"""Which stretches of road to improve with a budget: ranked, costed, chosen exactly.

Reports are put on the nearest road (``data/roads.py``), roads are joined into axes and cut
(``geo/axes.py``), rates are steadied by class of road (``geo/stretches.py``), and a budget
buys the stretches with most benefit: reports a year above the usual, weighted by severity,
that the work would mend (``geo/portfolio.py``). Caveat: benefits assume that the work brings
a stretch down to the usual of its class; costs are assumed, docs/methods/axes.md lists both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import roads
from data.analyses.campaigns import proof_of, said, told_query
from data.analyses.kinds import kinds
from data.analyses.rules import CampaignClash
from data.analyses.stretches import (
    StretchCounts,
    StretchLines,
    counted,
    point_reports,
    stretch_lines,
)
from data.analyses.works import chosen_works, costs_by_work, widths, works
from data.plan import AxisTerms, CampaignPlan, Name, Part, Proof, Rival, Run, Stretch
from data.query import ReportQuery, TerritoryFacts, territory_facts
from geo.axes import Axes, axes, best_runs
from geo.errors import InputError
from geo.portfolio import Broken, Portfolio, PortfolioClash, greedy, portfolio
from geo.remarks import Named, Remark, caution, decided
from geo.roads import CLASSES, MAIN, Roads
from geo.stretches import StretchRates, stretch_rates, yearly_change

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Tick = Callable[[float], None]

MOST = 500  # stretches that a plan tells, the chosen ones among them
RUNS = 5  # runs of neighbouring stretches that are told
_PARTS = 8  # elements of a stretch that are told
_SHORT = 0.5  # years of reports below which a rate a year is a guess at the other seasons
_DIGITS = 6  # of a degree: a tenth of a metre


def propose_axes(
    conn: Connection, query: ReportQuery, terms: AxisTerms, *, tick: Tick | None = None
) -> CampaignPlan:
    """Stretches of road to improve within a budget.

    Parameters
    ----------
    query : which reports count.
    tick : called with the share done; raise ``Cancelled`` in it to stop.

    Raises
    ------
    InputError : a term names what is not there; ``CampaignClash`` : rules cannot all be met.
    """
    told = tick or (lambda share: None)
    facts = territory_facts(conn, query.territory_id)
    found = roads.current(conn, facts.id)
    streets = roads.streets(conn, facts.id)
    if found is None or streets is None:
        return _plan(facts, query, terms, remarks=[caution("axes_no_roads")])
    remarks: list[Remark] = []
    if found.simulated:
        remarks.append(caution("axes_simulated", label=found.label))
    taken, more = _taken(streets.roads, terms)
    remarks += more
    streets.prepared("plane")
    told(0.1)
    cut = axes(streets.roads, streets.plane, taken, terms.length_m)
    told(0.25)
    lines = stretch_lines(conn, facts.id, cut, query)
    reports = point_reports(conn, query)
    told(0.35)
    snap = streets.plane.snap(reports.lon, reports.lat, terms.snap_m)
    at = lines.place[np.where(snap.road >= 0, cut.of(snap.road, snap.along_m), -1)]
    told(0.7)
    remarks.append(
        decided(
            "axes_snapped", reports=len(at), near=int((snap.road >= 0).sum()), metres=round(terms.snap_m),
            on=int((at >= 0).sum()), km=round(float(lines.km.sum())),
        )
    )  # fmt: skip
    if cut.short:
        remarks.append(decided("axes_short", axes=cut.short, km=round(cut.short_m / 1000, 1)))
    if not len(lines.km) or not (at >= 0).any():
        return _plan(facts, query, terms, remarks=[*remarks, caution("axes_no_reports")])
    count = counted(reports, at, len(lines.km), kinds(conn, facts.id))
    rates = stretch_rates(count.reports, count.weight, lines.km, cut.road_class[lines.row])
    remarks += rates.remarks
    if reports.years < _SHORT:
        remarks.append(caution("axes_few_days", days=round(reports.years * 365.25)))
    offer = _offer(cut, lines, rates, count, terms, reports.years)
    remarks.append(caution("axes_costs_assumed"))
    pinned, dropped, more = _named(cut, lines, terms)
    remarks += more
    choice = _chosen(offer, lines, terms, pinned, dropped, lambda: told(0.75))
    told(0.95)
    stretches = _stretches(cut, lines, rates, count, offer, choice, pinned, reports.years)
    plan = _plan(
        facts, query, terms,
        stretches=_shown(stretches, remarks),
        runs=_runs(cut, lines, rates, count),
        rivals=_rivals(offer, rates, count, terms.budget, choice),
        proof=proof_of(choice, complete=choice.status == "optimal"),
        remarks=remarks,
    )  # fmt: skip
    told(1.0)
    return plan


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """What each stretch would get (k,): work, SAR, and benefit in weighted reports a year."""

    work: Ints
    cost: Floats
    benefit: Floats


def _taken(all_roads: Roads, terms: AxisTerms) -> tuple[Flags, list[Remark]]:
    strange = sorted(set(terms.classes) - set(CLASSES))
    if strange:
        raise InputError(f"There is no class of roads {strange[0]!r}; there are: {', '.join(CLASSES)}.")
    taken = np.isin(all_roads.road_class, terms.classes or MAIN)
    if taken.any() or terms.classes:
        return taken, []
    # A source without classes: better all its roads than none.
    return np.ones(len(all_roads), dtype=bool), [caution("axes_no_classes")]


def _offer(
    cut: Axes, lines: StretchLines, rates: StretchRates, count: StretchCounts, terms: AxisTerms, years: float
) -> _Offer:
    work, share = chosen_works(count.by_work)
    factor = widths()
    wide = np.array([factor[str(code)] for code in cut.road_class[lines.row]])
    return _Offer(
        work=work,
        cost=np.round(lines.km * costs_by_work(terms.costs)[work] * wide, -3).clip(1000.0),
        benefit=np.maximum(rates.excess, 0.0) * rates.severity * share / years,
    )


def _named(cut: Axes, lines: StretchLines, terms: AxisTerms) -> tuple[Flags, Flags, list[Remark]]:
    """Stretches that must, and must not, be chosen; a key that is gone is told."""
    keys = np.array([cut.key[row] for row in lines.row], dtype=object)
    pinned, dropped = np.isin(keys, terms.pinned), np.isin(keys, terms.dropped) & ~np.isin(keys, terms.pinned)
    gone = len({*terms.pinned, *terms.dropped} - set(keys.tolist()))
    return pinned, dropped, [caution("axes_keys_gone", stretches=gone)] if gone else []


def _chosen(
    offer: _Offer,
    lines: StretchLines,
    terms: AxisTerms,
    pinned: Flags,
    dropped: Flags,
    tick: Callable[[], None],
) -> Portfolio:
    unknown = [area for area, _ in terms.least_share if area not in lines.names]
    if unknown:
        raise InputError(f"There is no municipality {unknown[0]} here that could get a share of the budget.")
    try:
        return portfolio(
            offer.benefit, offer.cost, terms.budget,
            place=lines.municipality,
            least={area: share * terms.budget for area, share in terms.least_share},
            pinned=pinned, dropped=dropped, tick=tick,
        )  # fmt: skip
    except PortfolioClash as clash:
        rules = tuple(_broken(rule, lines.names) for rule in clash.rules)
        raise CampaignClash(str(clash), rules, proven=True) from None


def _broken(rule: Broken, names: dict[int, Name]) -> Remark:
    need, have = round(rule.need / 1e6, 2), round(rule.have / 1e6, 2)
    if rule.code == "budget_pinned":
        return caution("clash_budget_pinned", need=need, have=have)
    if rule.code == "share_lacking":
        name = names[rule.place]
        place = Named(name.ar or None, name.en or None)
        return caution("clash_share_lacking", municipality=place, need=need, have=have)
    return caution("clash_shares", need=need, have=have)


def _stretches(
    cut: Axes,
    lines: StretchLines,
    rates: StretchRates,
    count: StretchCounts,
    offer: _Offer,
    choice: Portfolio,
    pinned: Flags,
    years: float,
) -> list[Stretch]:
    """All stretches by rank: the most benefit per SAR first, then the highest rate."""
    keys = [cut.key[row] for row in lines.row]
    change = yearly_change(count.earlier, count.later, years / 2)
    # As a budget buys them: by benefit alone, cheap works that are chosen would stand far below.
    worth = offer.benefit / offer.cost
    order = sorted(range(len(keys)), key=lambda i: (-worth[i], -rates.shrunk[i], keys[i]))
    out = []
    for rank, i in enumerate(order, 1):
        row = int(lines.row[i])
        area = int(lines.municipality[i])
        out.append(
            Stretch(
                key=keys[i],
                axis=Name(str(cut.name_ar[row]), str(cut.name_en[row])),
                number=int(cut.number[row]),
                line=(tuple((float(x), float(y)) for x, y in np.round(cut.lines[row], _DIGITS)),),
                km=round(float(lines.km[i]), 3),
                road_class=str(cut.road_class[row]),
                municipality_id=area or None,
                municipality=lines.names.get(area, Name()),
                reports=int(count.reports[i]),
                per_km=float(rates.per_km[i]),
                low=float(rates.low[i]),
                high=float(rates.high[i]),
                shrunk=float(rates.shrunk[i]),
                severity=float(rates.severity[i]),
                trend=None if np.isnan(change[i]) else float(change[i]),
                elements=_parts(count, i),
                work=works()[offer.work[i]].code,
                cost=float(offer.cost[i]),
                benefit=float(offer.benefit[i]),
                chosen=bool(choice.chosen[i]),
                rank=rank,
                pinned=bool(pinned[i]),
            )
        )
    return out


def _parts(count: StretchCounts, stretch: int) -> tuple[Part, ...]:
    """The kinds of report of a stretch, the most frequent first."""
    row, known = count.by_kind[stretch], count.known
    order = np.argsort(-row, kind="stable")[:_PARTS]
    return tuple(
        Part(known.key[k], known.name[k], float(row[k]), int(row[k]), 0.0) for k in order if row[k] > 0
    )


def _shown(stretches: list[Stretch], remarks: list[Remark]) -> tuple[Stretch, ...]:
    """The first by rank, and all that are chosen or pinned."""
    kept = tuple(s for s in stretches if s.rank <= MOST or s.chosen or s.pinned)
    if len(kept) < len(stretches):
        remarks.append(decided("axes_told", told=len(kept), all=len(stretches)))
    return kept


def _runs(cut: Axes, lines: StretchLines, rates: StretchRates, count: StretchCounts) -> tuple[Run, ...]:
    """Runs of neighbouring stretches with the greatest excess, at most one an axis."""
    found = []
    # A stretch that is left out parts its axis in two.
    breaks = np.r_[True, (np.diff(lines.row) != 1) | (np.diff(cut.axis[lines.row]) != 0)]
    for first, last, excess in best_runs(np.cumsum(breaks[: len(lines.row)]), rates.excess)[:RUNS]:
        span = slice(first, last + 1)
        rows = lines.row[span]
        found.append(
            Run(
                axis=Name(str(cut.name_ar[rows[0]]), str(cut.name_en[rows[0]])),
                keys=tuple(cut.key[row] for row in rows),
                km=round(float(lines.km[span].sum()), 3),
                reports=int(count.reports[span].sum()),
                expected=round(float((rates.usual[span] * lines.km[span]).sum()), 1),
                excess=round(excess, 1),
            )
        )
    return tuple(found)


def _rivals(
    offer: _Offer, rates: StretchRates, count: StretchCounts, budget: float, choice: Portfolio
) -> tuple[Rival, ...]:
    """Other ways to spend the same budget, without its rules: by rate, by count, by benefit a SAR."""
    found = []
    scores = (
        ("by_rate", rates.per_km),
        ("by_count", count.reports),
        ("by_ratio", offer.benefit / offer.cost),
    )
    for code, score in scores:
        picked = greedy(score, offer.cost, budget)
        weighted = float(offer.benefit[picked].sum())
        found.append(
            Rival(
                code=code,
                finds=float(count.reports[picked].sum()),
                weighted=weighted,
                hours=float(offer.cost[picked].sum()),
                cells=int(picked.sum()),
                better=choice.objective / weighted - 1 if weighted > 0 else 0.0,
                plan=choice.objective,
            )
        )
    return tuple(found)


def _plan(
    facts: TerritoryFacts,
    query: ReportQuery,
    terms: AxisTerms,
    *,
    stretches: tuple[Stretch, ...] = (),
    runs: tuple[Run, ...] = (),
    rivals: tuple[Rival, ...] = (),
    proof: Proof | None = None,
    remarks: Sequence[Remark] = (),
) -> CampaignPlan:
    return CampaignPlan(
        kind="axes",
        territory=facts.code,
        territory_name=Name(facts.name_ar, facts.name_en),
        data_version=facts.data_version,
        simulated=facts.simulated,
        query=told_query(query),
        terms=terms,
        resolution=0,
        stretches=stretches,
        runs=runs,
        rivals=rivals,
        proof=proof,
        remarks=tuple(dict.fromkeys(said(remark) for remark in remarks)),
    )
