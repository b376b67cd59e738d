"""Signing in, through the pages: three ways in, the limit on tries, and whose page is whose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from data import audit, sign_in, users
from data.access import Session
from data.life import Role
from data.query import ReportQuery
from data.rights import RIGHTS
from data.settings import Settings, settings
from data.sign_in import Failures, Mode, demo_fault, wait
from data.territories import all_territories
from data.users import User
from geo.errors import ConfigError, InputError, Refused
from tests.views.opened import APP, address, at, forget, person, shown
from tests.views.sample_city import City
from views import access, answers, doors, jobs
from views import audit as audit_page
from views import sign_in as desk
from views.words import Words

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def file(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A users file with one user of all places, one of one municipality, one disabled and one by claim."""
    path = tmp_path_factory.mktemp("users") / "users.yaml"
    hashed = users.hashed(PASSWORD)
    with sign_in.connection() as conn:
        code = next(t.code for t in all_territories(conn) if t.id == city.territory)
        name = conn.scalar(text("SELECT name_en FROM area WHERE id = :id"), {"id": city.municipalities[0]})
    local = f"{code}/municipality/{name}"
    users.write_users(
        path,
        [
            User("sara", "سارة", Role.ANALYST, ("*",), password=hashed),
            User("omar", "Omar", Role.VIEWER, (local,), identity="Omar@Example.org", password=hashed),
            User("gone", "Gone", Role.VIEWER, ("*",), password=hashed, active=False),
        ],
    )
    return path


