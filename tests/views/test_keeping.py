"""The packed lives are read anew in the background, once at a time, and never in a loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from data import lives
from tests.data.reports_sample import make_sample
from views import keeping


def test_a_reading_is_made_in_the_background_and_only_one_at_a_time(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.engine.begin() as conn:
        territory = make_sample(conn, rows=120).territory
    waits, begun = threading.Event(), []
    real = lives.refresh_if_stale

    def slow(engine: Any, territory_id: int) -> Any:
        begun.append(territory_id)
        waits.wait(10)
        return real(engine, territory_id)

    monkeypatch.setattr(lives, "refresh_if_stale", slow)
    first = keeping.start(territory)
    assert first is not None and keeping.start(territory) is None
    waits.set()
    first.join(20)
    with store.engine.connect() as conn:
        fresh = lives.freshness(conn, territory)
    assert fresh is not None and not fresh.stale and begun == [territory]
    again = keeping.start(territory)
    assert again is not None
    again.join(20)
    with store.engine.connect() as conn:
        after = lives.freshness(conn, territory)
    assert after is not None and after.read_at == fresh.read_at
