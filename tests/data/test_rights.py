"""What each role may do, asked of PostgreSQL itself: every step, every table, every way around.

The cases are made from ``data/life.py`` and ``data/rights.py``. One store; each case runs in
a savepoint of one transaction that is undone at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from data import database
from data.access import Place, Session, acting, assume
from data.actions import act
from data.analyses.kept import recall, remember
from data.life import TRANSITIONS, Action, Role, Transition
from data.rights import CLOSED, RIGHTS, database_role
from data.vocabulary import Status
from geo.errors import InputError, Refused
from tests.data.people import add_party, sign_in, territory_code
from tests.data.reports_sample import make_sample

PHOTO = "ab" * 32
COMMON = {"alembic_version", "element", "element_alias", "gazetteer", "transition"}  # the same for everyone


@dataclass
class Office:
    """Two reports of two municipalities without a history, and people who see all, one or neither."""

    store: Any
    here: int
    there: int
    root: int
    parties: dict[str, int]
    whole: dict[Role, Session]
    local: dict[Role, Session]
    abroad: dict[Role, Session]
    entity: Session
    rival: Session
    element: int


@pytest.fixture(scope="module")
def office(module_store: Any) -> Iterator[Office]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn, rows=120)
        frame = sample.frame
        ours = [int(i) for i in frame["id"][frame["municipality_id"] == sample.municipalities[0]]][:2]
        other = int(frame["id"][frame["municipality_id"] == sample.municipalities[1]].iloc[0])
        ids = [*ours, other]
        conn.execute(text("DELETE FROM report_event WHERE report_id = ANY(:ids)"), {"ids": ids})
        parties = {
            code: add_party(conn, sample.territory, code, kind)
            for code, kind in (
                ("roads", "department"), ("firm", "contractor"), ("rival", "contractor"), ("water", "entity"),
            )
        }  # fmt: skip
        conn.execute(
            text(
                "UPDATE report SET agency_id = :water, contractor_id = :firm, status = 1 WHERE id = ANY(:ids)"
            ),
            {**parties, "ids": ids},
        )
        for report in ids:
            conn.execute(
                text(
                    """INSERT INTO photo (digest, report_id, mime, width, height, bytes)
                       VALUES (:digest, :report, 'image/jpeg', 4, 3, 100)"""
                ),
                {"digest": PHOTO, "report": report},
            )
        code, west = (territory_code(conn, t) for t in (sample.territory, sample.other))
        area = Place(code, "municipality", "municipality 0")

        def people(name: str, place: Place) -> dict[Role, Session]:
            return {
                role: sign_in(
                    conn, role, place, login=f"{role}-{name}",
                    party_id=parties["firm"] if role is Role.CONTRACTOR else None,
                )
                for role in Role
            }  # fmt: skip

        made = Office(
            module_store, ours[0], other, ours[1], parties,
            people("whole", Place(code)), people("local", area), people("abroad", Place(west)),
            sign_in(conn, Role.CONTRACTOR, Place(code), login="entity", party_id=parties["water"]),
            sign_in(conn, Role.CONTRACTOR, Place(code), login="rival", party_id=parties["rival"]),
            int(conn.scalar(text("SELECT min(id) FROM element"))),
        )  # fmt: skip
    yield made


@pytest.fixture(scope="module")
def desk(office: Office) -> Iterator[Connection]:
    """The owner's connection, whose role each case sets for itself; nothing is kept."""
    with office.store.engine.connect() as conn:
        conn.begin()
        yield conn
        conn.rollback()


def detail_of(office: Office, step: Transition) -> dict[str, Any]:
    """What the step needs."""
    agency = office.parties["water" if step.action is Action.REFER else "roads"]
    known = {
        "element_id": office.element, "severity": 3, "quantity": 2.5, "agency_id": agency,
        "contractor_id": office.parties["firm"], "of": office.root, "reason": "x", "note": "x",
        "violation": "V-1", "photos": [PHOTO],
    }  # fmt: skip
    return {key: known[key] for key in step.needs}


