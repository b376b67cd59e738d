"""The life of a report: which step leads from which state to which, who may take it, what it needs.

This is the one place that says so. The rows are loaded into the table ``transition``, and
the trigger on ``report_event`` (``data/guard/events.sql``) refuses whatever they do not
allow, so page, service and a line of SQL typed by hand are held to the same rules. The
table in docs/life-cycle.md is made from here. Caveat: imported histories skip steps, since
sources export only some of them; ``may_follow`` says which jumps are possible at all.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from data.vocabulary import FINAL, Status


class Role(StrEnum):
    """What a person is allowed to be. The database role of each is ``rasd_<role>``."""

    VIEWER = "viewer"
    CALL_CENTRE = "call_centre"
    INSPECTOR = "inspector"
    SUPERVISOR = "supervisor"
    CONTRACTOR = "contractor"  # also the people of an external entity: bound to a party
    QUALITY = "quality"
    DIRECTOR = "director"
    ANALYST = "analyst"
    ADMINISTRATOR = "administrator"


class Action(IntEnum):
    """A step in a report's life (``report_event.action``). Never renumber one, only add."""

    IMPORTED = 0  # told by a source, not done here
    FILE = 1
    CLASSIFY = 2
    ASSIGN = 3
    INSPECT = 4
    DISPATCH = 5
    TREAT = 6
    SUBMIT = 7
    PASS = 8
    FAIL = 9
    REJECT = 10
    DUPLICATE = 11
    REFER = 12
    ANSWER = 13
    RETURN = 14
    ENFORCE = 15
    SETTLE = 16
    REOPEN = 17
    COMMENT = 18


#: What an event's detail may carry, and the kind of value.
DETAILS = {
    "element_id": "element.id",
    "severity": "1 to 5",
    "quantity": "number above 0, in the element's unit",
    "agency_id": "party.id of the responsible department or entity",
    "contractor_id": "party.id",
    "rule_id": "routing_rule.id that decided",
    "due_at": "time, with its zone",
    "of": "report.id of the report that this one repeats",
    "reason": "text",
    "note": "text",
    "violation": "number of the notice",
    "photos": "list of photo digests",
}

#: Key under which an event of Rasd keeps what it replaced on the report, an object of the keys
#: above; the trigger writes it, nobody hands it in.
BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Transition:
    """One kind of step.

    Attributes
    ----------
    sources : states that it may start from.
    target : the state that it leads to; None keeps the state.
    roles : who may take it, within their own areas and party.
    needs : keys of DETAILS that must be there, not empty.
    offers : keys that may be there; any other is refused.
    party : for a contractor or entity, the column of ``report`` that must name its party:
        ``contractor_id`` or ``agency_id``.
    """

    action: Action
    sources: frozenset[Status]
    target: Status | None
    roles: frozenset[Role]
    needs: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    party: str | None = None


S, R = Status, Role
_NEW = frozenset({S.UNKNOWN, S.RECEIVED, S.DRAFT})
_SORTED = frozenset({S.CLASSIFIED, S.UNDER_REVIEW, S.REOPENED})
_BEFORE_WORK = _NEW | _SORTED | {S.ASSIGNED, S.INSPECTED}
_FIELD = frozenset({R.INSPECTOR, R.SUPERVISOR})
_DESK = frozenset({R.CALL_CENTRE, R.SUPERVISOR})
_CHECKERS = _FIELD | {R.CALL_CENTRE}
_WORKERS = _CHECKERS | {R.CONTRACTOR, R.QUALITY}

