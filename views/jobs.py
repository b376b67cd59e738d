"""Long computations beside the page: progress, Cancel, and one result for all who ask.

A job is known by its key (what, data version, query, settings). At most ``RUNNING`` run at
a time, each in a thread; others wait their turn. Readers who ask for the same key share
one job and its result. A job that nobody looks at any more is stopped through its ``tick``:
at once when its last reader asks for something else, and after ``PATIENCE`` seconds when
its page was closed. Caveat: a computation stops where it calls ``tick``, not before.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar, cast

import streamlit as st

from geo.errors import Cancelled, InputError, RasdError
from views import access, cards, notices
from views.words import Words, number

RUNNING = 2  # threads at work, in the whole server
WAITING = 16  # jobs in line; one more is refused with a sentence
KEPT = 48  # finished results, the longest unused forgotten first
PATIENCE = 90.0  # s; a browser's hidden tab asks about once a minute
FIRST_LOOK = 0.6  # s that a page waits before it shows progress: short jobs never show any
POLL = 1.0  # s between two looks of a page

Tick = Callable[[float], None]
Work = Callable[[Tick], Any]
T = TypeVar("T")


class State(Enum):
    """What has become of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Job:
    """One computation. Fields are written under its desk's lock, except ``share``."""

    key: Hashable
    work: Work
    state: State = State.WAITING
    share: float = 0.0
    result: Any = None
    error: BaseException | None = None
    began: float = 0.0
    watchers: dict[str, float] = field(default_factory=dict)  # reader -> last look (monotonic s)
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def alive(self) -> bool:
        return self.state in (State.WAITING, State.RUNNING)


class Desk:
    """Takes jobs, runs a few at a time and keeps a bounded number of results."""

    def __init__(
        self, running: int = RUNNING, waiting: int = WAITING, kept: int = KEPT, patience: float = PATIENCE
    ) -> None:
        self._limits = (running, waiting, kept)
        self._patience = patience
        self._lock = threading.Lock()
        self._alive: OrderedDict[Hashable, Job] = OrderedDict()
        self._over: OrderedDict[Hashable, Job] = OrderedDict()
        self._threads: set[threading.Thread] = set()

    def ask(self, key: Hashable, reader: str, work: Work) -> Job:
        """The job of a key, started when there is none; ``reader`` now watches it.

        Raises
        ------
        RasdError : too many jobs are waiting.
        """
        with self._lock:
            done = self._over.get(key)
            if done is not None:
                self._over.move_to_end(key)
                return done
            job = self._alive.get(key)
            if job is None or job.stop.is_set():
                self._sweep()
                if sum(j.state is State.WAITING for j in self._alive.values()) >= self._limits[1]:
                    raise RasdError("Too many computations are waiting already. Try again in a minute.")
                job = self._alive[key] = Job(key, work)
            job.watchers[reader] = time.monotonic()
            self._start()
            return job

    def look(self, key: Hashable, reader: str) -> Job | None:
        """The job of a key without starting one; counts as a sign of life of ``reader``."""
        with self._lock:
            job = self._alive.get(key)
            if job is not None and reader in job.watchers:
                job.watchers[reader] = time.monotonic()
            self._sweep()
            self._start()
            return job or self._over.get(key)

    def leave(self, key: Hashable, reader: str) -> None:
        """``reader`` wants this no more; a job without readers stops."""
        with self._lock:
            job = self._alive.get(key)
            if job is not None:
                job.watchers.pop(reader, None)
                if not job.watchers:
                    self._end(job)

    def forget(self, key: Hashable) -> None:
        """Drop what is kept of a job that is over, so that it can be asked for anew."""
        with self._lock:
            self._over.pop(key, None)

    def threads(self) -> int:
        """Threads at work."""
        with self._lock:
            return len(self._threads)

    # ---- under the lock ----

    def _sweep(self) -> None:
        """Stop jobs whose readers have not looked for long."""
        late = time.monotonic() - self._patience
        for job in list(self._alive.values()):
            job.watchers = {reader: at for reader, at in job.watchers.items() if at > late}
            if not job.watchers:
                self._end(job)

    def _end(self, job: Job) -> None:
        job.stop.set()
        if job.state is State.WAITING:
            self._close(job, State.CANCELLED)

    def _start(self) -> None:
        for job in list(self._alive.values()):
            if len(self._threads) >= self._limits[0]:
                return
            if job.state is State.WAITING:
                job.state, job.began = State.RUNNING, time.monotonic()
                # A daemon: a server that is told to stop does not wait for a computation.
                thread = threading.Thread(target=self._run, args=(job,), name="rasd-job", daemon=True)
                self._threads.add(thread)
                thread.start()

    def _close(self, job: Job, state: State) -> None:
        job.state = state
        if self._alive.get(job.key) is job:
            del self._alive[job.key]
        if state in (State.DONE, State.FAILED):
            self._over[job.key] = job
            while len(self._over) > self._limits[2]:
                self._over.popitem(last=False)
        job.over.set()

    # ---- in the job's thread ----

    def _run(self, job: Job) -> None:
        def tick(share: float) -> None:
            job.share = min(max(float(share), 0.0), 1.0)
            if job.stop.is_set():
                raise Cancelled("The computation was stopped.")
            with self._lock:
                self._sweep()

        try:
            tick(0.0)
            job.result = job.work(tick)
            state = State.DONE
        except Cancelled:
            state = State.CANCELLED
        except Exception as error:  # handed to the page that asked, which raises it there
            job.error, state = error, State.FAILED
        with self._lock:
            self._threads.discard(threading.current_thread())
            self._close(job, state)
            self._start()