@pytest.fixture
def local(city: City, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The app with sign-in by password."""
    monkeypatch.setenv("RASD_USERS", str(file))
    settings.cache_clear()
    forget()
    yield file
    settings.cache_clear()


def enter(page: AppTest, login: str, password: str = PASSWORD) -> AppTest:
    page.text_input(key="sign_in_login").set_value(login)
    page.text_input(key="sign_in_password").set_value(password)
    page.button[-1].click()
    return page.run()


# ---- pages ----


def through_the_gate(made: Session | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each page shows to a session: itself, that it is closed, or the form to sign in."""
    monkeypatch.setattr(desk, "page", lambda: st.text("sign in"))
    monkeypatch.setattr(desk, "closed", lambda code: st.text("closed"))

    def script(made):  # type: ignore[no-untyped-def]  # its source is run elsewhere, without our names
        import streamlit as st

        from views import access, doors

        if made is not None:
            st.session_state[access.SESSION] = made
        for code in doors.PAGES:
            access.guarded(code, lambda: st.text("page"))()

    page = AppTest.from_function(script, default_timeout=60, kwargs={"made": made}).run()
    assert not page.exception
    return dict(zip(doors.PAGES, (element.value for element in page.text), strict=True))


def test_without_signing_in_no_page_shows_anything(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = at(lang="en")
    assert page.text_input(key="sign_in_password") and "rd-head" not in shown(page)
    assert access.SESSION not in page.session_state
    assert set(through_the_gate(None, monkeypatch).values()) == {"sign in"}


def test_a_user_signs_in_sees_their_page_and_signs_out(local: Path) -> None:
    page = enter(at(lang="en"), "SARA")
    assert "سارة" in shown(page) and "rd-head" in shown(page)
    token = page.session_state[access.SESSION]
    assert not any(secret in str(address(page)) for secret in (PASSWORD, token.token))
    assert "sign_in_password" not in page.session_state
    page.button(key="sign_out").click().run()
    assert page.text_input(key="sign_in_password") and "rd-head" not in shown(page)
    with pytest.raises(Refused), access.held(token), access.connection():
        pass
    with sign_in.connection() as conn:
        done = [entry.action for entry in audit.trail(conn, login="sara", limit=3)]
    assert done[:2] == ["sign_out", "sign_in"]


@pytest.mark.parametrize(
    ("login", "password"), [("sara", "wrong horse battery"), ("nobody", PASSWORD), ("gone", PASSWORD)]
)
def test_a_wrong_name_a_wrong_password_and_a_closed_account_are_told_alike(
    local: Path, login: str, password: str
) -> None:
    page = enter(at(lang="en"), login, password)
    assert Words("en")("sign_in.wrong") in shown(page)
    assert access.SESSION not in page.session_state


def test_many_tries_have_to_wait_and_the_rightful_user_elsewhere_has_not(local: Path) -> None:
    for _ in range(sign_in.FREE_PAIR):
        with pytest.raises(sign_in.Unknown):
            sign_in.by_password("sara", "guess guess guess", "203.0.113.9")
    with pytest.raises(sign_in.NotYet, match=r"Try again in [1-5] seconds"):
        sign_in.by_password("sara", PASSWORD, "203.0.113.9")
    assert sign_in.by_password("sara", PASSWORD, "198.51.100.7").principal.login == "sara"


def test_a_session_that_has_ended_asks_to_sign_in_again(local: Path) -> None:
    page = enter(at(lang="en"), "sara")
    with sign_in.connection() as conn:
        conn.execute(text("UPDATE app_session SET expires_at = now()"))
    page.run()
    assert Words("en")("sign_in.ended") in shown(page)
    assert page.text_input(key="sign_in_password")


def test_a_change_of_the_file_reaches_who_is_signed_in(local: Path) -> None:
    page = enter(at(lang="en"), "sara")
    before = users.read_users(local)
    try:
        users.write_users(local, [replace(u, active=False) if u.login == "sara" else u for u in before])
        page.run()
        assert page.text_input(key="sign_in_password")
    finally:
        users.write_users(local, before)


def test_who_sees_a_part_gets_answers_of_that_part_and_never_those_of_others(local: Path, city: City) -> None:
    sara, omar = (sign_in.by_password(name, PASSWORD, "192.0.2.1") for name in ("sara", "omar"))
    query = ReportQuery(city.territory)
    counts = {}
    for name, session in (("sara", sara), ("omar", omar), ("sara again", sara)):
        with access.held(session), access.connection() as conn:
            place = next(t for t in all_territories(conn) if t.id == city.territory)
            version = access.version(place)
        with access.held(session):
            counts[name] = answers.headline(version, query).reports
            small = answers.headline(
                version, replace(query, municipalities=(city.municipalities[0],))
            ).reports
        if name == "omar":
            assert version != place.data_version and counts[name] == small
    assert 0 < counts["omar"] < counts["sara"] == counts["sara again"]


def test_work_in_another_thread_is_done_as_who_asked_for_it(local: Path) -> None:
    omar = sign_in.by_password("omar", PASSWORD, "192.0.2.1")

    def who(tick: Any) -> str:
        with access.connection() as conn:
            return str(conn.scalar(text("SELECT current_user || rasd_principal_id()")))

    with access.held(omar):
        job = jobs.DESK.ask("who", "reader", access.carried(who))
    assert job.over.wait(20) and job.error is None
    assert job.result == f"rasd_viewer{omar.principal.id}"
    lone = jobs.DESK.ask("nobody", "reader", access.carried(who))
    assert lone.over.wait(20) and isinstance(lone.error, Refused)


# ---- roles ----


@pytest.mark.parametrize("role", Role)
def test_a_role_gets_its_pages_and_no_others(city: City, monkeypatch: pytest.MonkeyPatch, role: Role) -> None:
    found = through_the_gate(one_of(role, city), monkeypatch)
    assert found == {code: "page" if doors.opens(role, code) else "closed" for code in doors.PAGES}


def one_of(role: Role, city: City) -> Session:
    """A simulated user of a role; a contractor's party is made."""
    with sign_in.connection() as conn:
        conn.execute(
            text(
                """INSERT INTO party (territory_id, code, kind, name_ar, name_en)
                   VALUES (:t, 'firm', 'contractor', 'f', 'f') ON CONFLICT DO NOTHING"""
            ),
            {"t": city.territory},
        )
    return person(f"demo-{role.replace('_', '-')}")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CONTRACTOR, Role.ADMINISTRATOR])
