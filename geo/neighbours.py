"""Which cells of a study area are near each other: H3 disks as sparse matrices.

The k-ring (disk) of a cell holds the cells within k steps on the grid, 1 + 3k(k+1) of
them, except near the edge of the study area, where only those inside it count. Every
method that looks at neighbours (Gi*, Local Moran, scan, forecast) uses these matrices.
Caveat: near a pentagon (twelve on earth, all but one at sea) a disk has fewer cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from h3ronpy import grid_disk_distances

from geo.cells import Cells, resolutions
from geo.errors import InputError

_BLOCK = 1 << 22  # neighbours looked up at a time, to bound memory


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Disks of radius k around the cells of a study area, themselves included.

    Attributes
    ----------
    cells : (n,) int64, ascending and unique, of one resolution.
    k : radius of the disks in cells.
    matrix : (n, n) sparse, 1 where two cells lie within k steps; the diagonal is 1.
    members : (n,) int64, cells of the study area in each disk, itself included.
    full : cells of a whole disk, 1 + 3k(k+1).
    """

    cells: Cells
    k: int
    matrix: sp.csr_array
    members: npt.NDArray[np.int64]
    full: int

    @property
    def edge(self) -> npt.NDArray[np.bool_]:
        """Cells whose disk is cut by the edge of the study area, (n,)."""
        return self.members < self.full

    @property
    def isolated(self) -> npt.NDArray[np.bool_]:
        """Cells without any other cell in their disk, (n,)."""
        return self.members == 1


def neighbourhood(cells: npt.ArrayLike, k: int = 1) -> Neighbourhood:
    """Disks of radius ``k`` around each cell.

    Parameters
    ----------
    cells : (n,) int64, ascending, unique, of one resolution.
    k : steps on the grid, at least 0; 1 gives the cell and its six neighbours.

    Raises
    ------
    InputError : cells are not in order, not unique or of several resolutions; k < 0.
    """
    array, (columns, starts, _) = _pairs(cells, k)
    matrix = _matrix(len(array), starts, columns)
    return Neighbourhood(array, k, matrix, np.diff(starts), 1 + 3 * k * (k + 1))


def rings(cells: npt.ArrayLike, k: int) -> list[sp.csr_array]:
    """Rings 0 to ``k``: item j is an (n, n) matrix of cells exactly j steps apart.

    Item 0 is the identity; the sum of all items is ``neighbourhood(cells, k).matrix``.

    Raises
    ------
    InputError : as in ``neighbourhood``.
    """
    array, (columns, starts, distances) = _pairs(cells, k)
    n = len(array)
    rows = np.repeat(np.arange(n, dtype=np.int64), np.diff(starts))
    parts = []
    for step in range(k + 1):
        here = distances == step
        own = np.concatenate(([0], np.cumsum(np.bincount(rows[here], minlength=n))))
        parts.append(_matrix(n, own, columns[here]))
    return parts


def _matrix(n: int, starts: npt.NDArray[np.int64], columns: npt.NDArray[np.int32]) -> sp.csr_array:
    # 32-bit indices while they fit: half the memory traffic of every product.
    pointers = starts.astype(np.int32) if starts[-1] < 1 << 31 else starts
    return sp.csr_array((np.ones(len(columns)), columns, pointers), shape=(n, n))


def _pairs(
    cells: npt.ArrayLike, k: int
) -> tuple[Cells, tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int16]]]:
    """Columns in order of row and column, row starts (n + 1,), and the steps between the two."""
    array = np.ascontiguousarray(cells, dtype=np.int64)
    if k < 0:
        raise InputError(f"A neighbourhood of {k} rings does not exist; use 0 or more.")
    if len(array) and (np.any(array[1:] <= array[:-1]) or array[0] <= 0):
        raise InputError("The cells of a neighbourhood must be H3 indexes in rising order, each once.")
    if len(np.unique(resolutions(array))) > 1:
        raise InputError("The cells of a neighbourhood must all have one resolution.")
    if not len(array):
        return array, (np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int16))
    step = max(1, _BLOCK // (1 + 3 * k * (k + 1)))
    columns, counts, distances = [], [], []
    for begin in range(0, len(array), step):
        found = pa.record_batch(grid_disk_distances(array[begin : begin + step].view(np.uint64), k))
        lists = found.column("cell")
        near = lists.values.to_numpy().view(np.int64)
        place = np.minimum(np.searchsorted(array, near), len(array) - 1)
        inside = array[place] == near
        rows = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))[inside]
        place = place[inside]
        # In order of row already; within a row H3 goes round the rings, a matrix wants ascending columns.
        order = np.lexsort((place, rows))
        columns.append(place[order].astype(np.int32))
        distances.append(found.column("k").values.to_numpy()[inside][order].astype(np.int16))
        counts.append(np.bincount(rows, minlength=len(lists)))
    starts = np.concatenate(([0], np.cumsum(np.concatenate(counts))))
    return array, (np.concatenate(columns), starts, np.concatenate(distances))
