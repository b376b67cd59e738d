"""An area of a plan, explained: its places, what drives it, what it brings and what it takes.

From the cells that were chosen to ``data.plan.PlannedArea``: the places that the hours reach
first, finds by target and by element with their 80 % interval (``geo/yields.py``), growth,
people, municipality and districts, material. Caveat: elements of what is only expected are
shares of what was reported in the cell in the last year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import exposures
from data.analyses.kinds import Kinds
from data.analyses.stakes import Stakes
from data.analyses.terrain import Terrain
from data.analyses.volunteers import amounts
from data.plan import TARGETS, CampaignTerms, Name, Part, PlannedArea, Site
from geo.cells import to_text
from geo.effort import Filled, filled
from geo.hitrates import TYPES, HitRates
from geo.patches import Patch
from geo.worth import ROUND, searched
from geo.yields import Spread, draws, interval
from geo.yields import rates as draw_rates

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRIVES = 0.25  # share of an area's weighted finds from which a kind of target drives it
GROWS = 1.2  # times the territory's growth
SEVERE = 1.15  # times the usual weight of what is found
FEW = 20  # reports of half a year below which growth is not told
_REACHED = 0.5  # of a place, from which it is listed
_PARTS = 8  # elements that are told


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What is done in one area: steps (m,) and what they bring.

    Attributes
    ----------
    site : (m,) place or ``ROUND``. cell : (m,) position. share : done of the step.
    finds, weighted, hours : (m,).
    """

    done: Filled
    site: Ints
    cell: Ints
    share: Floats
    finds: Floats
    weighted: Floats
    hours: Floats


def work_of(stakes: Stakes, patch: Patch) -> Work:
    """The best use of a team's hours in an area."""
    effort = stakes.worth.effort
    done = filled(effort, patch.members, patch.capacity)
    if done is None:
        raise AssertionError("an area was chosen that its hours do not reach")
    return Work(
        done=done,
        site=stakes.worth.site[done.steps],
        cell=effort.step_cell[done.steps],
        share=done.shares,
        finds=stakes.worth.found(done),
        weighted=effort.step_value[done.steps] * done.shares,
        hours=effort.step_hours[done.steps] * done.shares,
    )


