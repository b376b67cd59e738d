"""Incidents behind the page: found in the background when a question needs them.

Counting incidents needs those of the current reports. When they are old the page starts a
job that finds them, shows how far it is, and counts reports until it is done.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from data.database import engine
from data.incidents import is_current, refresh_incidents
from data.query import ReportQuery
from views import cards, jobs
from views.access import connection
from views.method import Tick
from views.words import Words


def settled(words: Words, version: int, query: ReportQuery, *, needed: bool) -> tuple[ReportQuery, bool]:
    """The query that can be answered now, and whether a method that needs incidents can be asked.

    Without current incidents the query counts reports, and the page says so.
    """
    if not (query.incidents or needed):
        return query, True
    with connection() as conn:
        if is_current(conn, query.territory_id):
            return query, True

    def work(tick: Tick) -> object:
        return refresh_incidents(engine(), query.territory_id, tick=tick)

    key = ("incidents", query.territory_id, version)
    if jobs.answer(words, key, work, words("job.incidents")) and st.session_state.get("_incidents") != key:
        # The run has counted up the data version: begin again with the new one, once.
        st.session_state["_incidents"] = key
        st.rerun()
    if query.incidents:
        st.html(cards.note(words("count.meanwhile")))
    return replace(query, incidents=False), False