def test_the_switch_offers_a_role_its_pages(city: City, role: Role) -> None:
    forget()
    page = AppTest.from_file(APP, default_timeout=120)
    page.query_params["lang"] = "en"
    page.session_state[access.SESSION] = one_of(role, city)
    page.run()
    assert not page.exception
    words, known = Words("en"), page.session_state["_pages"]
    assert set(known) <= set(doors.PAGES)
    offered = {link.proto.label for link in page.get("page_link")}
    named = {code: words(f"pages.{code}") for code in known if code in doors.SHOWN}
    assert {code for code, name in named.items() if name in offered} == {
        code for code in named if doors.opens(role, code)
    }


def test_a_closed_page_says_whose_it_is(city: City) -> None:
    def script(made):  # type: ignore[no-untyped-def]
        import streamlit as st

        from views import access

        st.session_state[access.SESSION] = made
        access.guarded("audit", lambda: st.text("page"))()

    page = AppTest.from_function(script, default_timeout=60, kwargs={"made": person()})
    page.query_params["lang"] = "en"
    said = shown(page.run())
    assert "You are signed in as: Analyst" in said and "The page is for: Administrator" in said


def test_no_button_is_offered_that_the_database_would_refuse() -> None:
    for deed, table in (
        ("plan.save", "campaign_version"), ("plan.step", "campaign_event"), ("visits.add", "visit"),
        ("rules", "routing_rule"), ("targets", "target"), ("pack.save", "pack"),
    ):  # fmt: skip
        assert set(doors.DEEDS[deed]) <= set(RIGHTS[table].insert), deed
    assert set(doors.PAGES["audit"]) <= set(RIGHTS["principal"].select)
    assert Role.VIEWER not in doors.DEEDS["download"]


def test_the_administrator_reads_users_and_trail_and_takes_the_trail_out_under_their_name(city: City) -> None:
    boss = person("demo-administrator")

    def script(made):  # type: ignore[no-untyped-def]
        import streamlit as st

        from views import access, audit

        st.session_state[access.SESSION] = made
        access.guarded("audit", audit.page)()

    page = AppTest.from_function(script, default_timeout=60, kwargs={"made": boss}).run()
    assert "demo-viewer" in shown(page)
    with access.held(boss):
        content = audit_page.make(None, None).decode("utf-8-sig")
    assert content.startswith("at,login,role,action,object,detail")
    with sign_in.connection() as conn:
        newest = audit.trail(conn, limit=1)[0]
    assert (newest.login, newest.action, newest.object) == ("demo-administrator", "export", "audit")
    with access.held(person("demo-analyst")), pytest.raises(Exception, match="permission denied"):
        audit_page.make(None, None)


# ---- the identity provider ----


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"email": "omar@example.org", "email_verified": True}, ""),
        ({"email": "OMAR@example.ORG"}, ""),
        ({"email": "omar@example.org", "email_verified": False}, "not verified"),
        ({"email": "omar@example.org", "email_verified": "false"}, "not verified"),
        ({"email": "eve@example.org"}, "not a user here"),
        ({"email": "gone"}, "not a user here"),
        ({"sub": "omar@example.org"}, "does not say email"),
        ({"email": ["omar@example.org"]}, "does not say email"),
    ],
)
def test_the_identity_provider_s_claim_names_a_user_of_the_file_or_nobody(
    local: Path, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("RASD_ACCESS", "oidc")
    settings.cache_clear()
    page = AppTest.from_file(APP, default_timeout=60)
    page.user = {"is_logged_in": True, **claims}
    page.query_params["lang"] = "en"
    page.run()
    if said:
        assert said in shown(page) and access.SESSION not in page.session_state
    else:
        assert page.session_state[access.SESSION].principal.login == "omar"
    page = AppTest.from_file(APP, default_timeout=60)
    page.user = {"is_logged_in": False, **claims}
    page.run()
    assert page.button(key="sign_in_provider") and access.SESSION not in page.session_state


# ---- which way, and the pure parts ----


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Mode.DEMO),
        ({"address": "::1"}, Mode.DEMO),
        ({"address": "0.0.0.0"}, "nobody has said who may sign in"),
        ({"address": "10.0.0.5", "access": "demo"}, "lets everybody be anybody"),
        ({"access": "local"}, "names nobody"),
        ({"access": "oidc"}, "names nobody"),
    ],
)
def test_the_way_in_is_explicit_or_safe_by_its_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], expected: Any
) -> None:
    monkeypatch.setenv("RASD_USERS", str(tmp_path / "none.yaml"))
    settings.cache_clear()
    chosen = Settings(**variables)
    if isinstance(expected, Mode):
        assert sign_in.mode(chosen) is expected
    else:
        with pytest.raises(ConfigError, match=expected):
            sign_in.mode(chosen)
    settings.cache_clear()


