"""Long computations: shared, bounded, cancelled, and never left running for nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from geo.errors import InputError, RasdError
from views.jobs import Desk, Job, State, Tick


class Slow:
    """Work that waits for a sign, ticking meanwhile, and counts how often it was started."""

    def __init__(self, result: Any = 1) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.started = 0
        self.result = result

    def __call__(self, tick: Tick) -> Any:
        self.started += 1
        self.begun.set()
        while not self.go.wait(0.005):
            tick(0.5)
        return self.result


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def over(job: Job) -> State:
    assert job.over.wait(10)
    return job.state


def test_a_job_ends_with_its_result_and_is_not_done_twice() -> None:
    desk, work = Desk(), Slow(result="found")
    job = desk.ask("k", "me", work)
    until(lambda: job.share == 0.5)
    work.go.set()
    assert over(job) is State.DONE
    assert desk.ask("k", "me", work).result == "found"
    assert work.started == 1


def test_two_readers_share_one_job() -> None:
    desk, work = Desk(), Slow()
    assert desk.ask("k", "me", work) is desk.ask("k", "you", work)
    desk.leave("k", "me")
    work.go.set()
    assert over(desk.ask("k", "you", work)) is State.DONE
    assert work.started == 1


def test_a_job_that_its_last_reader_leaves_stops_and_can_be_asked_again() -> None:
    desk, work = Desk(), Slow()
    job = desk.ask("k", "me", work)
    work.begun.wait(10)
    desk.leave("k", "me")
    assert over(job) is State.CANCELLED
    until(lambda: desk.threads() == 0)
    work.go.set()
    again = desk.ask("k", "me", work)
    assert again is not job
    assert over(again) is State.DONE


def test_a_reader_who_does_not_look_any_more_holds_no_job() -> None:
    desk, work = Desk(patience=0.05), Slow()
    job = desk.ask("k", "gone", work)
    assert over(job) is State.CANCELLED
    until(lambda: desk.threads() == 0)


def test_a_reader_who_looks_keeps_the_job() -> None:
    desk, work = Desk(patience=0.3), Slow()
    job = desk.ask("k", "me", work)
    for _ in range(12):
        time.sleep(0.05)
        assert desk.look("k", "me") is job
    assert job.alive
    desk.leave("k", "me")


def test_no_more_than_the_stated_number_run_and_others_wait_their_turn() -> None:
    desk = Desk(running=2)
    works = [Slow(result=k) for k in range(5)]
    jobs = [desk.ask(k, "me", work) for k, work in enumerate(works)]
    until(lambda: works[0].begun.is_set() and works[1].begun.is_set())
    assert desk.threads() == 2
    assert [job.state for job in jobs[2:]] == [State.WAITING] * 3
    # Changing one's mind does not pile up threads: a stopped job makes room for the next.
    desk.leave(0, "me")
    assert works[2].begun.wait(10)
    assert desk.threads() <= 2
    for work in works[1:]:
        work.go.set()
    assert [over(job) for job in jobs] == [State.CANCELLED] + [State.DONE] * 4


def test_a_waiting_job_that_is_left_never_starts() -> None:
    desk, first, second = Desk(running=1), Slow(), Slow()
    desk.ask(1, "me", first)
    waiting = desk.ask(2, "me", second)
    desk.leave(2, "me")
    first.go.set()
    assert over(waiting) is State.CANCELLED
    assert second.started == 0


def test_too_many_waiting_jobs_are_refused_with_a_sentence() -> None:
    desk = Desk(running=1, waiting=1)
    works = [Slow() for _ in range(3)]
    desk.ask(0, "me", works[0])
    desk.ask(1, "me", works[1])
    with pytest.raises(RasdError, match="waiting"):
        desk.ask(2, "me", works[2])
    for key in (0, 1):
        desk.leave(key, "me")


def test_an_error_of_ours_and_a_bug_both_reach_the_page() -> None:
    desk = Desk()

    def wrong(tick: Tick) -> None:
        raise InputError("no such thing")

    def bug(tick: Tick) -> None:
        raise ZeroDivisionError

    first, second = desk.ask("a", "me", wrong), desk.ask("b", "me", bug)
    assert over(first) is State.FAILED and isinstance(first.error, InputError)
    assert over(second) is State.FAILED and isinstance(second.error, ZeroDivisionError)
    desk.forget("a")
    assert over(desk.ask("a", "me", lambda tick: 3)) is State.DONE


def test_only_so_many_results_are_kept() -> None:
    desk = Desk(kept=3)
    for key in range(5):
        over(desk.ask(key, "me", lambda tick: 1))
    assert [desk.look(key, "me") is not None for key in range(5)] == [False, False, True, True, True]
