"""How wide a kernel should be: two rules for points on a plane, in metres.

Two-fold likelihood cross-validation (Habbema, Hermans & van den Broek 1974; Duin 1976)
over blocks of time: each half of the time is predicted from the other. It needs no normal
shape, as Scott's rule (1992) does, and reports that share an address do not drive it to
zero, as in Botev's rule or a leave-one-out one: those took Baltimore's reports to the size
of a pixel. Caveat: it supposes that the pattern lasts, and it is the best width to foretell
places with, which may be narrower than the one that is best to look at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_STEP = 2**0.5
# Share of the held-out reports that may lie anywhere: one stray report must not decide.
_ANYWHERE = 0.01


def scott_bandwidth(east: Floats, north: Floats, weights: Floats | None = None) -> float:
    """Scott's rule in two dimensions: n^(-1/6) times the geometric mean of both spreads, metres.

    Best for one normal heap; far too wide for several towns (Scott 1992, ch. 6). nan for
    fewer than two places.
    """
    mass = np.ones(len(east)) if weights is None else weights
    n = float(mass.sum())
    if not n > 0:
        return float("nan")
    spread = 1.0
    for axis in (east, north):
        middle = float((axis * mass).sum() / n)
        spread *= float(((axis - middle) ** 2 * mass).sum() / n) ** 0.5
    return spread**0.5 * n ** (-1 / 6) if spread > 0 else float("nan")


def likelihood_bandwidth(
    first: Floats, second: Floats, cell_m: float, least_m: float, most_m: float, inside: Flags | None = None
) -> float:
    """The bandwidth with which each half predicts the other best, metres.

    Parameters
    ----------
    first, second : (rows, columns) counts by pixel of the two halves.
    cell_m : side of a pixel.
    least_m, most_m : the range that is searched; steps of √2, then a parabola.
    inside : where reports can be; the whole raster when left out.

    Returns
    -------
    The bandwidth of the greatest mean log-likelihood of a held-out report under the
    density of the other half, 1 % of it even over the study area.
    """
    rows, columns = first.shape
    # Room for the widest kernel, as far as it still matters for a comparison.
    reach = int(min(3 * most_m / cell_m, max(rows, columns)))
    size = (
        scipy.fft.next_fast_len(rows + reach, real=True),
        scipy.fft.next_fast_len(columns + reach, real=True),
    )
    wave = scipy.fft.fftfreq(size[0])[:, None] ** 2 + scipy.fft.rfftfreq(size[1])[None, :] ** 2
    sides = [
        (scipy.fft.rfft2(one, s=size, workers=2), one.sum(), other)
        for one, other in ((first, second), (second, first))
    ]
    even = 1.0 / (inside.sum() if inside is not None else first.size)

    def score(width: float) -> float:
        kernel = np.exp(-2 * np.pi**2 * (width / cell_m) ** 2 * wave)
        total = 0.0
        for moved, mass, held_out in sides:
            chance = scipy.fft.irfft2(moved * kernel, s=size, workers=2)[:rows, :columns]
            there = held_out > 0
            at = (1 - _ANYWHERE) * np.maximum(chance[there], 0) / mass + _ANYWHERE * even
            total += float((held_out[there] * np.log(at)).sum())
        return total

    widths, scores = [least_m], [score(least_m)]
    # One peak is the rule; two falls in a row end the search.
    while widths[-1] * _STEP <= most_m and (len(scores) < 3 or not scores[-1] < scores[-2] < scores[-3]):
        widths.append(widths[-1] * _STEP)
        scores.append(score(widths[-1]))
    best = int(np.argmax(scores))
    if best in (0, len(scores) - 1):
        return float(widths[best])
    low, middle, high = scores[best - 1 : best + 2]
    shift = 0.5 * (low - high) / (low - 2 * middle + high) if low - 2 * middle + high < 0 else 0.0
    return float(widths[best] * _STEP**shift)
