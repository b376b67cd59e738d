"""Spells: equal to a history that is walked through one event at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError
from geo.replay import standing
from geo.spells import ASIDE, CLOSED, OPEN, REFERRED, Meanings, since_last, spells

# 0 received, 1 assigned, 2 treated, 3 quality check, 4 closed, 5 rejected, 6 referred, 7 enforcement
KINDS = [OPEN, OPEN, OPEN, OPEN, CLOSED, ASIDE, REFERRED, OPEN]
MEANINGS = Meanings(
    kind=np.array(KINDS, dtype=np.int8),
    check=np.arange(8) == 3,
    worked=np.isin(np.arange(8), [2, 3]),
    other_way=np.isin(np.arange(8), [6, 7]),
    opening=0,
)


def told(events: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    report, status, at = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    return report, status, at


def walked(events: list[tuple[int, int, int]]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Turns (report, since, kind, worked, shown, other_way) and checks, event by event."""
    turns, checks, last = [], [], -1
    for report, status, at in events:
        if report != last:
            last, before, work, steps = report, 0, False, 0
        kind, kind_before = KINDS[status], KINDS[before]
        if before == 3 and status != 3 and steps and kind in (OPEN, CLOSED):
            checks.append((report, at, int(kind == OPEN)))
        if kind != kind_before:
            turns.append((report, at, kind, int(work), int(steps > 0), int(before in (6, 7) and steps > 0)))
        if kind == OPEN and kind_before != OPEN:
            work = False
        work |= status in (2, 3)
        before, steps = status, steps + 1
    return turns, checks


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.integers(0, 30)), max_size=24))
def test_turns_and_checks_are_those_of_walking_through_the_history(
    events: list[tuple[int, int, int]],
) -> None:
    events = sorted(events, key=lambda event: event[0])
    if not events:
        return
    report, status, at = told(events)
    found, checks, counts = spells(report, status, at, MEANINGS)
    assert counts.tolist() == standing(report, at).tolist()
    turns, decided = walked([event for event, keep in zip(events, counts, strict=True) if keep])
    got = zip(found.report, found.since, found.kind, found.worked, found.shown, found.other_way, strict=True)
    closing = [turn if turn[2] == CLOSED else (*turn[:3], 0, 0, 0) for turn in turns]
    assert [
        tuple(int(v) for v in (turn if turn[2] == CLOSED else (*turn[:3], 0, 0, 0))) for turn in got
    ] == closing
    assert list(zip(checks.report, checks.at, checks.failed, strict=True)) == decided
    for place, after in enumerate(found.next):
        same = [i for i in range(place + 1, len(turns)) if turns[i][0] == turns[place][0]]
        assert after == (same[0] if same else -1)


def test_an_event_that_a_later_one_predates_makes_no_turn() -> None:
    found, _, counts = spells(*told([(0, 4, 50), (0, 1, 20), (0, 4, 60)]), MEANINGS)
    assert counts.tolist() == [False, True, True]
    assert found.since.tolist() == [60] and found.shown.tolist() == [True]


def test_work_that_was_told_before_a_reopening_does_not_count_for_the_next_closing() -> None:
    life = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 4, 4), (0, 1, 5), (0, 4, 6), (1, 7, 1), (1, 4, 2)]
    found, checks, _ = spells(*told(life), MEANINGS)
    closings = found.kind == CLOSED
    assert found.worked[closings].tolist() == [True, False, False]
    assert found.other_way[closings].tolist() == [False, False, True]
    assert checks.at.tolist() == [4] and checks.failed.tolist() == [False]


def test_events_out_of_order_or_of_an_unknown_status_are_refused() -> None:
    with pytest.raises(InputError, match="sorted by report"):
        spells(*told([(1, 1, 1), (0, 1, 1)]), MEANINGS)
    with pytest.raises(InputError, match="no meaning"):
        spells(*told([(0, 8, 1)]), MEANINGS)


def test_the_last_known_moment_of_the_same_key_is_found_and_none_is_said() -> None:
    got = since_last(
        np.array([1, 1, 2, 3, 1]), np.array([10, 5, 10, 10, -7]),
        np.array([1, 1, 2, 1]), np.array([5, 9, 10, -9]), 99,
    )  # fmt: skip
    assert got.tolist() == [1, 14, 99, 99, 2]
    assert since_last(np.array([1]), np.array([1]), np.zeros(0, int), np.zeros(0, int), 99).tolist() == [99]
