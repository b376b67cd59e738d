"""What came and what was to be expected, period by period, as a small chart on paper.

Inline SVG in millimetres; time runs from left to right in both languages, as on the screens.
Caveat: the axis begins at zero, so small differences look small.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LEFT, _TOP, _BOTTOM, _RIGHT = 12.0, 4.0, 7.0, 4.0  # mm of margin


@dataclass(frozen=True, slots=True)
class Point:
    """One period: its first day, what came, what was expected."""

    start: dt.date
    came: float
    expected: float


def course(
    points: Sequence[Point], within: tuple[dt.date, dt.date], *, width: float, height: float, title: str
) -> Markup:
    """The chart; ``within`` is shaded: the days of the campaign, left out of the comparison."""
    first = min(points[0].start, within[0]).toordinal()
    last = max(points[-1].start, within[1]).toordinal()
    top = _round_up(max(1.0, *(p.came for p in points), *(p.expected for p in points)))
    across, down = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def x(day: dt.date) -> float:
        return _LEFT + across * (day.toordinal() - first) / max(last - first, 1)

    def y(value: float) -> float:
        return _TOP + down * (1 - value / top)

    parts = [
        f'<svg class="map course" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">',
        f'<rect width="{width:g}" height="{height:g}" class="paper"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        at = y(top * share)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.2f}h{across:.2f}"/>')
        parts.append(f'<text x="{_LEFT / 2}" y="{at + 1:.2f}">{top * share:,.0f}</text>')
    left, right = x(within[0]), x(within[1])
    parts.append(
        f'<rect class="while" x="{left:.2f}" y="{_TOP}" width="{max(right - left, 0.6):.2f}" height="{down:.2f}"/>'
    )
    for name, values in (
        ("meant", [(x(p.start), y(p.expected)) for p in points]),
        ("came", [(x(p.start), y(p.came)) for p in points]),
    ):
        steps = "L".join(f"{px:.2f} {py:.2f}" for px, py in values)
        parts.append(f'<path class="{name}" d="M{steps}"/>')
    parts += [f'<circle cx="{x(p.start):.2f}" cy="{y(p.came):.2f}" r=".8"/>' for p in points]
    for p in points[:: max(1, len(points) // 6)]:
        parts.append(f'<text x="{x(p.start):.2f}" y="{height - 2:.2f}">{p.start:%Y-%m}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers and an escaped title only


def _round_up(value: float) -> float:
    """The next value of 1, 2, 5 × a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
