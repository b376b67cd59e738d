"""How evenly something is shared out: Gini's coefficient of amounts.

0 when all have the same, near 1 when one has everything (Gini 1912, in the form of Sen 1973
for n amounts). Caveat: even is not the same as fair; places with more to do may need more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo.errors import InputError


def gini(amounts: npt.ArrayLike) -> float | None:
    """Gini's coefficient of (n,) amounts, at least 0; None where there is nothing to share.

    Raises
    ------
    InputError : an amount is negative or not finite.
    """
    values = np.sort(np.asarray(amounts, dtype=np.float64))
    if not (np.isfinite(values) & (values >= 0)).all():
        raise InputError("Amounts that are shared out must be finite and at least 0.")
    total = float(values.sum())
    if total <= 0:
        return None
    n = len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total))