DESK = Desk()


# ---- on the page ----


def _reader() -> str:
    """This session's name at the desk."""
    state = st.session_state
    if "_reader" not in state:
        state["_reader"] = uuid.uuid4().hex
    return str(state["_reader"])


def begin() -> None:
    """Call before anything on the page asks: starts the list of what this run wants."""
    st.session_state["_jobs_now"] = {}


def finish() -> None:
    """Call at the end of the page: what earlier runs asked for and this one did not is left."""
    now: dict[Hashable, bool] = st.session_state.get("_jobs_now", {})
    for key in st.session_state.get("_jobs", ()):
        if key not in now:
            DESK.leave(key, _reader())
    st.session_state["_jobs"] = set(now)


def answer(
    words: Words, key: Hashable, work: Callable[[Tick], T], title: str, meanwhile: str = ""
) -> T | None:
    """The result of a long computation, or None while the page shows how far it is.

    Parameters
    ----------
    key : what the result depends on: a name, the version with the user's scope, the query, the settings.
    work : takes ``tick``; runs in another thread, so it opens its own connection, as the
        same user.
    title : what is being computed, in the reader's language.
    meanwhile : what the page shows until then, in the reader's language, or "".
    """
    now: dict[Hashable, int] = st.session_state.setdefault("_jobs_now", {})
    place = now.setdefault(key, len(now))  # tells the widgets of two jobs of one page apart
    if key in st.session_state.get("_stopped", ()):
        _stopped(words, key, title, place)
        return None
    job = DESK.ask(key, _reader(), access.carried(work))
    job.over.wait(FIRST_LOOK)
    if job.state is State.DONE:
        return cast(T, job.result)
    if job.state is State.FAILED:
        _failed(words, key, job, place)
        return None
    _progress(words, key, title, place, meanwhile)
    return None


@st.fragment(run_every=POLL)
def _progress(words: Words, key: Hashable, title: str, place: int, meanwhile: str) -> None:
    """How far the job is; runs by itself until it is over, then the page runs once."""
    job = DESK.look(key, _reader())
    if job is None or not job.alive:
        st.rerun()
    with st.container(border=True, key=f"rasd_job_{place}"):
        waiting = job.state is State.WAITING
        seconds = 0 if waiting else time.monotonic() - job.began
        text = words("job.waiting") if waiting else words("job.running", seconds=number(seconds))
        st.progress(job.share, text=f"{title} · {text}")
        if st.button(words("job.cancel"), key=f"job_cancel_{place}"):
            DESK.leave(key, _reader())
            st.session_state["_stopped"] = {*st.session_state.get("_stopped", ()), key}
            st.rerun()
        st.caption(" ".join(part for part in (meanwhile, words("job.note")) if part))


def _stopped(words: Words, key: Hashable, title: str, place: int) -> None:
    with st.container(border=True, key=f"rasd_job_{place}"):
        st.html(cards.note(f"{title} · {words('job.cancelled')}"))
        _again(words, key, place)


def _failed(words: Words, key: Hashable, job: Job, place: int) -> None:
    """An error of ours as a sentence; anything else is a bug and is raised here."""
    error = job.error
    DESK.forget(key)
    if not isinstance(error, RasdError):
        raise error if error is not None else RuntimeError(f"job {key} failed without an error")
    st.html(notices.failure(words, str(error), store=not isinstance(error, InputError)))
    _again(words, key, place)


def _again(words: Words, key: Hashable, place: int) -> None:
    st.button(words("job.again"), key=f"job_again_{place}", on_click=_resume, args=(key,))


def _resume(key: Hashable) -> None:
    st.session_state["_stopped"] = st.session_state.get("_stopped", set()) - {key}
