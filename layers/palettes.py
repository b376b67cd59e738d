"""The map's colours: three sequential palettes, each for a light and a dark screen.

Six colours in even steps of lightness (OKLab, Ottosson 2020), so equal steps in class look
equal, in grey and with any colour blindness: lightness alone carries the order. On a dark
screen the order turns round, so that more reports always stand out more from the ground.
"""

from __future__ import annotations

from types import MappingProxyType

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
