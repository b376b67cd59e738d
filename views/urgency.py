"""How a report stands against its limit, in words and marks: used by lists and by one report's page.

As in ``views/cards.py``: HTML text, everything from data or a person escaped. Lateness is
said in words and by a mark, never by colour alone.
"""

from __future__ import annotations

import datetime as dt

from data.inbox import Band
from data.vocabulary import FINAL, Status
from views.cards import esc
from views.words import Words, number


def limit_text(words: Words, late_days: float | None) -> str:
    """Such as "late by 12 days" or "5 hours left"; ``late_days`` is negative before the limit."""
    if late_days is None:
        return words("inbox.no_limit")
    way = "late" if late_days > 0 else "left"
    days = abs(late_days)
    if days < 1:
        return words.plural(f"inboxcount.{way}_hours", int(days * 24))
    return words.plural(f"inboxcount.{way}_days", int(days))


def kind_of(late_days: float | None) -> str:
    """Class of the style sheet: late, soon, or neither."""
    if late_days is None:
        return "none"
    return "late" if late_days > 0 else "soon" if late_days > -1 else "fine"


def limit_mark(words: Words, late_days: float | None) -> str:
    """The same as a small label."""
    return f'<span class="rd-due rd-due-{kind_of(late_days)}"><bdi>{esc(limit_text(words, late_days))}</bdi></span>'


def status_mark(words: Words, status: Status) -> str:
    """A state as a small label."""
    ended = "rd-st-end" if status in FINAL else "rd-st-open"
    return f'<span class="rd-st {ended}"><bdi>{esc(words.status(status))}</bdi></span>'


def severity_mark(words: Words, severity: int | None) -> str:
    """Severity as five small boxes with its number in words; "" where it is not known."""
    if severity is None:
        return ""
    boxes = "".join(f"<i{' class=on' if k <= severity else ''}></i>" for k in range(1, 6))
    said = esc(words("inbox.severity", n=number(severity)))
    return f'<span class="rd-sev" title="{said}" aria-label="{said}" role="img">{boxes}</span>'


def moment(words: Words, at: dt.datetime, zone: dt.tzinfo, *, hijri: bool = False) -> str:
    """A time on a territory's clock, with the Hijri date in Arabic where it is asked for."""
    local = at.astimezone(zone)
    return f"{words.date(local.date(), hijri=hijri)} {local:%H:%M}"


def worst(band: Band) -> bool:
    """Whether a band is past the limit."""
    return band in (Band.LATE_MONTH, Band.LATE_WEEK, Band.LATE)