def outcome(
    desk: Connection, office: Office, session: Session, step: Transition, report: int, status: Status
) -> str:
    """What becomes of a step on a report in a state: taken, refused or lacking."""
    point = desk.begin_nested()
    try:
        # As a report of the past is told of: the owner's word is not a step.
        desk.execute(
            text("UPDATE report SET status = :status WHERE id = :id"), {"status": int(status), "id": report}
        )
        assume(desk, session)
        act(desk, report, step.action, 0, detail_of(office, step))
        return "taken"
    except Refused:
        return "refused"
    except InputError:
        return "lacking"
    finally:
        point.rollback()


def of_party(office: Office, people: dict[Role, Session], role: Role, step: Transition) -> Session:
    """The person of a role who is of the party that the step asks for."""
    return office.entity if role is Role.CONTRACTOR and step.party == "agency_id" else people[role]


def test_every_role_takes_every_step_from_every_state_as_the_table_of_steps_says(
    desk: Connection, office: Office
) -> None:
    for step, status in itertools.product(TRANSITIONS, Status):
        leads = status in step.sources
        for role in Role:
            if not leads and role not in step.roles:
                continue  # refused twice over; each of the two is tried by itself
            found = outcome(
                desk, office, of_party(office, office.whole, role, step), step, office.here, status
            )
            wanted = "taken" if leads and role in step.roles else "refused"
            assert found == wanted, (role, step.action.name, status.name)


@pytest.mark.parametrize("step", TRANSITIONS, ids=lambda step: step.action.name.lower())
def test_a_step_ends_at_the_border_of_area_territory_and_party(
    desk: Connection, office: Office, step: Transition
) -> None:
    status = min(step.sources)
    for role in Role:
        may = role in step.roles
        # Contractors see by party: in their area, and only what is theirs.
        person = (
            office.entity if role is Role.CONTRACTOR and step.party == "agency_id" else office.local[role]
        )
        assert outcome(desk, office, person, step, office.here, status) == ("taken" if may else "refused"), (
            role
        )
        assert outcome(desk, office, office.local[role], step, office.there, status) == "refused", role
        assert outcome(desk, office, office.abroad[role], step, office.here, status) == "refused", role
    assert outcome(desk, office, office.rival, step, office.here, status) == "refused"
    if step.party:
        wrong = office.whole[Role.CONTRACTOR] if step.party == "agency_id" else office.entity
        assert outcome(desk, office, wrong, step, office.here, status) == "refused"


@pytest.mark.parametrize(
    "how", ["no session", "expired", "signed out", "disabled", "forged token", "forged role"]
)
def test_without_a_living_session_of_that_very_role_nothing_is_seen_or_done(
    desk: Connection, office: Office, how: str
) -> None:
    for step in TRANSITIONS:
        for role in sorted(step.roles):
            session = of_party(office, office.whole, role, step)
            point = desk.begin_nested()
            spoil = {
                "expired": "UPDATE app_session SET expires_at = now() WHERE principal_id = :id",
                "signed out": "DELETE FROM app_session WHERE principal_id = :id",
                "disabled": "UPDATE principal SET active = false WHERE id = :id",
            }.get(how)
            if spoil:
                desk.execute(text(spoil), {"id": session.principal.id})
                with pytest.raises(Refused, match="Sign in again"):
                    assume(desk, session)
            token = {
                "no session": "", "forged token": "0" * 64, "forged role": office.whole[Role.VIEWER].token
            }.get(how, session.token)  # fmt: skip
            desk.execute(text(f"SET LOCAL ROLE {database_role(role)}"))
            desk.execute(text("SELECT set_config('rasd.token', :token, true)"), {"token": token})
            assert desk.scalar(text("SELECT count(*) FROM report")) == 0
            with pytest.raises(Refused):
                act(desk, office.here, step.action, 0, detail_of(office, step))
            point.rollback()


def test_a_forged_role_opens_none_of_the_tables_of_that_role(desk: Connection, office: Office) -> None:
    point = desk.begin_nested()
    assume(desk, office.whole[Role.VIEWER])
    for role in Role:
        if role is Role.VIEWER:
            continue
        desk.execute(text(f"SET LOCAL ROLE {database_role(role)}"))
        for table, right in RIGHTS.items():
            if table in COMMON or role not in right.select:
                continue
            assert desk.scalar(text(f"SELECT count(*) FROM {table}")) == 0, (role, table)
    point.rollback()


