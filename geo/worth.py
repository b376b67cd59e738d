"""From places worth a visit to the curve of finds by hours of each cell.

A known place is one step: its hours are those at the place and a share of the way between
the places of its cell, 0.7124·sqrt(A·n) for n places on the area A (Beardwood, Halton &
Hammersley 1959). What is only expected somewhere in a cell is searched for: patrolling
its streets finds the share 1 − exp(−passes) of it (Koopman 1946, 1980), taken in pieces,
and whatever is found takes its time as well, which is most of a busy cell's hours.
Caveat: the way between places is that of a cell worked completely; who does only its best
places travels further between them than is counted here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from geo.cells import Cells, areas_km2, cells_of
from geo.effort import Effort, Filled
from geo.errors import InputError
from geo.roads import DETOUR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOUR = 0.7124  # of Beardwood, Halton & Hammersley; the constant as measured by Johnson & McGeoch 1996
#: Passes at which the search curve is cut into straight pieces; beyond the last nobody searches.
PASSES = (0.5, 1.0, 2.0, 3.0)
STEPS = 8  # pieces of a road across a cell, when its length is shared out to cells
ROUND = -1  # in ``Worth.site``: a piece of the round through a cell


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Known places, (s,) each.

    Attributes
    ----------
    cell : position of the cell. finds : expected, 0 to 1. weight : of one find.
    hours : at the place.
    """

    cell: Ints
    finds: Floats
    weight: Floats
    hours: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """What is only expected somewhere in a cell, (n,) each.

    Attributes
    ----------
    finds : expected if every street were looked at well. weight : of one find.
    hours : of one pass through the cell's streets. each : hours at one place that is found.
    """

    finds: Floats
    weight: Floats
    hours: Floats
    each: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """Curves, and what each step of them is.

    Attributes
    ----------
    effort : the curves in weighted finds.
    site : (t,) position of the place that a step visits, or ``ROUND``.
    finds : (t,) expected of the whole step, without weights.
    passes : (t,) through the cell's streets; 0 for a known place.
    """

    effort: Effort
    site: Ints
    finds: Floats
    passes: Floats

    def found(self, done: Filled) -> Floats:
        """Finds expected of each step that was done, (m,) in order of ``done.steps``."""
        return self.finds[done.steps] * done.shares


def hop_km(km2: npt.ArrayLike) -> Floats:
    """Distance between the centres of neighbouring hexagons of so many km², (n,)."""
    return np.sqrt(2 / math.sqrt(3) * np.asarray(km2, dtype=np.float64))


def worth(
    cells: Cells,
    km2: npt.ArrayLike,
    sites: Sites,
    rounds: Rounds,
    minutes_km: float,
    *,
    detour: float = DETOUR,
) -> Worth:
    """The curves of a study area.

    Parameters
    ----------
    cells : (n,) int64, ascending. km2 : (n,).
    minutes_km : of travel between places, on the straight line times ``detour``.

    Raises
    ------
    InputError : a place lies in no cell, or an amount is negative or not finite.
    """
    area = np.asarray(km2, dtype=np.float64)
    if not len(area) == len(cells) == len(rounds.finds):
        raise InputError("Cells, their areas and what is expected in them must be of one length.")
    if len(sites.cell) and (sites.cell.min() < 0 or sites.cell.max() >= len(cells)):
        raise InputError("A place to visit lies in none of the cells.")
    hours_km = minutes_km * detour / 60
    number = np.bincount(sites.cell, minlength=len(cells))
    between = TOUR * np.sqrt(area / np.maximum(number, 1)) * hours_km
    own_hours = sites.hours + between[sites.cell]
    piece, piece_passes = _pieces(rounds)
    passes = np.concatenate([np.zeros(len(sites.cell)), piece_passes])
    cell = np.concatenate([sites.cell, piece.cell])
    hours = np.concatenate([own_hours, piece.hours])
    finds = np.concatenate([sites.finds, piece.finds])
    value = finds * np.concatenate([sites.weight, piece.weight])
    site = np.concatenate([np.arange(len(sites.cell)), np.full(len(piece.cell), ROUND)])
    # What is worth nothing is no step: nobody would take it.
    use = np.flatnonzero(~(value <= 0))
    order = use[np.lexsort((use, -(value[use] / hours[use]), cell[use]))]
    effort = Effort(
        cells=np.asarray(cells, dtype=np.int64),
        enter=hop_km(area) * hours_km,
        step_cell=cell[order].astype(np.int64),
        step_hours=hours[order],
        step_value=value[order],
    )
    return Worth(effort, site[order].astype(np.int64), finds[order], passes[order])


def road_km(lines: npt.NDArray[np.object_], length_m: npt.ArrayLike, cells: Cells, resolution: int) -> Floats:
    """Kilometres of road in each cell, (n,); what lies in none of the cells is left out.

    Parameters
    ----------
    lines : (r,) shapely linestrings, EPSG:4326. length_m : (r,) their lengths.

    Each line is cut into equal pieces, some eight of them across a cell, and a piece is where
    its middle is.
    """
    length = np.asarray(length_m, dtype=np.float64)
    step_m = 1000 * math.sqrt(float(areas_km2(cells[:1])[0])) / STEPS if len(cells) else 100.0
    pieces = np.maximum(np.ceil(length / step_m), 1).astype(np.int64)
    own = np.repeat(np.arange(len(lines)), pieces)
    number = np.arange(len(own)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    at = shapely.line_interpolate_point(lines[own], (number + 0.5) / pieces[own], normalized=True)
    held = cells_of(shapely.get_x(at), shapely.get_y(at), resolution)
    place = np.searchsorted(cells, held).clip(max=max(len(cells) - 1, 0))
    inside = cells[place] == held if len(cells) else np.zeros(len(held), dtype=bool)
    km = length[own] / pieces[own] / 1000
    return np.bincount(place[inside], weights=km[inside], minlength=len(cells)).astype(np.float64)


def searched(passes: npt.ArrayLike) -> Floats:
    """Share of what is there that so many passes find, by Koopman's random search."""
    return 1 - np.exp(-np.asarray(passes, dtype=np.float64))


def _pieces(rounds: Rounds) -> tuple[Sites, Floats]:
    """The search curves as straight pieces between ``PASSES``, cells in order, the best first; passes of each."""
    at = np.flatnonzero(rounds.finds > 0)
    ends = np.array(PASSES)
    gain = np.diff(searched(ends), prepend=0.0)
    passes = np.diff(ends, prepend=0.0)
    finds = np.outer(rounds.finds[at], gain)
    sites = Sites(
        cell=np.repeat(at, len(ends)).astype(np.int64),
        finds=finds.ravel(),
        weight=np.repeat(rounds.weight[at], len(ends)),
        hours=(np.outer(rounds.hours[at], passes) + finds * rounds.each[at, None]).ravel(),
    )
    return sites, np.tile(passes, len(at))
