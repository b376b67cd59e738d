"""Keeps the packed lives of reports fresh beside the pages, and says when they were read.

Numbers of indicators rest on columns that are read anew after a load, or some time after a
step was taken (``data/lives.py``). A page that finds them outdated starts the reading on a
thread of its own and answers from what there is; it is service work, on the owner's
connection. Answers are remembered under ``version``, so that a new reading is a new answer.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time

from data import database, lives
from views import access

_busy: set[int] = set()
_lock = threading.Lock()


def version(known: int, territory_id: int) -> int:
    """The key of remembered numbers: the answers' own key and the reading that they rest on."""
    with access.connection() as conn:
        fresh = lives.freshness(conn, territory_id)
    if fresh is None or fresh.stale or dt.datetime.now(dt.UTC) - fresh.read_at > lives.OLDEST:
        start(territory_id)
    # Readings of a part are kept by time; the same span of time is the same answer.
    reading = fresh.read_at if fresh is not None else int(time.monotonic() // lives.PATIENCE.total_seconds())
    whole = f"{known} {reading}"
    return -1 - int.from_bytes(hashlib.blake2b(whole.encode(), digest_size=7).digest(), "big")


def start(territory_id: int) -> threading.Thread | None:
    """Read anew in the background if it is time; the thread, or None while one is at it already."""
    with _lock:
        if territory_id in _busy:
            return None
        _busy.add(territory_id)
    thread = threading.Thread(target=_read, args=(territory_id,), name=f"lives-{territory_id}", daemon=True)
    thread.start()
    return thread


def _read(territory_id: int) -> None:
    try:
        lives.refresh_if_stale(database.engine(), territory_id)
    finally:
        with _lock:
            _busy.discard(territory_id)