def test_an_error_tells_nothing_of_a_report_that_is_closed_to_the_user(
    desk: Connection, office: Office
) -> None:
    said = []
    for report in (office.there, 10**12):
        point = desk.begin_nested()
        assume(desk, office.local[Role.INSPECTOR])
        with pytest.raises(Refused) as caught:
            act(desk, report, Action.TREAT, 7, {"quantity": 1, "photos": [PHOTO]})
        said.append(str(caught.value).replace(str(report), "N"))
        point.rollback()
    assert said[0] == said[1]


# ---- tables ----


@pytest.fixture(scope="module")
def tables(office: Office) -> dict[str, list[str]]:
    """The columns of every table."""
    with office.store.engine.connect() as conn:
        rows = conn.execute(
            text(
                """SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) AS columns FROM pg_class c
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                     AND c.relname <> 'spatial_ref_sys' GROUP BY 1"""
            )
        ).all()
    return {row.relname: row.columns for row in rows}


def test_every_table_is_in_the_table_of_rights_and_has_row_level_security(
    office: Office, tables: dict[str, list[str]]
) -> None:
    assert set(RIGHTS) | CLOSED == set(tables)
    assert not set(RIGHTS) & CLOSED
    with office.store.engine.connect() as conn:
        bare = conn.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relname = ANY(:t) AND NOT relrowsecurity AND relkind = 'r'"
            ),
            {"t": sorted(tables)},
        ).all()
    assert bare == []


def _does(conn: Connection, statement: str) -> bool:
    """Whether the statement is allowed; any other error fails."""
    try:
        conn.execute(text(statement))
    except ProgrammingError as error:
        assert getattr(error.orig, "sqlstate", "") == "42501", statement
        return False
    return True


@pytest.mark.parametrize("role", Role)
def test_a_role_reads_and_writes_exactly_what_the_table_of_rights_says(
    office: Office, tables: dict[str, list[str]], role: Role
) -> None:
    # As the pages connect: what the login role itself may do would show here.
    with database.app_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text(f"SET ROLE {database_role(role)}"))
        try:
            for table, columns in tables.items():
                right = RIGHTS.get(table)
                for column in columns:
                    reads = right is not None and role in right.select
                    reads = reads and (right is None or column not in right.hidden or role in right.reveals)
                    assert _does(conn, f'SELECT "{column}" FROM {table} LIMIT 0') == reads, (table, column)
                    adds = right is not None and role in right.insert
                    adds = adds and (right is None or column in (right.insert_columns or columns))
                    statement = f'INSERT INTO {table} ("{column}") SELECT NULL WHERE false'
                    assert _has(conn, table, column, "INSERT") == adds, statement
                    changes = right is not None and role in right.update
                    changes = changes and (right is None or column in (right.update_columns or columns))
                    assert _has(conn, table, column, "UPDATE") == changes, (table, column)
                removes = right is not None and role in right.delete
                assert _does(conn, f"DELETE FROM {table} WHERE false") == removes, table
                assert not _does(conn, f"TRUNCATE {table}"), table
        finally:
            conn.execute(text("RESET ROLE"))


def _has(conn: Connection, table: str, column: str, verb: str) -> bool:
    return bool(
        conn.scalar(
            text("SELECT has_column_privilege(:table, :column, :verb)"),
            {"table": table, "column": column, "verb": verb},
        )
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE report SET status = 7",
        "UPDATE report_event SET actor_id = 1",
        "DELETE FROM report",
        "INSERT INTO app_session (token, principal_id, expires_at) VALUES ('x', 1, now() + interval '1 day')",
        "UPDATE principal SET role = 'administrator'",
        "INSERT INTO principal_area (principal_id, territory_id) VALUES (1, 1)",
        "INSERT INTO audit (login, role, action, object) VALUES ('x', 'x', 'x', 'x')",
        "DELETE FROM audit",
        "UPDATE transition SET roles = '{viewer}'",
        "ALTER TABLE report DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE report_event DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP POLICY rasd_see ON report",
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION rasd_principal_id() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET LOCAL ROLE rasd",
        "SET SESSION AUTHORIZATION rasd",
        "SELECT rasd_link_duplicate(1, 2)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY report TO PROGRAM 'cat'",
        "ALTER ROLE rasd_app BYPASSRLS",
        "GRANT rasd TO rasd_app",
    ],
)
def test_there_is_no_way_around_for_any_role(office: Office, statement: str) -> None:
    for role in (Role.VIEWER, Role.ADMINISTRATOR):
        with acting(office.whole[role]) as conn, pytest.raises(DBAPIError) as caught, conn.begin_nested():
            conn.execute(text(statement))
        assert getattr(caught.value.orig, "sqlstate", "") in ("42501", "42723"), statement


