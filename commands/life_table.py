"""The life of a report as a table to read: docs/life-cycle.md is made from here, and tested.

Everything comes from ``data/life.py``; Arabic names are those of the pages.
"""

from __future__ import annotations

from typing import Any

from data.life import DETAILS, TRANSITIONS, Action, Role, Transition, may_follow
from data.vocabulary import FINAL, Status
from views.words import Words

#: Columns of ``report`` that an event's detail sets, by key; ``photos`` and texts stay in the event.
SETS = ("element_id", "severity", "quantity", "agency_id", "contractor_id", "rule_id", "due_at")


def life_rows() -> list[dict[str, Any]]:
    """Every step as JSON values."""
    return [
        {
            "action": step.action.name.lower(),
            "from": sorted(status.name.lower() for status in step.sources),
            "to": step.target.name.lower() if step.target is not None else None,
            "roles": sorted(step.roles),
            "party": step.party,
            "needs": list(step.needs),
            "offers": list(step.offers),
            "sets": _sets(step),
        }
        for step in TRANSITIONS
    ]


def life_cycle() -> str:
    """The document, as Markdown."""
    parts = [
        "# The life of a report\n",
        "Made from `data/life.py` by `./rasd life --write docs/life-cycle.md`; a test fails when it is not "
        "current. The same rows are the table `transition`, which a trigger on `report_event` checks: what is "
        "not here, the database refuses.\n",
        "## States\n",
        _table(("state", "code", "الحالة", "ends a report"), _states()),
        "## Steps\n",
        "*Needs* must be there and not be empty; *may carry* may be there; anything else is refused. A contractor "
        "or entity takes a step only on reports of its own party. `comment` leaves the state as it is.\n",
        _table(
            ("step", "الإجراء", "from", "to", "who", "needs", "may carry", "sets on the report"), _steps()
        ),
        "## Who may do what\n",
        "● may take the step within their own areas; ◐ only on reports whose contractor (◐c) or responsible "
        "entity (◐e) is their own party; empty: refused. Everybody may also read what is open to them.\n",
        _table(("step", *(f"{role.replace('_', ' ')}<br>{_arabic('role', role)}" for role in Role)), _who()),
        "## What an event carries\n",
        _table(("key", "value"), [(f"`{key}`", said) for key, said in DETAILS.items()]),
        "## Histories that sources tell\n",
        "Sources leave steps out, so an imported step needs only to be *possible* after the one before it: "
        "reachable by the steps above, the ones between left out. `unknown` may stand anywhere. A report that "
        "ended goes on only by a reopening. The dot marks what may come next (row first, then column); what has "
        "none is kept and flagged (`./rasd histories --impossible`, docs/histories.md).\n",
        _table(("", *(_short(status) for status in _TOLD)), _possible()),
    ]
    return "\n".join(parts)


_TOLD = tuple(status for status in Status if status is not Status.UNKNOWN)


def _short(status: Status) -> str:
    return status.name.lower().replace("_", " ")


def _arabic(kind: str, code: Status | Action | Role) -> str:
    return Words("ar")(f"{kind}.{code.name.lower()}")


def _states() -> list[tuple[str, ...]]:
    return [
        (
            f"`{status.name.lower()}`",
            str(int(status)),
            _arabic("status", status),
            "yes" if status in FINAL else "",
        )
        for status in Status
    ]


def _steps() -> list[tuple[str, ...]]:
    return [
        (
            f"**{step.action.name.lower()}**",
            _arabic("action", step.action),
            "any" if step.sources == frozenset(Status) else ", ".join(map(_short, sorted(step.sources))),
            "—" if step.target is None else _short(step.target),
            ", ".join(role.replace("_", " ") for role in Role if role in step.roles),
            ", ".join(f"`{key}`" for key in step.needs),
            ", ".join(f"`{key}`" for key in step.offers),
            ", ".join(f"`{name}`" for name in _sets(step)),
        )
        for step in TRANSITIONS
    ]


def _sets(step: Transition) -> list[str]:
    """Columns of the report that the step may change."""
    moved = [] if step.target is None else ["status", "status_at", "closed_at"]
    carried = [name for name in SETS if name in (*step.needs, *step.offers)]
    linked = ["duplicate_of"] if step.action in (Action.DUPLICATE, Action.REOPEN) else []
    return moved + carried + linked


def _who() -> list[tuple[str, ...]]:
    mark = {None: "●", "contractor_id": "◐c", "agency_id": "◐e"}
    return [
        (
            f"{step.action.name.lower()} {_arabic('action', step.action)}",
            *(
                "" if role not in step.roles else mark[step.party] if role is Role.CONTRACTOR else "●"
                for role in Role
            ),
        )
        for step in TRANSITIONS
    ]


def _possible() -> list[tuple[str, ...]]:
    return [
        (f"**{_short(before)}**", *("•" if may_follow(before, after) else "" for after in _TOLD))
        for before in _TOLD
    ]


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