class Explainer:
    """Explains the areas of one plan; what concerns the whole territory is looked up once."""

    def __init__(
        self,
        conn: Connection,
        stakes: Stakes,
        ground: Terrain,
        known: Kinds,
        rates: HitRates,
        terms: CampaignTerms,
    ) -> None:
        self.stakes, self.ground, self.known, self.rates = stakes, ground, known, rates
        self.terms = terms
        self.people: Floats | None = None
        if exposures.current(conn, ground.facts.id, "population") is not None:
            self.people = exposures.of_cells(
                conn, ground.facts.id, "population", ground.cells, ground.resolution
            )
        before = float(ground.before.sum())
        self.growth = float(ground.now.sum()) / before if before else float("nan")
        effort = stakes.worth.effort
        value, finds = float(effort.step_value.sum()), float(stakes.worth.finds.sum())
        self.usual_weight = value / finds if finds > 0 else 1.0
        self.texts = np.array(to_text(ground.cells), dtype=object)
        groups = [rates.of(target, name) for target in TARGETS for name in TYPES]
        # One set of rates for all areas: a rate that is wrong is wrong in each of them.
        self.rate = draw_rates(
            np.array([one.a for one in groups]),
            np.array([one.b for one in groups]),
            np.random.default_rng(terms.seed),
        )
        self.total = np.zeros(len(self.rate), dtype=np.int64)

    def area(self, number: int, patch: Patch) -> PlannedArea:
        """One area of the plan, numbered from 1."""
        ground, members = self.ground, patch.members
        work = work_of(self.stakes, patch)
        totals = draws(self._spread(work), self.rate, np.random.default_rng([self.terms.seed, number]))
        self.total += totals
        low, high = interval(totals)
        finds = float(work.finds.sum())
        growth = self._growth(members)
        targets = self._targets(work)
        sites = self._sites(work)
        municipality, name = self._municipality(members)
        return PlannedArea(
            number=number,
            cells=tuple(self.texts[members]),
            municipality_id=municipality,
            municipality=name,
            districts=self._districts(work, members),
            km2=float(ground.km2[members].sum()),
            hours=work.done.hours,
            capacity=patch.capacity,
            finds=finds,
            low=min(low, finds),
            high=max(high, finds),
            weighted=work.done.value,
            compactness=patch.compactness,
            targets=targets,
            elements=self._elements(work),
            drivers=self._drivers(work, targets, growth),
            base=ground.bases[int(np.bincount(ground.base[members]).argmax())],
            sites=sites,
            growth=growth,
            people=None if self.people is None else float(self.people[members].sum()),
            pinned=patch.pinned,
            material=_summed(sites),
        )

    def interval(self) -> tuple[float, float]:
        """80 % interval of the finds of all areas that were explained so far."""
        return interval(self.total)

    # ---- finds ----

    def _of_target(self, work: Work) -> npt.NDArray[np.object_]:
        """Kind of target of each step, (m,)."""
        places = self.stakes.places.target
        names = np.where(self.stakes.targets.unvisited[work.cell], "unvisited", "new").astype(object)
        known = work.site != ROUND
        names[known] = places[work.site[known]]
        return names

    def _targets(self, work: Work) -> tuple[Part, ...]:
        names = self._of_target(work)
        parts = []
        for target in TARGETS:
            here = names == target
            if not here.any():
                continue
            known = here & (work.site != ROUND) & (work.share >= _REACHED)
            rounds = len(np.unique(work.cell[here & (work.site == ROUND)]))
            parts.append(
                Part(
                    target,
                    Name(),
                    float(work.finds[here].sum()),
                    int(known.sum()) + rounds,
                    float(work.hours[here].sum()),
                )
            )
        return tuple(parts)

    def _by_kind(self, work: Work) -> tuple[Floats, Ints, Floats]:
        """Finds, known places and hours of each kind of report, (k,)."""
        known = work.site != ROUND
        kind = self.stakes.places.kind[work.site[known]]
        k = len(self.known)
        # Of nothing at all bincount gives whole numbers, whatever the weights.
        finds = np.bincount(kind, weights=work.finds[known], minlength=k).astype(np.float64)
        hours = np.bincount(kind, weights=work.hours[known], minlength=k).astype(np.float64)
        sites = np.bincount(kind[work.share[known] >= _REACHED], minlength=k).astype(np.int64)
        mix = self.stakes.mix[work.cell[~known]]
        finds += work.finds[~known] @ mix
        hours += work.hours[~known] @ mix
        return finds, sites, hours

    def _elements(self, work: Work) -> tuple[Part, ...]:
        finds, sites, hours = self._by_kind(work)
        order = np.argsort(-finds, kind="stable")[:_PARTS]
        return tuple(
            Part(self.known.key[i], self.known.name[i], float(finds[i]), int(sites[i]), float(hours[i]))
            for i in order.tolist()
            if finds[i] > 0
        )

    def _spread(self, work: Work) -> Spread:
        """What the interval is drawn from; a group is a kind of target in a type of area."""
        stakes = self.stakes
        known = work.site != ROUND
        at = work.site[known]
        kinds = {target: i for i, target in enumerate(TARGETS)}
        group = np.array([kinds[t] for t in stakes.places.target[at]], dtype=np.int64) * len(TYPES)
        group += stakes.places.area_type[at]
        cells, number = np.unique(work.cell[~known], return_inverse=True)
        # Finds at a rate of 1: what is expected there times the share that the passes find.
        reached = np.bincount(
            number, weights=(stakes.worth.passes[work.done.steps] * work.share)[~known], minlength=len(cells)
        )
        names = np.where(stakes.targets.unvisited[cells], kinds["unvisited"], kinds["new"])
        return Spread(
            group=group,
            pace=stakes.places.pace[at],
            share=work.share[known],
            round_group=names * len(TYPES) + stakes.cell_type[cells],
            round_finds=stakes.round_finds[cells] * searched(reached),
            dispersion=stakes.targets.spread,
        )

    # ---- places ----

    def _sites(self, work: Work) -> tuple[Site, ...]:
        """Places and rounds that the hours reach, those worth most an hour first."""
        known = np.flatnonzero((work.site != ROUND) & (work.share >= _REACHED))
        order = known[np.lexsort((work.site[known], -(work.weighted[known] / work.hours[known])))]
        listed = [(work.weighted[i] / work.hours[i], self._site(int(work.site[i]))) for i in order]
        rounds = work.site == ROUND
        for cell in np.unique(work.cell[rounds]).tolist():
            here = rounds & (work.cell == cell)
            rate = work.weighted[here].sum() / work.hours[here].sum()
            listed.append((rate, self._round(cell, work, here)))
        listed.sort(key=lambda pair: -pair[0])
        return tuple(site for _, site in listed)

    def _site(self, at: int) -> Site:
        places, kind = self.stakes.places, int(self.stakes.places.kind[at])
        terms = self.known.terms[kind]
        material: tuple[tuple[str, float], ...] = ()
        if terms.material and self.terms.kind == "community":
            amount = float(amounts(places.only(np.array([at])), self.known)[0]) * terms.per_unit
            material = ((terms.material, float(np.ceil(amount))),)
        known_report = int(places.report[at])
        return Site(
            key=str(places.key[at]),
            target=places.target[at],
            lon=float(places.lon[at]),
            lat=float(places.lat[at]),
            cell=str(self.texts[places.cell[at]]),
            element=self.known.code[kind],
            element_name=self.known.name[kind],
            chance=float(self.stakes.chance[at]),
            weight=float(self.stakes.weight[at]),
            minutes=float(self.stakes.minutes[at]),
            report_id=known_report or None,
            reference=str(places.reference[at]),
            severity=_whole(places.severity[at]),
            quantity=_number(places.quantity[at]),
            unit=str(places.unit[at]),
            late_days=_number(places.late_days[at]) if places.target[at] == "overdue" else None,
            assumed_limit=bool(places.assumed_limit[at]),
            returns=int(places.returns[at]) or None,
            material=material,
        )

    def _round(self, cell: int, work: Work, here: npt.NDArray[np.bool_]) -> Site:
        finds, weighted = float(work.finds[here].sum()), float(work.weighted[here].sum())
        chance = 1 - float(np.exp(-finds))
        kind = int(np.argmax(self.stakes.mix[cell]))
        return Site(
            key=f"c{self.texts[cell]}",
            target="unvisited" if self.stakes.targets.unvisited[cell] else "new",
            lon=float(self.ground.lon[cell]),
            lat=float(self.ground.lat[cell]),
            cell=str(self.texts[cell]),
            element=self.known.code[kind],
            element_name=self.known.name[kind],
            chance=chance,
            # So that chance × weight is what the round is worth, however many it finds.
            weight=weighted / chance if chance > 0 else 0.0,
            minutes=60 * float(work.hours[here].sum()),
        )

    # ---- words and numbers of the area ----

    def _growth(self, members: Ints) -> float | None:
        now, before = int(self.ground.now[members].sum()), int(self.ground.before[members].sum())
        if now + before < FEW or before == 0 or not self.growth > 0:
            return None
        return now / before / self.growth

    def _drivers(self, work: Work, targets: Sequence[Part], growth: float | None) -> tuple[str, ...]:
        """What makes the area worth going, the strongest kind of target first."""
        names, whole = self._of_target(work), float(work.weighted.sum())
        shares = {part.code: float(work.weighted[names == part.code].sum()) for part in targets}
        ranked = sorted(shares, key=lambda code: -shares[code])
        found = [code for code in ranked if shares[code] >= DRIVES * whole > 0] or ranked[:1]
        if growth is not None and growth >= GROWS:
            found.append("growing")
        finds = float(work.finds.sum())
        if finds > 0 and whole / finds >= SEVERE * self.usual_weight:
            found.append("severe")
        return tuple(found)

    def _municipality(self, members: Ints) -> tuple[int | None, Name]:
        ids, counts = np.unique(self.ground.municipality[members], return_counts=True)
        most = int(ids[np.argmax(counts)])
        return (most, self.ground.names[most]) if most else (None, Name())

    def _districts(self, work: Work, members: Ints) -> tuple[Name, ...]:
        """Districts of the cells, those with most finds first."""
        worth = np.zeros(len(self.ground.cells))
        np.add.at(worth, work.cell, work.weighted)
        ids, number = np.unique(self.ground.district[members], return_inverse=True)
        total = np.bincount(number, weights=worth[members], minlength=len(ids))
        order = np.lexsort((ids, -total))
        return tuple(self.ground.names[int(ids[i])] for i in order if ids[i])


def _summed(sites: Sequence[Site]) -> tuple[tuple[str, float], ...]:
    total: dict[str, float] = {}
    for site in sites:
        for code, amount in site.material:
            total[code] = total.get(code, 0.0) + amount
    return tuple(sorted(total.items()))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _whole(value: float) -> int | None:
    return None if np.isnan(value) else int(value)