def test_the_login_role_of_the_pages_has_no_right_of_its_own(
    office: Office, tables: dict[str, list[str]]
) -> None:
    with acting(office.whole[Role.ADMINISTRATOR]) as conn:
        conn.execute(text("RESET ROLE"))
        assert conn.scalar(text("SELECT rasd_principal_id()")) is None
        for table in tables:
            with conn.begin_nested() as point:
                assert not conn.scalar(text(f"SELECT has_any_column_privilege('{table}', 'SELECT')")), table
                point.rollback()
        facts = conn.execute(
            text(
                "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit FROM pg_roles"
                " WHERE rolname = session_user"
            )
        ).one()
        assert tuple(facts) == (False,) * 5


def test_a_temporary_table_cannot_stand_in_for_one_that_the_guard_reads(office: Office) -> None:
    with office.store.engine.connect() as conn:
        paths = conn.execute(
            text(
                """SELECT oid::regprocedure::text AS name, array_to_string(proconfig, ',') AS config FROM pg_proc
                   WHERE pronamespace = 'public'::regnamespace AND prosecdef AND proname LIKE 'rasd%'"""
            )
        ).all()
    assert paths
    assert all("pg_temp" in (row.config or "").rpartition("public")[2] for row in paths), paths
    with acting(office.whole[Role.VIEWER]) as conn:
        conn.execute(text("CREATE TEMP TABLE principal AS SELECT 1 AS id, 'administrator' AS role"))
        conn.execute(text("CREATE TEMP TABLE transition AS SELECT 1 AS action"))
        with pytest.raises(Refused):
            act(conn, office.here, Action.REJECT, 0, {"reason": "x"})
        conn.rollback()


def test_no_two_sessions_share_a_pooled_connection_s_role_or_token(office: Office) -> None:
    for _ in range(3):
        with acting(office.whole[Role.ADMINISTRATOR]) as conn:
            assert conn.scalar(text("SELECT current_user")) == "rasd_administrator"
        with database.app_engine().connect() as conn:
            assert conn.scalar(text("SELECT current_user")) == "rasd_app"
            assert not conn.scalar(text("SELECT current_setting('rasd.token', true)"))


def test_personal_columns_are_for_those_who_need_them(office: Office) -> None:
    with office.store.engine.begin() as conn:
        conn.execute(
            text("INSERT INTO report_contact (report_id, name) VALUES (:r, 'x') ON CONFLICT DO NOTHING"),
            {"r": office.here},
        )
    readers = set()
    for role in Role:
        with acting(office.whole[role]) as conn, conn.begin_nested() as point:
            try:
                if conn.scalar(text("SELECT count(*) FROM report_contact")):
                    readers.add(role)
            except ProgrammingError:
                point.rollback()
                conn.rollback()
    assert readers == {Role.CALL_CENTRE, Role.INSPECTOR, Role.SUPERVISOR}


def test_what_people_change_is_in_the_trail_under_their_name(office: Office) -> None:
    boss = office.whole[Role.ADMINISTRATOR]
    with acting(boss) as conn:
        territory = conn.scalar(text("SELECT territory_id FROM report WHERE id = :r"), {"r": office.here})
        conn.execute(
            text(
                "INSERT INTO routing_rule (territory_id, party_id, valid_from, principal_id)"
                " VALUES (:t, :p, now(), rasd_principal_id())"
            ),
            {"t": territory, "p": office.parties["roads"]},
        )
        line = conn.execute(text("SELECT * FROM audit ORDER BY id DESC LIMIT 1")).one()
        conn.rollback()
    assert (line.login, line.role) == (boss.principal.login, "administrator")
    assert (line.action, line.object, line.detail["rows"]) == ("insert", "routing_rule", 1)


