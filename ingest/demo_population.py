"""The demo's people by H3 cell: made up, so that rates can be shown at once.

The assumed population of each place (``data/reference/demo_towns.csv``) stands along its
made-up streets, one simulated household for some twelve; the cells are what a statistics
office would hand over. Caveat: reports of the demo were drawn by the same populations, so
its rates differ by habits alone, as they should.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from geo.cells import Cells, cells_of, rollup, to_text
from geo.simulated_scene import generator
from geo.simulated_world import people
from ingest.demo_world import WORLD_SEED, DemoWorld, demo_world

LABEL = "سكان بالمحاكاة · Simulated population"
RESOLUTION = 9  # about 36,000 cells of 0.1 km² on the demo's 3,800 km²
PERSONS = 400_000


def write_population(path: Path, demo: DemoWorld) -> Path:
    """Write ``cell`` and ``population`` as CSV, replacing the file; the same in every run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells, persons = _homes()
    each = float(demo.world.places.population.sum()) / PERSONS
    table = pl.DataFrame({"cell": to_text(cells), "population": np.round(persons * each, 1)})
    table.write_csv(path)
    return path


@cache
def _homes() -> tuple[Cells, npt.NDArray[np.float64]]:
    """Cells and how many of the simulated people live in each."""
    lon, lat = people(demo_world().world, PERSONS, generator(WORLD_SEED, 7))
    return rollup(cells_of(lon, lat, RESOLUTION), np.ones(PERSONS), RESOLUTION)
