"""The map's colours, each for a light and a dark screen, and the mark that goes with each.

Sequential palettes are six colours in even steps of lightness (OKLab, Ottosson 2020), so
equal steps in class look equal, in grey and with any colour blindness: lightness alone
carries the order. On a dark screen the order turns round, so that more always stands out
more from the ground. Diverging ones join a warm and a cool arm, which every kind of colour
blindness tells apart; marks say the same without colour: no class that means "more than
chance" is told by its colour alone.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

Mark = Literal["", "dot", "ring", "cross", "hatch", "up", "down"]


class Shade(NamedTuple):
    """A class's colours on a light and on a dark screen, and its mark."""

    light: str
    dark: str
    mark: Mark = ""


PALETTES = MappingProxyType(
    {
        "ember": {
            "light": ("#f3e4b8", "#e8b563", "#da8108", "#b95506", "#9a2000", "#680317"),
            "dark": ("#5d202d", "#952f2a", "#c3510e", "#e1810f", "#f3b54a", "#fde89a"),
        },
        "palm": {
            "light": ("#e9ebc5", "#b5cb90", "#79ab6e", "#3b8a5b", "#00654d", "#003f39"),
            "dark": ("#11403e", "#116754", "#378d61", "#6fb268", "#b0d378", "#eff2a3"),
        },
        "gulf": {
            "light": ("#caf1f2", "#89ccde", "#4ea5cf", "#267abf", "#274ca3", "#2a2077"),
            "dark": ("#342972", "#3651a3", "#2d7ec5", "#40abda", "#78d4e8", "#bdf8f8"),
        },
    }
)
DEFAULT = "ember"
SEQUENTIAL = tuple(PALETTES)

# A class that is not drawn: its cells are still read on hover and clicked.
NOT_DRAWN = Shade("", "")
# A class that is drawn and says nothing, so that a hole is told apart from it.
NEUTRAL = Shade("#e4e5e0", "#2b3133")

# Two-sided tests (Gi*, a difference of two periods): up is more, down is less than chance.
DIVERGING = MappingProxyType(
    {
        "hot99": Shade("#941714", "#f9c965", "up"),
        "hot95": Shade("#dc6408", "#d66a09", "up"),
        "hot90": Shade("#f8b65d", "#83391e", "up"),
        "none": NOT_DRAWN,
        "cold90": Shade("#7fd2ee", "#23538e", "down"),
        "cold95": Shade("#248fcc", "#2e97ca", "down"),
        "cold99": Shade("#1a469d", "#8ae5f5", "down"),
    }
)

# Clusters and outliers of local Moran: high or low, among high or low.
CLUSTERS = MappingProxyType(
    {
        "high_high": Shade("#941714", "#f9c965", "up"),
        "high_low": Shade("#f8b65d", "#83391e", "cross"),
        "low_high": Shade("#7fd2ee", "#23538e", "ring"),
        "low_low": Shade("#1a469d", "#8ae5f5", "down"),
        "none": NOT_DRAWN,
    }
)

# The 17 classes of Emerging Hot Spot Analysis: mark and step are the pattern, the arm is hot or cold.
_PATTERNS: tuple[tuple[str, Mark], ...] = (
    ("historical", "dot"),
    ("sporadic", "hatch"),
    ("oscillating", "ring"),
    ("diminishing", "down"),
    ("new", "cross"),
    ("consecutive", "ring"),
    ("persistent", "dot"),
    ("intensifying", "up"),
)
_WARM = (
    ("#f2d995", "#6a2b2e"),
    ("#e8ba6d", "#893e31"),
    ("#de9a45", "#a7522f"),
    ("#d4791b", "#c36a27"),
    ("#c25a09", "#da861f"),
    ("#aa3f19", "#e4a94d"),
    ("#8c2a23", "#edca78"),
    ("#6f1724", "#f8e9a3"),
)
_COOL = (
    ("#a4e8f3", "#373b76"),
    ("#80d0e7", "#3d5492"),
    ("#60b7db", "#406fad"),
    ("#469cd0", "#408bc5"),
    ("#3581c3", "#43a8da"),
    ("#3466ae", "#67c3e2"),
    ("#334b97", "#8fddec"),
    ("#31307f", "#b9f5f8"),
)
EMERGING = MappingProxyType(
    {
        f"{arm}_{pattern}": Shade(*colours[step], mark)
        for arm, colours in (("hot", _WARM), ("cold", _COOL))
        for step, (pattern, mark) in reversed(list(enumerate(_PATTERNS)))
    }
    | {"none": NOT_DRAWN}
)


def sequential(classes: int, name: str = DEFAULT, mark: Mark = "") -> tuple[Shade, ...]:
    """Shades of 1 to 6 classes from low to high, as the map of counts picks them."""
    light, dark = PALETTES[name]["light"], PALETTES[name]["dark"]
    if not 1 <= classes <= len(light):
        raise ValueError(f"a sequential palette has 1 to {len(light)} classes, not {classes}")
    # Half a step goes up, as in the browser's Math.round.
    steps = [2] if classes == 1 else [int(k * (len(light) - 1) / (classes - 1) + 0.5) for k in range(classes)]
    return tuple(Shade(light[k], dark[k], mark) for k in steps)