def test_who_looks_after_a_part_of_a_territory_ends_no_rule_and_no_target_of_the_whole(
    desk: Connection, office: Office
) -> None:
    desk.execute(
        text(
            """INSERT INTO routing_rule (territory_id, party_id, priority, assumed)
               SELECT territory_id, id, 1, true FROM party WHERE id = :party"""
        ),
        {"party": office.parties["roads"]},
    )
    for people, some in ((office.local, False), (office.whole, True)):
        for role in RIGHTS["routing_rule"].update:
            with desk.begin_nested() as point:
                assume(desk, people[role])
                done = desk.execute(text("UPDATE routing_rule SET valid_to = now()")).rowcount
                point.rollback()
            assert (done > 0) is some, role
    assert RIGHTS["target"].update_rows == RIGHTS["routing_rule"].update_rows != ""


def test_who_has_a_part_of_a_territory_has_their_own_plans_and_visits_only(
    desk: Connection, office: Office
) -> None:
    plans, visits = text("SELECT title FROM campaign"), text("SELECT team FROM visit")
    for people, some in ((office.local, ["mine"]), (office.whole, ["chief", "mine"])):
        for role in RIGHTS["campaign"].insert:
            with desk.begin_nested() as point:
                for who, title in ((office.whole, "chief"), (people, "mine")):
                    assume(desk, who[role])
                    desk.execute(
                        text(
                            """INSERT INTO campaign (territory_id, kind, title, version)
                               SELECT min(id), 'inspection', :title, 1 FROM territory RETURNING id"""
                        ),
                        {"title": title},
                    )
                    desk.execute(
                        text(
                            """INSERT INTO visit (territory_id, visited_at, found, team, digest)
                               SELECT min(id), now(), true, :title, :digest FROM territory"""
                        ),
                        {"title": title, "digest": len(title)},
                    )
                assert sorted(desk.scalars(plans)) == sorted(desk.scalars(visits)) == some, role
                done = desk.execute(text("UPDATE campaign SET status = 'withdrawn'")).rowcount
                assert done == len(some), role
                point.rollback()


def test_without_a_session_the_pages_login_counts_no_version_up_and_reads_no_names(
    office: Office,
) -> None:
    with acting(office.whole[Role.VIEWER]) as conn:
        territory = conn.scalar(text("SELECT min(id) FROM territory"))
        for forget in ("RESET ROLE", "SELECT set_config('rasd.token', '', true)"):
            with conn.begin_nested() as point:
                conn.execute(text(forget))
                assert not conn.execute(text("SELECT FROM rasd_campaign_actors(1)")).all()
                with pytest.raises(DBAPIError, match="permission denied"):
                    conn.execute(text("SELECT rasd_visited(CAST(:id AS integer))"), {"id": territory})
                point.rollback()


def test_a_name_that_several_areas_share_opens_none_of_them_and_a_code_opens_one(
    desk: Connection, office: Office
) -> None:
    local = office.local[Role.VIEWER]
    seen = text("SELECT count(*) FROM report")
    with desk.begin_nested() as point:
        assume(desk, local)
        before = desk.scalar(seen)
        point.rollback()
    # Another municipality gets the name by which this user's is known, then the name as its code.
    other = text("SELECT municipality_id FROM report WHERE id = :id")
    second = desk.scalar(other, {"id": office.there})
    own = desk.scalar(other, {"id": office.here})
    desk.execute(text("UPDATE area SET ministry_code = 'municipality 0' WHERE id = :id"), {"id": second})
    with desk.begin_nested() as point:
        assume(desk, local)
        assert desk.scalar(seen) == 0
        point.rollback()
    desk.execute(text("UPDATE area SET code = 'municipality 0' WHERE id = :id"), {"id": own})
    with desk.begin_nested() as point:
        assume(desk, local)
        assert desk.scalar(seen) == before > 0
        point.rollback()


def test_a_result_made_from_a_part_of_the_reports_is_given_and_not_kept(office: Office) -> None:
    for people, kept in ((office.local, None), (office.whole, {"n": 1})):
        with acting(people[Role.ANALYST]) as conn:
            territory = int(conn.scalar(text("SELECT territory_id FROM report LIMIT 1")))
            remember(conn, territory, "scan", "a key", 1, {"n": 1})
            assert recall(conn, territory, "scan", "a key", 1) == kept
