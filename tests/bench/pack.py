"""How long a weekly pack takes over many reports, and whether it comes out the same again.

Simulated reports with their histories come in through the ordinary ingest. The pack of the
last whole week is made by the store's owner, again with nothing remembered, and by an
analyst under row-level security; then as HTML and XLSX. Caveat: half of the time is to read
reports and events as of the moment, so it grows with the length of the histories.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from dataclasses import replace
from typing import Any

from data import database, lives, packs, past, territories
from data.access import Place, acting, open_session, save_principal
from data.analyses.weekly import PackTerms, latest_week, weekly_pack
from data.life import Role
from ingest.demo import load_demo
from views.packfiles import export_pack

DESCRIPTION = "A weekly pack over simulated reports with histories, made twice and as a user (1,000,000 rows)"
SMALL = {"rows": 2_000}  # when only tried out
END = dt.date(2025, 6, 30)


def run(rows: int | None = None) -> dict[str, Any]:
    """Load ``rows`` reports, make the pack, and return times in seconds.

    pack_s: as the owner. again_s: with the same moment and nothing remembered; same: 1 when it
    is equal. user_s: as an analyst. longest_s: longest time without a word of progress.
    """
    engine = database.engine()
    loaded = load_demo(engine, reports=rows or 1_000_000, seed=7, end=END)
    with engine.begin() as conn:
        place = territories.find(conn, loaded.territory)
        if place is None:
            raise AssertionError(f"The demo's territory {loaded.territory} is not in the store.")
        save_principal(conn, "analyst", "analyst", Role.ANALYST, [Place(place.code)])
        analyst = open_session(conn, "analyst")
    terms = PackTerms(place.id, *latest_week(END))
    heard = [time.perf_counter()]
    with engine.begin() as conn:
        began = time.perf_counter()
        made = weekly_pack(conn, terms, tick=lambda share: heard.append(time.perf_counter()))
        pack_s = time.perf_counter() - began
        packs.keep(conn, made)
    forget()
    terms = replace(terms, known_at=made.known_at)
    with engine.connect() as conn:
        began = time.perf_counter()
        again = weekly_pack(conn, terms)
        again_s = time.perf_counter() - began
    forget()
    with acting(analyst) as conn:
        began = time.perf_counter()
        seen = weekly_pack(conn, terms)
        user_s = time.perf_counter() - began
    began = time.perf_counter()
    document = export_pack(made, "html")
    html_s = time.perf_counter() - began
    began = time.perf_counter()
    export_pack(made, "xlsx")
    return {
        "pack_s": pack_s,
        "again_s": again_s,
        "user_s": user_s,
        "same": int(made.digest() == again.digest() == seen.digest()),
        "longest_s": max(b - a for a, b in itertools.pairwise(heard)),
        "html_s": html_s,
        "xlsx_s": time.perf_counter() - began,
        "html_kb": len(document) / 1000,
        "received": made.total.value("received"),
        "hot_cells": sum(len(spots.cells) for spots in made.hot.spots),
        "chronic_spots": made.chronic_spots,
        "rows": loaded.accepted,
    }


def forget() -> None:
    """Nothing of an earlier reading is kept in this process."""
    past._held.clear()
    lives._held.clear()