@pytest.mark.parametrize(
    ("headers", "peer", "listens", "answers_it"),
    [
        ({"Host": "127.0.0.1:8501"}, None, "127.0.0.1", True),
        ({"Host": "[::1]:8501"}, "127.0.0.1", "localhost", True),
        ({}, None, "127.0.0.1", True),
        ({"Host": "evil.example:8501"}, None, "127.0.0.1", False),
        ({"Host": "localhost.evil.example"}, None, "127.0.0.1", False),
        ({"Host": "127.0.0.1"}, "10.0.0.9", "127.0.0.1", False),
        ({"Host": "127.0.0.1"}, None, "0.0.0.0", False),
        ({"Host": "localhost", "X-Forwarded-For": "203.0.113.1"}, None, "127.0.0.1", False),
    ],
)
def test_a_demonstration_answers_a_browser_on_this_machine_only(
    headers: dict[str, str], peer: str | None, listens: str, answers_it: bool
) -> None:
    assert (demo_fault(headers, peer, listens) is None) == answers_it


def test_a_forwarded_address_is_believed_from_named_proxies_only() -> None:
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.0.0.2"}
    assert sign_in.caller(forwarded, "198.51.100.1", "10.0.0.1") == "198.51.100.1"
    assert sign_in.caller(forwarded, "10.0.0.1", "10.0.0.1,10.0.0.2") == "203.0.113.7"
    assert sign_in.caller({"X-Forwarded-For": "junk"}, "10.0.0.1", "10.0.0.1") == "10.0.0.1"
    assert sign_in.caller({}, None, "") == "127.0.0.1"


def test_waits_double_and_a_known_address_is_not_kept_out_by_strangers() -> None:
    none = Failures(0, 0, 0, 0, 0, 0, False)
    assert wait(none) == 0
    waits = [wait(replace(none, pair=n)) for n in range(4, 20)]
    assert waits[:4] == [5, 10, 20, 40] and waits[-1] == sign_in.LONGEST_WAIT
    assert wait(replace(none, pair=5, since_pair=9)) == 1
    assert wait(replace(none, login=40)) > 0 == wait(replace(none, login=40, known=True))
    assert wait(replace(none, address=60, known=True)) > 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("users: [{login: a, role: king, areas: ['*']}]", "role is one of"),
        ("users: [{login: a, role: viewer}]", "at least one area"),
        ("users: [{login: a, role: viewer, areas: ['x/street/y']}]", "is not territory"),
        ("users: [{login: a, role: contractor, areas: [x]}]", "needs its party"),
        ("users: [{login: a, role: viewer, areas: ['*'], password: secret}]", "never the password itself"),
        ("users: [{login: a, role: viewer, areas: ['*'], admin: true}]", "unknown admin"),
        ("users: [{login: A, role: viewer, areas: ['*']}, {login: a, role: viewer, areas: ['*']}]", "twice"),
        ("users: {}", "needs a list"),
        ("users: [", "not valid YAML"),
    ],
)
def test_a_users_file_that_cannot_be_is_refused_with_its_fault(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        users.read_users(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        users.read_users(path)


def test_a_password_is_long_enough_and_kept_as_a_salted_hash() -> None:
    for bad in ("short", "a" * 40, "x" * 300):
        with pytest.raises(InputError):
            users.hashed(bad)
    first, second = users.hashed(PASSWORD), users.hashed(PASSWORD)
    assert first.startswith("$argon2id$") and first != second
    user = User("a", "a", Role.VIEWER, ("*",), password=first)
    assert users.fits(user, PASSWORD) and not users.fits(user, PASSWORD + "x")
    assert not users.fits(replace(user, active=False), PASSWORD) and not users.fits(None, PASSWORD)
