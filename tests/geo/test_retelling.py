"""Late pieces of a history: what is told again, so that every past moment reads right."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.replay import standing, status_at
from geo.retelling import UNDATED, Told, carried, impossible, retell

ASSIGNED, INSPECTED, TREATED, CLOSED, REOPENED = 3, 15, 5, 7, 12
FOLLOWS = np.ones((16, 16), dtype=bool)
for _step in (ASSIGNED, INSPECTED, TREATED):
    FOLLOWS[CLOSED, _step] = False


def _told(*steps: tuple[int, int]) -> Told:
    return Told(
        np.zeros(len(steps), np.int64),
        np.array([at for _, at in steps], np.int64),
        np.array([status for status, _ in steps], np.int16),
    )


def _appended(known: Told, new: Told, same: list[int], covered: list[int] = []) -> list[tuple[int, int]]:  # noqa: B006
    mask = np.isin(np.arange(len(known)), covered)
    found = retell(known, new, np.array(same, np.int64), mask, FOLLOWS)
    out = []
    for k, n, before in zip(found.known, found.new, found.before, strict=True):
        side, row = (known, k) if k >= 0 else (new, n)
        out.append((1, int(before) - 1) if k < 0 and n < 0 else (int(side.status[row]), int(side.at[row])))
    return out


def test_a_step_that_comes_late_is_placed_and_the_rest_is_told_again() -> None:
    known = _told((ASSIGNED, 10), (TREATED, 30), (CLOSED, 40))
    assert _appended(known, _told((INSPECTED, 20)), [-1]) == [(INSPECTED, 20), (TREATED, 30), (CLOSED, 40)]


def test_steps_that_are_known_already_change_nothing() -> None:
    known = _told((ASSIGNED, 10), (CLOSED, 40))
    assert _appended(known, known, [0, 1]) == []


def test_a_file_without_the_closing_does_not_open_a_report_again() -> None:
    for closing in (UNDATED, 40):
        known = _told((CLOSED, closing))
        steps = _appended(known, _told((ASSIGNED, 10), (TREATED, 40)), [-1, -1])
        assert [status for status, _ in steps] == [ASSIGNED, TREATED, CLOSED]
    # A later dated step may well open it.
    assert _appended(_told((CLOSED, 40)), _told((REOPENED, 50)), [-1]) == [(REOPENED, 50)]


def test_a_retelling_on_one_day_begins_before_that_day() -> None:
    # The closing is known of day 5; the file tells the steps of the same day.
    known = _told((CLOSED, 5))
    steps = _appended(known, _told((ASSIGNED, 5), (TREATED, 5), (CLOSED, 5)), [-1, -1, 0])
    assert steps == [(1, 4), (ASSIGNED, 5), (TREATED, 5), (CLOSED, 5)]
    known = _told((ASSIGNED, 3), (CLOSED, 5))
    steps = _appended(known, _told((TREATED, 5), (CLOSED, 5)), [-1, -1], [1])
    assert steps == [(ASSIGNED, 3), (TREATED, 5), (CLOSED, 5)]


def test_a_step_without_a_date_stays_behind_the_one_that_it_follows() -> None:
    report = np.array([0, 0, 0, 1, 1])
    at = np.array([4, UNDATED, 6, UNDATED, 9])
    assert carried(report, at).tolist() == [4, 4, 6, UNDATED, 9]


def test_a_step_after_the_end_is_impossible_and_the_first_of_a_report_never_is() -> None:
    report = np.array([0, 0, 0, 1, 1])
    status = np.array([ASSIGNED, CLOSED, TREATED, TREATED, CLOSED])
    assert impossible(report, status, FOLLOWS).tolist() == [False, False, True, False, False]


_steps = st.lists(st.tuples(st.integers(0, 2), st.integers(2, 15), st.integers(0, 5)), max_size=8)


@settings(max_examples=120, deadline=None)
@given(pieces=st.lists(_steps, min_size=1, max_size=4))
def test_after_every_piece_each_moment_reads_as_the_whole_in_order_of_dates(
    pieces: list[list[tuple[int, int, int]]],
) -> None:
    """Dated steps with distinct dates: then there is one right order, however they come in."""
    events: list[tuple[int, int, int]] = []  # report, status, at, as told
    whole: dict[tuple[int, int], int] = {}
    for piece in pieces:
        fresh = {(r, at): s for r, s, at in piece if (r, at) not in whole}
        whole |= fresh
        events.sort(key=lambda e: e[0])
        report, status, at = (np.array([e[i] for e in events], np.int64) for i in range(3))
        keep = standing(report, at)
        known = Told(report[keep], at[keep], status[keep])
        rows = sorted((r, at, s) for (r, at), s in fresh.items())
        new = Told(*(np.array([row[i] for row in rows], np.int64) for i in (0, 1, 2)))
        found = retell(known, new, np.full(len(rows), -1), np.zeros(len(known), bool), np.eye(16, dtype=bool))
        for r, k, n in zip(found.report, found.known, found.new, strict=True):
            side, row = (known, k) if k >= 0 else (new, n)
            assert side.report[row] == r
            events.append((int(r), int(side.status[row]), int(side.at[row])))
    events.sort(key=lambda e: e[0])
    report, status, at = (np.array([e[i] for e in events], np.int64) for i in range(3))
    keep = standing(report, at)
    assert [
        (int(r), int(a), int(s)) for r, a, s in zip(report[keep], at[keep], status[keep], strict=True)
    ] == [(r, a, s) for (r, a), s in sorted(whole.items())]
    for moment in range(-1, 7):
        then = [1, 1, 1]
        for (r, a), s in sorted(whole.items()):
            if a <= moment:
                then[r] = s
        assert status_at(report, status, at, 3, moment, 1).tolist() == then
