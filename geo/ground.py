"""Smoothing over the cells of a study area, in metres.

A Gaussian kernel on the distances between cell centres (local UTM zone), cut at three
widths and scaled so that every report keeps its whole weight inside the study area: the
edge neither loses reports nor gets fewer neighbours' share (as in Jones 1993). A wide
kernel is a narrow one applied several times (variances add up). Caveat: widths are told
in cell spacings; below about half a spacing hardly anything reaches the next cell.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import shapely
from pyproj import Transformer

from geo.boundaries import local_utm
from geo.cells import Cells, areas_km2, centres
from geo.errors import InputError
from geo.neighbours import neighbourhood

Floats = npt.NDArray[np.float64]

CUT = 3.0  # widths at which a kernel ends: 1 % of a Gaussian in the plane lies beyond
_WIDEST = 0.8  # spacings of one application; wider ones are repeated
_RINGS = math.ceil(CUT * _WIDEST / (math.sqrt(3) / 2))  # centres k steps apart are at least 0.866 k apart
_FURTHEST = 12.0


class Ground:
    """Cells of a study area with their places, and kernels between them that are made once.

    Attributes
    ----------
    cells : (n,) int64, ascending, of one resolution.
    metres : (n, 2) float64, easting and northing of the centres from their mean.
    spacing_m : mean distance between neighbouring centres.
    """

    def __init__(self, cells: Cells) -> None:
        self.cells = np.asarray(cells, dtype=np.int64)
        self.metres = np.zeros((len(self.cells), 2))
        self.spacing_m = math.nan
        self._kernels: dict[float, sp.csr_array] = {}
        self._near: tuple[sp.csr_array, Floats] | None = None
        if not len(self.cells):
            return
        lon, lat = centres(self.cells)
        middle = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
        flat = Transformer.from_crs("EPSG:4326", local_utm([middle]), always_xy=True)
        self.metres = np.column_stack(flat.transform(lon, lat))
        self.metres -= self.metres.mean(axis=0)
        # A hexagon of area A has its neighbours at the distance sqrt(2 A / sqrt 3).
        step = max(1, len(self.cells) // 500)
        self.spacing_m = math.sqrt(2e6 / math.sqrt(3) * float(areas_km2(self.cells[::step]).mean()))

    def smooth(self, values: npt.ArrayLike, width: float) -> Floats:
        """Values spread over their surroundings; the total stays the same.

        Parameters
        ----------
        values : (n,) or (n, k) numbers at the cells.
        width : standard deviation of the kernel in cell spacings, 0 (nothing) to 12.
        """
        spread = np.asarray(values, dtype=np.float64)
        if not 0 <= width <= _FURTHEST:
            raise InputError(f"A kernel of {width} cell spacings is not possible; use 0 to {_FURTHEST:g}.")
        if width == 0 or not len(self.cells):
            return spread
        times = math.ceil((width / _WIDEST) ** 2)
        kernel = self._kernel(width / math.sqrt(times))
        for _ in range(times):
            spread = kernel @ spread
        return np.asarray(spread)

    def _kernel(self, width: float) -> sp.csr_array:
        """(n, n) sparse; each column, what becomes of one report, adds up to 1."""
        key = round(width, 6)
        if key not in self._kernels:
            near, apart = self._pairs()
            weight = np.exp(-0.5 * (apart / width) ** 2)
            weight[apart > CUT * width] = 0.0
            total = np.bincount(near.indices, weight, minlength=near.shape[0])
            # A copy: dropping zeros moves the index arrays, which the next kernel starts from.
            kernel = sp.csr_array(
                (weight / total[near.indices], near.indices, near.indptr), near.shape, copy=True
            )
            kernel.eliminate_zeros()
            self._kernels[key] = kernel
        return self._kernels[key]

    def _pairs(self) -> tuple[sp.csr_array, Floats]:
        """Which cells are near which, and how far apart each pair is, in spacings."""
        if self._near is None:
            near = neighbourhood(self.cells, _RINGS).matrix
            row = np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))
            apart = np.hypot(*(self.metres[row] - self.metres[near.indices]).T) / self.spacing_m
            self._near = near, apart
        return self._near
