"""Who may do what, as tables to read: the end of docs/access.md is made from here, and tested.

Steps come from ``data/life.py``, tables from ``data/rights.py``, pages from ``views/doors.py``;
``tests/data/test_rights.py`` tries the same rows against PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from data import rights
from data.life import TRANSITIONS, Role, Transition
from data.rights import CLOSED, RIGHTS, Right
from views import doors

BEGINS = "<!-- From here on made by ./rasd access --write docs/access.md -->"
#: Where a report lies, seen from who acts: what the person is bound to, and what the report is.
PLACES = (
    ("their own area or territory", True),
    ("another area of their territory", False),
    ("another territory", False),
    ("of another party (contractors and entities)", False),
    ("any, without a session of that role", False),
)
_ROWS = {
    rights.OPEN: "all",
    rights.SIGNED_IN: "all, with a session of that role",
    rights.SOME: "territories that are open in part or whole",
    rights.WHOLE: "territories that are open as a whole",
    rights.WHOLE_OR_OWN: "territories that are open as a whole; of those open in part, one's own",
    rights.REPORT: "reports in open areas, and of the own party if bound to one",
    rights.BY_REPORT: "of reports that are open",
}


def access_rows() -> list[dict[str, Any]]:
    """Every step, role and place, and whether the step is taken, as JSON values."""
    return [
        {
            "action": step.action.name.lower(),
            "role": str(role),
            "place": place,
            "allowed": own and role in step.roles,
            "party": step.party if role is Role.CONTRACTOR else None,
        }
        for step in TRANSITIONS
        for role in Role
        for place, own in PLACES
    ]


def access_tables() -> str:
    """The part of the document that is made, as Markdown, with the line that it begins with."""
    roles = [role.replace("_", " ") for role in Role]
    return "\n".join(
        [
            BEGINS,
            "## Steps, roles and areas\n",
            "● taken; ◐ taken when the report's contractor (c) or responsible entity (e) is their own party; – "
            "refused. From which state a step starts and what it needs: [life-cycle.md](life-cycle.md).\n",
            _table(("step", "report lies in", *roles), _steps()),
            "## Tables and roles\n",
            "R reads, A adds, C changes, D deletes; * only some columns; ° only for who has the whole territory. "
            "A row is reached only if the last column says so too. Tables that are not here are closed to the pages: "
            + ", ".join(f"`{name}`" for name in sorted(CLOSED))
            + ".\n",
            _table(("table", *roles, "rows"), [_rights_of(name, right) for name, right in RIGHTS.items()]),
            "## Pages and buttons\n",
            "This spares people doors that would not open; what protects is the table above.\n",
            _table(("page", *roles), _marks(doors.PAGES.items())),
            _table(("button", *roles), _marks(doors.DEEDS.items())),
        ]
    )


def _steps() -> Iterable[tuple[str, ...]]:
    for step in TRANSITIONS:
        for place, own in PLACES:
            marks = [_mark(step, role) if own else "–" for role in Role]
            yield (f"`{step.action.name.lower()}`", place, *marks)


def _mark(step: Transition, role: Role) -> str:
    if role not in step.roles:
        return "–"
    if role is not Role.CONTRACTOR:
        return "●"
    return "◐e" if step.party == "agency_id" else "◐c" if step.party == "contractor_id" else "◐"


def _rights_of(name: str, right: Right) -> tuple[str, ...]:
    marks = []
    for role in Role:
        said = ""
        if role in right.select:
            said += "R*" if right.hidden and role not in right.reveals else "R"
        for letter, roles, part in (
            ("A", right.insert, right.insert_columns),
            ("C", right.update, right.update_columns),
            ("D", right.delete, ()),
        ):
            if role in roles:
                said += f"{letter}*" if part else letter
                # Changing reaches less far than reading.
                said += "°" if letter == "C" and right.update_rows else ""
        marks.append(said or "–")
    return (
        f"`{name}`",
        *marks,
        _ROWS.get(right.rows, "of rows that are open in the table that it belongs to"),
    )


def _marks(items: Iterable[tuple[str, Sequence[Role]]]) -> list[tuple[str, ...]]:
    return [(f"`{code}`", *("●" if role in roles else "–" for role in Role)) for code, roles in items]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def rewritten(document: str) -> str:
    """A document with its made part brought up to date."""
    return document.partition(BEGINS)[0].rstrip() + "\n\n" + access_tables()
