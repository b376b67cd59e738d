"""What the Routing page asks, remembered for a short while.

Steps in reports' lives change owners without changing a territory's data version, so answers
about owners are forgotten after two minutes; rules and the queue are always asked anew.
"""

from __future__ import annotations

import streamlit as st

from data.analyses import entities, misrouting, unrouted
from data.analyses.entities import Owners
from data.analyses.misrouting import Behind, Misrouting
from data.analyses.unrouted import Change, Queued, Waiting
from data.query import ReportQuery
from data.routing import RuleDraft
from views.access import connection

KEPT_SECONDS = 120


@st.cache_data(max_entries=64, ttl=KEPT_SECONDS, show_spinner=False)
def misrouted(version: int, rules: tuple[int, int], query: ReportQuery) -> Misrouting:
    """``rules`` is (newest rule, rules ended): another set of rules is another answer."""
    with connection() as conn:
        return misrouting.misrouting(conn, query)


@st.cache_data(max_entries=64, ttl=KEPT_SECONDS, show_spinner=False)
def owners(version: int, query: ReportQuery, kinds: tuple[str, ...]) -> Owners:
    with connection() as conn:
        return entities.owners(conn, query, kinds=kinds)


def behind(
    query: ReportQuery, found: Misrouting, pair: tuple[int, int] | None, skip: int, lines: int
) -> tuple[list[Behind], bool]:
    """Misrouted reports, of one pair of recorded and ruled party or of all."""
    recorded, ruled = pair or (None, None)
    with connection() as conn:
        return misrouting.misrouted(
            conn, query, found=found, recorded=recorded, ruled=ruled, skip=skip, lines=lines
        )


def queue(territory_id: int) -> list[Waiting]:
    with connection() as conn:
        return unrouted.queue(conn, territory_id)


def queued(territory_id: int, reason: str | None, skip: int, lines: int) -> tuple[list[Queued], bool]:
    with connection() as conn:
        return unrouted.queued(conn, territory_id, reason=reason, skip=skip, lines=lines)


def change(territory_id: int, draft: RuleDraft | None, ending: int | None) -> Change:
    with connection() as conn:
        return unrouted.change(conn, territory_id, draft=draft, ending=ending)
