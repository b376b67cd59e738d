"""The signed-in user of a page: who it is, their connection, and the gate before every page.

Everything that a page asks for goes through ``connection()``, on which the database shows
only what is open to this user (``data/access.py``). The session's token is in the memory
of the server. Work that runs in another thread (jobs, downloads) takes the session along
with ``carried``. Caveat: a remembered answer is given without asking the database again,
so its key must hold ``version``, in which the user's scope is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

import streamlit as st
from sqlalchemy import Connection

from data import audit, sign_in, users
from data import database as store
from data.access import Principal, Session, acting
from data.rights import RIGHTS
from data.settings import settings
from data.sign_in import Mode
from data.territories import Territory
from geo.errors import RasdError, Refused
from views import doors

P = ParamSpec("P")
T = TypeVar("T")
SESSION = "_session"
ENDED = "_session_ended"
KEPT = ("lang", "_pages")  # what is nobody's: the language, and the pages that there are
_CARRIED: ContextVar[Session | None] = ContextVar("rasd_session", default=None)
_lock = threading.Lock()
_kept: dict[str, object] = {}  # stamp of the users file that the store was last brought in line with


# ---- who ----


def session() -> Session:
    """The session of who is signed in here.

    Raises
    ------
    Refused : nobody is.
    """
    found = _CARRIED.get() or st.session_state.get(SESSION)
    if not isinstance(found, Session):
        raise Refused("Nobody is signed in.")
    return found


def principal() -> Principal:
    """Who is signed in here.

    Raises
    ------
    Refused : nobody is.
    """
    return session().principal


@contextlib.contextmanager
def connection() -> Iterator[Connection]:
    """One transaction as the signed-in user: committed at the end, undone when the block raises.

    Raises
    ------
    Refused : nobody is signed in, or the session has ended.
    """
    with acting(session()) as conn:
        yield conn


@contextlib.contextmanager
def held(made: Session | None) -> Iterator[None]:
    """Within the block, in this thread, the session is ``made``."""
    token = _CARRIED.set(made)
    try:
        yield
    finally:
        _CARRIED.reset(token)


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """``work`` with the session of now, wherever and whenever it is called.

    Without one it is refused at its first ``connection()``.
    """
    now = _CARRIED.get() or st.session_state.get(SESSION)

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with held(now):
            return work(*args, **kwargs)

    return run


def version(territory: Territory) -> int:
    """The key of remembered answers about a territory: its data version and what is open to the user.

    Users to whom every report and column is open share answers under the data version
    itself; all others with nobody, since their own plans and visits are among what they see.
    """
    who = principal()
    if who.whole(territory.code) and who.role in RIGHTS["report"].reveals:
        return territory.data_version
    scope = f"{territory.data_version} {who.id} {who.scope} {who.role in RIGHTS['report'].reveals}"
    # Below zero, so that it never is another data version.
    return -1 - int.from_bytes(hashlib.blake2b(scope.encode(), digest_size=7).digest(), "big")


def may(deed: str) -> bool:
    """Whether the button of a deed is for who is signed in."""
    return doors.may(principal().role, deed)


def took_out(conn: Connection, what: str, rows: int | None, **detail: object) -> None:
    """Write into the trail that the user took data out; ``conn`` is theirs."""
    audit.record(conn, "export", what, {"rows": rows} | detail)


# ---- the gate ----


def guarded(code: str, page: Callable[[], None]) -> Callable[[], None]:
    """A page behind the gate: somebody is signed in, and it is for their role.

    What stands in its place otherwise is in ``views/sign_in.py``.
    """

    def run() -> None:
        from views import sign_in as desk

        try:
            inside = enter()
        except RasdError as error:
            desk.broken(error)
            return
        if not inside:
            desk.page()
        elif doors.opens(principal().role, code):
            page()
        else:
            desk.closed(code)

    run.__name__ = f"page_{code}"
    return run


def enter() -> bool:
    """Whether somebody is signed in; a demonstration signs its first user in by itself.

    Raises
    ------
    ConfigError : no way of signing in is safe here.
    """
    way = sign_in.mode()
    if way is Mode.DEMO:
        fault = sign_in.demo_fault(dict(st.context.headers), peer(), listens())
        if fault:
            forget()
            raise Refused(
                f"A demonstration answers this machine only, and {fault}. Set RASD_ACCESS=local or oidc: "
                "docs/access.md."
            )
    else:
        follow_file()
    held = st.session_state.get(SESSION)
    if isinstance(held, Session):
        if (way is Mode.DEMO) == held.principal.simulated and _alive(held):
            return True
        forget()
        st.session_state[ENDED] = True
    if way is Mode.DEMO:
        hold(sign_in.by_choice(st.query_params.get("as", ""), otherwise=True))
        st.session_state.pop(ENDED, None)
        return True
    if way is Mode.OIDC and bool(st.user.get("is_logged_in")):
        try:
            hold(sign_in.by_claim(dict(st.user), caller()))
        except Refused as error:
            st.session_state["_refused"] = str(error)
            return False
        return True
    return False


def _alive(held: Session) -> bool:
    """Whether the database still knows the session."""
    try:
        with acting(held):
            return True
    except Refused:
        return False


def hold(made: Session) -> None:
    """Keep a new session; what the one before looked at is forgotten."""
    if SESSION in st.session_state:
        forget()
    st.session_state[SESSION] = made


def forget() -> None:
    """Forget who was signed in here and everything that the page kept for them."""
    kept = {key: st.session_state[key] for key in KEPT if key in st.session_state}
    st.session_state.clear()
    st.session_state.update(kept)


def leave() -> None:
    """Sign out; call it in a callback."""
    held = st.session_state.get(SESSION)
    if isinstance(held, Session):
        sign_in.leave(held)
    forget()
    if sign_in.mode() is Mode.OIDC:
        st.logout()


def caller() -> str:
    """The address of who is calling, for the limit on tries."""
    return sign_in.caller(dict(st.context.headers), peer(), settings().proxies)


def peer() -> str | None:
    """The address at the other end of the connection; None on this machine, and without a browser."""
    address = st.context.ip_address
    return address if isinstance(address, str) else None


def listens() -> str:
    """The address that the server listens on, as Streamlit was told."""
    return str(st.get_option("server.address") or settings().address)


def follow_file() -> None:
    """Bring the store in line with the users file when the file has changed.

    Raises
    ------
    ConfigError : the file cannot be used; nobody gets past it until it can.
    """
    path = users.users_path()
    known = users.read_users(path)  # remembered by the file's stamp
    stamp = (str(path), str(store.engine().url), known)
    with _lock:
        if _kept.get("stamp") == stamp:
            return
        with store.connection() as conn:
            faults = users.keep_all(conn, known)
            if faults:
                audit.of_command(conn, "update", "users", {"faults": faults[:20]})
        _kept["stamp"] = stamp