#: Every step. FILE makes a report, so it has no state to start from but its own.
TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        Action.FILE, frozenset({S.RECEIVED}), S.RECEIVED, _CHECKERS,
        offers=("element_id", "severity", "quantity", "agency_id", "rule_id", "due_at", "note", "photos"),
    ),
    Transition(
        Action.CLASSIFY, _BEFORE_WORK, S.CLASSIFIED, _CHECKERS,
        needs=("element_id",), offers=("severity", "quantity", "agency_id", "rule_id", "due_at", "note"),
    ),
    Transition(
        Action.ASSIGN, _NEW | _SORTED | {S.ASSIGNED}, S.ASSIGNED, _DESK,
        needs=("agency_id",), offers=("rule_id", "due_at", "note"),
    ),
    Transition(
        Action.INSPECT, frozenset({S.ASSIGNED, S.REOPENED}), S.INSPECTED, _FIELD,
        needs=("severity",), offers=("quantity", "note", "photos"),
    ),
    Transition(
        Action.DISPATCH, frozenset({S.INSPECTED, S.IN_PROGRESS, S.REOPENED}), S.IN_PROGRESS,
        frozenset({R.SUPERVISOR}), needs=("contractor_id",), offers=("due_at", "note"),
    ),
    Transition(
        Action.TREAT, frozenset({S.IN_PROGRESS}), S.TREATED, frozenset({R.CONTRACTOR}),
        needs=("quantity", "photos"), offers=("note",), party="contractor_id",
    ),
    Transition(Action.SUBMIT, frozenset({S.TREATED}), S.QUALITY_REVIEW, _FIELD, offers=("note", "photos")),
    Transition(
        Action.PASS, frozenset({S.QUALITY_REVIEW}), S.CLOSED, frozenset({R.QUALITY}), offers=("note", "photos")
    ),
    Transition(
        Action.FAIL, frozenset({S.QUALITY_REVIEW}), S.IN_PROGRESS, frozenset({R.QUALITY}),
        needs=("reason",), offers=("note", "photos"),
    ),
    Transition(
        Action.REJECT, _BEFORE_WORK, S.REJECTED, _CHECKERS, needs=("reason",), offers=("note", "photos")
    ),
    Transition(
        Action.DUPLICATE, _BEFORE_WORK, S.DUPLICATE, _CHECKERS, needs=("of",), offers=("note",)
    ),
    Transition(
        Action.REFER, _BEFORE_WORK, S.REFERRED, _DESK,
        needs=("agency_id", "reason"), offers=("rule_id", "due_at", "note"),
    ),
    Transition(
        Action.ANSWER, frozenset({S.REFERRED}), S.CLOSED, frozenset({R.CONTRACTOR}),
        needs=("note",), offers=("quantity", "photos"), party="agency_id",
    ),
    Transition(
        Action.RETURN, frozenset({S.REFERRED}), S.CLASSIFIED, frozenset({R.CONTRACTOR, R.SUPERVISOR}),
        needs=("reason",), offers=("note",), party="agency_id",
    ),
    Transition(
        Action.ENFORCE, frozenset({S.ASSIGNED, S.INSPECTED}), S.ENFORCEMENT, frozenset({R.INSPECTOR}),
        needs=("violation",), offers=("note", "photos"),
    ),
    Transition(
        Action.SETTLE, frozenset({S.ENFORCEMENT}), S.CLOSED, _FIELD, needs=("note",), offers=("photos",)
    ),
    Transition(
        Action.REOPEN, FINAL, S.REOPENED, _CHECKERS | {R.QUALITY}, needs=("reason",), offers=("note", "photos")
    ),
    Transition(
        Action.COMMENT, frozenset(Status), None, _WORKERS | {R.DIRECTOR}, needs=("note",), offers=("photos",)
    ),
)  # fmt: skip

BY_ACTION: dict[Action, Transition] = {transition.action: transition for transition in TRANSITIONS}


def allowed(status: Status, role: Role) -> tuple[Transition, ...]:
    """The steps that a role may take from a state, in the order of TRANSITIONS; never FILE."""
    return tuple(
        t for t in TRANSITIONS if t.action is not Action.FILE and status in t.sources and role in t.roles
    )


#: Whose turn it is: the role that a report in this state waits for. Others may act too.
TURN: dict[Status, Role] = {
    S.UNKNOWN: R.CALL_CENTRE, S.RECEIVED: R.CALL_CENTRE, S.DRAFT: R.CALL_CENTRE,
    S.CLASSIFIED: R.SUPERVISOR, S.UNDER_REVIEW: R.SUPERVISOR, S.REOPENED: R.SUPERVISOR,
    S.ASSIGNED: R.INSPECTOR, S.INSPECTED: R.SUPERVISOR, S.IN_PROGRESS: R.CONTRACTOR,
    S.TREATED: R.INSPECTOR, S.QUALITY_REVIEW: R.QUALITY, S.REFERRED: R.CONTRACTOR,
    S.ENFORCEMENT: R.INSPECTOR,
}  # fmt: skip


def waiting_for(role: Role) -> frozenset[Status]:
    """The states in which it is this role's turn."""
    return frozenset(status for status, turn in TURN.items() if turn is role)


#: Ways out that a source may tell of a report "in progress"; in Rasd they lie before the dispatch.
_ASIDE = frozenset({S.REJECTED, S.DUPLICATE, S.REFERRED, S.ENFORCEMENT})


@functools.cache
def _reachable() -> dict[Status, frozenset[Status]]:
    """The states that can come after each, steps left out included, without a reopening."""
    after: dict[Status, set[Status]] = {status: {status} for status in Status}
    for t in TRANSITIONS:
        if t.target is not None and t.action is not Action.REOPEN:
            for source in t.sources:
                after[source].add(t.target)
    # States that only sources use stand beside the step that they mean.
    for source in (*_NEW, *_SORTED, S.ASSIGNED, S.INSPECTED):
        after[source] |= {S.UNDER_REVIEW, S.DRAFT} if source in _NEW else {S.UNDER_REVIEW}
    grown = True
    while grown:
        grown = False
        for found in after.values():
            more = set().union(*(after[status] for status in found)) - found
            if more:
                found |= more
                grown = True
    return {status: frozenset(found) for status, found in after.items()}


def may_follow(before: Status, after: Status) -> bool:
    """Whether a source may tell ``after`` next, perhaps with steps between that it does not tell.

    A report that had ended may only be reopened first; UNKNOWN is followed by anything and
    may follow anything.
    """
    if Status.UNKNOWN in (before, after) or before == after:
        return True
    if after is Status.REOPENED:
        return before in FINAL
    if before is Status.IN_PROGRESS and after in _ASIDE:
        return True  # portals say "in progress" of everything from the assignment on
    return after in _reachable()[before]
