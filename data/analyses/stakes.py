"""What is at stake where: targets, hit rates, weights and hours put together to curves.

The last step before areas are chosen. A find weighs its target's weight × its element's ×
(by the report's own severity, 1 to 5) 0.8 to 1.2 × (overdue) 1 to 1.5 with the days it is
late, × (volunteers) 0 to 1 with the people around. Caveat: weights say what matters, not
what is there; ``finds`` are counted without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import exposures, roads
from data.analyses.hits import AreaTypes
from data.analyses.kinds import Kinds, target_terms
from data.analyses.targets import Places, Targets
from data.analyses.terrain import Terrain
from data.analyses.volunteers import WALK_MINUTES_KM, volunteering
from data.plan import TARGETS, CampaignTerms
from geo.hitrates import HitRates
from geo.remarks import Remark, caution, decided
from geo.worth import Rounds, Sites, Worth, hop_km, road_km, worth
from geo.yields import paced

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LATE_MOST = 0.5  # more weight of a report that is very late
LATE_HALF_DAYS = 30.0  # late by so much, it has half of that
SEVERITY_STEP = 0.1  # of the weight for each step of a report's severity from 3
#: Kilometres of street in a km² of quiet, middle and busy areas; assumed where none are known.
STREET_KM = (4.0, 8.0, 14.0)
PRIOR_REPORTS = 5.0  # of the territory's mix of elements, added to a cell's own


@dataclass(frozen=True, slots=True, eq=False)
class Stakes:
    """Curves and what they are made of.

    Attributes
    ----------
    worth : the curves; its sites are ``places``. minutes_km : of travel inside an area.
    chance, weight, minutes : (s,) of the places; minutes at the place.
    mix : (n, k) share of each kind among what is expected in a cell.
    cell_type : (n,) position in ``TYPES``. round_finds : (n,) expected if all streets were looked at
        by a team that misses nothing; ``round_rate`` : (n,) hit rate of that; ``round_weight`` : of a find.
    round_hours : (n,) of one pass.
    """

    worth: Worth
    places: Places
    targets: Targets
    minutes_km: float
    chance: Floats
    weight: Floats
    minutes: Floats
    mix: Floats
    cell_type: Ints
    round_finds: Floats
    round_rate: Floats
    round_weight: Floats
    round_hours: Floats
    remarks: tuple[Remark, ...]


def weights(terms: CampaignTerms) -> dict[str, float]:
    """Weight of each kind of target: the terms', else the reference table's."""
    community = terms.kind == "community"
    return {
        target: terms.weight(target, known.weight_community if community else known.weight)
        for target, known in target_terms().items()
    }


def stakes(
    conn: Connection,
    found: Targets,
    ground: Terrain,
    known: Kinds,
    types: AreaTypes,
    rates: HitRates,
    terms: CampaignTerms,
) -> Stakes:
    """The curves of a campaign."""
    by_target = weights(terms)
    keep = np.array([by_target[target] > 0 for target in found.places.target], dtype=bool)
    places = found.places.only(keep)
    remarks: list[Remark] = []
    near = np.ones(len(places))
    minutes = terms.minutes_site * known.numbers("site_factor")[places.kind]
    minutes_km = terms.minutes_km
    if terms.kind == "community":
        team = volunteering(conn, places, ground, known, terms)
        remarks += team.remarks
        places = places.only(team.keep)
        near, minutes, minutes_km = team.near[team.keep], team.minutes[team.keep], WALK_MINUTES_KM
    mean = {target: rates.means(target) for target in TARGETS}
    base = np.array([mean[t][a] for t, a in zip(places.target, places.area_type, strict=True)])
    chance = paced(base, places.pace) if len(places) else np.zeros(0)
    weight = _site_weight(places, known, by_target) * near
    cell_type = types.of(ground.lon, ground.lat)
    mix = shares(ground.mix)
    round_rate = np.where(found.unvisited, mean["unvisited"][cell_type], mean["new"][cell_type])
    round_weight = np.where(found.unvisited, by_target["unvisited"], by_target["new"])
    round_weight = round_weight * (mix @ known.numbers("weight"))
    round_each = mix @ known.numbers("site_factor") * terms.minutes_site / 60
    round_hours, said = _pass_hours(conn, ground, cell_type, terms)
    if found.expected.any():
        remarks += said
    # A chronic place is counted once: what a visit there finds, the rounds cannot find again. Its past
    # returns are no measure of that: places are chronic because they had many, and regress to the mean.
    at_chronic = places.target == "chronic"
    stands_for = np.bincount(places.cell[at_chronic], chance[at_chronic], minlength=len(ground.cells))
    round_finds = np.maximum(found.expected - stands_for / round_rate, 0.0)
    remarks.insert(0, _told(places, found, round_finds))
    curves = worth(
        ground.cells,
        ground.km2,
        Sites(places.cell, chance, weight, minutes / 60),
        Rounds(round_finds * round_rate, round_weight, round_hours, round_each),
        minutes_km,
    )
    return Stakes(
        worth=curves, places=places, targets=found, minutes_km=minutes_km, chance=chance, weight=weight,
        minutes=minutes, mix=mix, cell_type=cell_type, round_finds=round_finds, round_rate=round_rate,
        round_weight=round_weight, round_hours=round_hours, remarks=tuple(remarks),
    )  # fmt: skip


def lateness(late_days: npt.ArrayLike) -> Floats:
    """Factor of the weight by days past the limit, (s,) 1 to 1.5; 1 where it is not late."""
    days = np.maximum(np.nan_to_num(np.asarray(late_days, dtype=np.float64)), 0.0)
    return 1 + LATE_MOST * days / (days + LATE_HALF_DAYS)


def shares(mix: npt.NDArray[np.int32]) -> Floats:
    """Share of each kind by cell, (n, k): the cell's own reports and a few of the whole area's mix."""
    total = mix.sum(axis=0).astype(np.float64)
    usual = total / total.sum() if total.sum() > 0 else np.full(mix.shape[1], 1 / max(mix.shape[1], 1))
    own = mix.sum(axis=1, keepdims=True)
    return (mix + PRIOR_REPORTS * usual) / (own + PRIOR_REPORTS)


def _site_weight(places: Places, known: Kinds, by_target: dict[str, float]) -> Floats:
    target = np.array([by_target[one] for one in places.target], dtype=np.float64)
    grade = np.where(np.isnan(places.severity), 3.0, places.severity.clip(1, 5))
    return (
        target
        * known.numbers("weight")[places.kind]
        * (1 + SEVERITY_STEP * (grade - 3))
        * lateness(np.where(places.target == "overdue", places.late_days, np.nan))
    )


def _told(places: Places, found: Targets, round_finds: Floats) -> Remark:
    return decided(
        "campaign_targets",
        overdue=int((places.target == "overdue").sum()),
        open=int((places.target == "open").sum()),
        chronic=int((places.target == "chronic").sum()),
        new=round(float(round_finds.sum())),
        days=found.window,
    )


def _pass_hours(
    conn: Connection, ground: Terrain, cell_type: Ints, terms: CampaignTerms
) -> tuple[Floats, list[Remark]]:
    """Hours of one pass through the streets of each cell, (n,), and where their length is from."""
    loaded = roads.of_territory(conn, ground.facts.id)
    if exposures.current(conn, ground.facts.id, "road_km") is not None:
        km = exposures.of_cells(conn, ground.facts.id, "road_km", ground.cells, ground.resolution)
        said = [decided("campaign_road_km")]
    elif loaded is not None:
        km = road_km(loaded.lines, loaded.length_m, ground.cells, ground.resolution)
        said = [decided("campaign_road_km")]
    else:
        km = ground.km2 * np.array(STREET_KM)[cell_type]
        quiet, middle, busy = STREET_KM
        said = [caution("campaign_street_km", quiet=quiet, middle=middle, busy=busy)]
    # At least once across: a cell without a street is crossed all the same.
    return np.maximum(km, hop_km(ground.km2)) * terms.minutes_km / 60, said
