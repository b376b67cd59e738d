"""One step on many reports: each on its own, so that none is half done and no fault stops the rest.

Every report is a transaction of its own and names the event that it was seen with, as when
somebody acts on one report (``data/actions.py``). Caveat: a step that speaks of one report
alone (what was treated, what it repeats, what was measured) is not for many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from data.actions import act
from data.life import BY_ACTION, Action, Role, allowed
from data.vocabulary import Status
from geo.errors import Conflict, InputError, Refused

MOST = 500
#: Steps whose detail belongs to one report.
SINGLE = frozenset(
    {Action.FILE, Action.INSPECT, Action.TREAT, Action.ANSWER, Action.DUPLICATE, Action.ENFORCE}
)


class Fate(StrEnum):
    """What became of a report in a step on many."""

    DONE = "done"
    CONFLICT = "conflict"  # somebody else was first
    REFUSED = "refused"
    WRONG = "wrong"  # something that the step needs is missing


@dataclass(frozen=True, slots=True)
class Chosen:
    """A report as it was seen when it was chosen."""

    id: int
    reference: str
    status: Status
    seq: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one report; ``message`` says why where it was not done."""

    chosen: Chosen
    fate: Fate
    message: str = ""


def offered(chosen: Iterable[Chosen], role: Role) -> dict[Action, tuple[Chosen, ...]]:
    """The steps on many that a role may take, each with the reports that it can be taken on."""
    found: dict[Action, list[Chosen]] = {}
    for one in chosen:
        for step in allowed(one.status, role):
            if step.action not in SINGLE:
                found.setdefault(step.action, []).append(one)
    return {action: tuple(found[action]) for action in BY_ACTION if action in found}


def act_on_each(
    transaction: Callable[[], AbstractContextManager[Connection]],
    chosen: Iterable[Chosen],
    action: Action,
    detail: Mapping[str, Any],
    *,
    tick: Callable[[int], None] | None = None,
) -> tuple[Outcome, ...]:
    """Take one step on each report; those that cannot take it are told, not raised.

    Parameters
    ----------
    transaction : opens a transaction as the signed-in user, committed at its end.
    tick : called after each report with how many are through.

    Raises
    ------
    InputError : a step for one report alone, or more than 500 reports.
    """
    wanted = tuple(chosen)
    if action in SINGLE or len(wanted) > MOST:
        raise InputError(f"At most {MOST} reports at once, and no step that speaks of one report alone.")
    found = []
    for done, one in enumerate(wanted, 1):
        found.append(_one(transaction, one, action, detail))
        if tick is not None:
            tick(done)
    return tuple(found)


def _one(
    transaction: Callable[[], AbstractContextManager[Connection]],
    one: Chosen,
    action: Action,
    detail: Mapping[str, Any],
) -> Outcome:
    try:
        with transaction() as conn:
            act(conn, one.id, action, one.seq, detail)
    except Conflict as error:
        return Outcome(one, Fate.CONFLICT, str(error))
    except Refused as error:
        return Outcome(one, Fate.REFUSED, str(error))
    except InputError as error:
        return Outcome(one, Fate.WRONG, str(error))
    return Outcome(one, Fate.DONE)
