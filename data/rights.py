"""Who may read and write what in the database: one table, from which grants and policies are made.

The app connects as the login role ``rasd_app``, which owns nothing and has no right of its
own; each transaction takes the role of the signed-in user (``rasd_<role>``, ``data/access``).
Rows are opened by the policies below, which ask ``data/guard/1_sessions.sql`` where the user
may look. What is not listed here is closed. Caveat: under row-level security only leakproof
operators use an index (numbers, times, = of texts; not ``&&`` and ``ST_DWithin`` of PostGIS,
not ``LIKE``), so questions about places go through ``report.cell``, which is a number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, text

from data.cluster import APP_ROLE as APP
from data.life import TRANSITIONS, Role

GUARD = Path(__file__).parent / "guard"
ALL = tuple(Role)
R = Role
_FILERS = (R.CALL_CENTRE, R.INSPECTOR, R.SUPERVISOR)
_ACTORS = (*_FILERS, R.CONTRACTOR, R.QUALITY, R.DIRECTOR)
_PLANNERS = (R.SUPERVISOR, R.DIRECTOR, R.ANALYST)
_RULERS = (R.SUPERVISOR, R.ADMINISTRATOR)
_READERS = tuple(role for role in Role if role is not R.CONTRACTOR)

# Rows of a policy. {t} is the table.
OPEN = "true"
# A role alone can be taken without a session; together with its token it cannot.
SIGNED_IN = "(SELECT rasd_principal_id()) IS NOT NULL"
SOME = "territory_id = ANY ((SELECT rasd_some_territories())::smallint[])"
WHOLE = "territory_id = ANY ((SELECT rasd_whole_territories())::smallint[])"
_PLACE = (
    "(territory_id = ANY ((SELECT rasd_territories())::smallint[])"
    + "".join(
        f" OR {level}_id = ANY ((SELECT rasd_areas())::integer[])"
        for level in ("municipality", "district", "governorate", "amana", "region")
    )
    + ")"
)
_PARTY = (
    "((SELECT rasd_party()) IS NULL OR agency_id = (SELECT rasd_party())"
    " OR contractor_id = (SELECT rasd_party()))"
)
REPORT = f"{_PLACE} AND {_PARTY}"
BY_REPORT = "(SELECT rasd_sees_all()) OR EXISTS (SELECT FROM report r WHERE r.id = {t}.report_id)"
# Plans and visits tell of places all over a territory, and have no area of their own.
WHOLE_OR_OWN = f"{WHOLE} OR ({SOME} AND actor_id = (SELECT rasd_principal_id()))"
BY_CAMPAIGN = "EXISTS (SELECT FROM campaign c WHERE c.id = {t}.campaign_id)"  # as its own policy says
OWN = "principal_id = (SELECT rasd_principal_id())"


def _through(table: str, key: str, rows: str = SOME) -> str:
    """Rows whose ``key`` names a row of ``table`` that is open."""
    return f"EXISTS (SELECT FROM {table} o WHERE o.id = {{t}}.{key} AND o.{rows})"


@dataclass(frozen=True, slots=True)
class Right:
    """What roles may do with one table.

    Attributes
    ----------
    rows : condition on the rows that are open, for reading and (unless ``writes``) writing.
    select, insert, update, delete : roles; columns of ``insert`` and ``update`` in the
        fields below, () for all of them.
    insert_rows, update_rows : condition on the rows that may be added or changed; "" for ``rows``.
    hidden : columns that only the roles in ``reveals`` read.
    """

    rows: str
    select: tuple[Role, ...] = ALL
    insert: tuple[Role, ...] = ()
    update: tuple[Role, ...] = ()
    delete: tuple[Role, ...] = ()
    insert_columns: tuple[str, ...] = ()
    update_columns: tuple[str, ...] = ()
    insert_rows: str = ""
    update_rows: str = ""
    hidden: tuple[str, ...] = ()
    reveals: tuple[Role, ...] = field(default=())


RIGHTS: dict[str, Right] = {
    # What is the same for everyone
    "alembic_version": Right(OPEN),
    "element": Right(OPEN),
    "element_alias": Right(OPEN),
    "gazetteer": Right(OPEN),
    "transition": Right(OPEN),
    # Of territories of which at least a part is open
    "territory": Right("id = ANY ((SELECT rasd_some_territories())::smallint[])"),
    "area_set": Right(SOME),
    "area": Right(SOME),
    "source": Right(SOME),
    "source_type": Right(_through("source", "source_id")),
    "batch": Right(SOME),
    "default_point": Right(SOME),
    "exposure_set": Right(SOME),
    "exposure_cell": Right(_through("exposure_set", "set_id")),
    "road_set": Right(SOME),
    "road": Right(_through("road_set", "set_id")),
    "party": Right(SOME),
    "party_name": Right(SOME, select=_READERS),
    "party_works": Right(_through("party", "party_id"), select=_READERS),
    "routing_rule": Right(
        SOME,
        insert=_RULERS,
        insert_columns=(
            "territory_id", "element_id", "group_code", "area_id", "party_id", "priority", "due_hours",
            "assumed", "note", "valid_from", "principal_id",
        ),
        insert_rows=f"{WHOLE} AND {OWN}",
        update=_RULERS,
        update_columns=("valid_to",),
        # They hold for every area: who looks after a part of a territory ends none of them.
        update_rows=WHOLE,
    ),
    "target": Right(
        SOME,
        insert=(R.DIRECTOR, R.ADMINISTRATOR),
        insert_rows=f"{WHOLE} AND {OWN}",
        update=(R.DIRECTOR, R.ADMINISTRATOR),
        update_columns=("valid_to",),
        update_rows=WHOLE,
    ),
    "incident_run": Right(SOME),
    # Reports and what hangs on them
    "report": Right(
        REPORT,
        insert=_FILERS,
        insert_columns=(
            "cell", "opened_at", "territory_id", "element_id", "status", "channel", "type_id", "flags",
            "precision", "severity", "source_id", "due_at", "content", "quantity", "reference", "unit",
            "geom",
        ),
        insert_rows=f"{REPORT} AND batch_id IS NULL",
        hidden=("reporter",),
        reveals=(R.ANALYST, R.SUPERVISOR, R.DIRECTOR),
    ),
    "report_event": Right(
        BY_REPORT,
        insert=_ACTORS,
        insert_columns=("report_id", "seq", "action", "status", "detail"),
        # After the trigger: who acted is who is signed in, on a report that is open to them.
        insert_rows=(
            "batch_id IS NULL AND actor_id = (SELECT rasd_principal_id())"
            " AND EXISTS (SELECT FROM report r WHERE r.id = {t}.report_id)"
            " AND (NOT detail ? 'of' OR EXISTS (SELECT FROM report r WHERE r.id = ({t}.detail->>'of')::bigint))"
        ),
    ),
    "report_raw": Right(
        "EXISTS (SELECT FROM batch b WHERE b.id = {t}.batch_id"
        " AND b.territory_id = ANY ((SELECT rasd_whole_territories())::smallint[]))",
        select=(R.CALL_CENTRE, R.SUPERVISOR, R.ADMINISTRATOR),
    ),
    "report_contact": Right(BY_REPORT, select=_FILERS, insert=(R.CALL_CENTRE, R.INSPECTOR, R.SUPERVISOR)),
    "report_follower": Right(
        BY_REPORT,
        select=_ACTORS,
        insert=_ACTORS,
        insert_columns=("report_id", "principal_id"),
        insert_rows=f"{OWN} AND EXISTS (SELECT FROM report r WHERE r.id = {{t}}.report_id)",
        delete=_ACTORS,
    ),
    "photo": Right(
        BY_REPORT,
        insert=_ACTORS,
        insert_columns=("digest", "report_id", "mime", "width", "height", "bytes", "taken_at", "principal_id"),
        insert_rows=f"{OWN} AND EXISTS (SELECT FROM report r WHERE r.id = {{t}}.report_id)",
    ),
    "report_incident": Right(BY_REPORT),
    "incident": Right("(SELECT rasd_sees_all()) OR EXISTS (SELECT FROM report r WHERE r.id = {t}.id)"),
    # Of whole territories only: made from all of their reports
    "report_column": Right(WHOLE, select=_READERS),
    "analysis": Right(WHOLE, select=_READERS, insert=_READERS, update=_READERS, delete=_READERS),
    "pack": Right(WHOLE, select=_READERS, insert=(R.SUPERVISOR, R.DIRECTOR, R.ANALYST)),
    "quarantine": Right(
        _through("batch", "batch_id", WHOLE), select=(R.SUPERVISOR, R.ANALYST, R.ADMINISTRATOR)
    ),
    # Campaigns
    "campaign": Right(WHOLE_OR_OWN, select=_READERS, insert=_PLANNERS, update=_PLANNERS),
    "campaign_version": Right(BY_CAMPAIGN, select=_READERS, insert=_PLANNERS),
    "campaign_event": Right(BY_CAMPAIGN, select=_READERS, insert=_PLANNERS),
    "visit": Right(
        WHOLE_OR_OWN,
        select=_READERS,
        insert=(*_PLANNERS, R.INSPECTOR),
        update=(*_PLANNERS, R.INSPECTOR),
    ),
    # The trail: administrators read it; it is written by rasd_audit() only
    "audit": Right(SIGNED_IN, select=(R.ADMINISTRATOR,)),
    "principal": Right(SIGNED_IN, select=(R.ADMINISTRATOR,)),
    "principal_area": Right(SIGNED_IN, select=(R.ADMINISTRATOR,)),
}  # fmt: skip

#: Closed to the app altogether: only the owner reads and writes them.
CLOSED = frozenset({"app_session", "sign_in_try", "api_key", "open311_pull", "store_note"})

#: Functions that the app may call; the rest of data/guard is for the owner.
FUNCTIONS = (
    "rasd_principal_id()", "rasd_party()", "rasd_territories()", "rasd_some_territories()",
    "rasd_whole_territories()", "rasd_sees_all()", "rasd_areas()", "rasd_audit(text, text, jsonb)",
    "rasd_actors(bigint)", "rasd_may_file(smallint, integer[])", "rasd_photos_today()",
    "rasd_has_reporters()", "rasd_visited(integer)", "rasd_campaign_actors(integer)",
)  # fmt: skip
_OURS = "rasd\\_%"
_FUNCTIONS_OF_OURS = (
    "SELECT oid::regprocedure::text FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace AND proname LIKE :ours"
)


def database_role(role: Role) -> str:
    """The PostgreSQL role of a role."""
    return f"rasd_{role}"


def statements(columns: dict[str, list[str]]) -> list[str]:
    """All grants and policies in SQL.

    Parameters
    ----------
    columns : names of the columns of each table of the store.
    """
    done: list[str] = []
    everyone = ", ".join([APP, *map(database_role, Role)])
    for table in columns:
        done.append(f'REVOKE ALL ON "{table}" FROM PUBLIC, {everyone}')
    for table, right in RIGHTS.items():
        done += _grants(table, right, columns[table]) + _policies(table, right)
    for table in CLOSED:
        done.append(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    done.append(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {everyone}")
    done.append("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    done.append(f"GRANT USAGE ON SCHEMA public TO {everyone}")
    for function in FUNCTIONS:
        done.append(f"GRANT EXECUTE ON FUNCTION {function} TO {everyone}")
    return done


def _names(roles: tuple[Role, ...]) -> str:
    return ", ".join(map(database_role, dict.fromkeys(roles)))


def _grants(table: str, right: Right, columns: list[str]) -> list[str]:
    done = []
    shown = [name for name in columns if name not in right.hidden]
    for role in right.select:
        some = right.hidden and role not in right.reveals
        columns_of = f" ({', '.join(shown)})" if some else ""
        done.append(f"GRANT SELECT{columns_of} ON {table} TO {database_role(role)}")
    for verb, roles, part in (
        ("INSERT", right.insert, right.insert_columns),
        ("UPDATE", right.update, right.update_columns),
        ("DELETE", right.delete, ()),
    ):
        if roles:
            names = f" ({', '.join(part)})" if part else ""
            done.append(f"GRANT {verb}{names} ON {table} TO {_names(roles)}")
    return done


def _policies(table: str, right: Right) -> list[str]:
    done = [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"]
    rows = right.rows.format(t=table)
    changed = (right.update_rows or right.rows).format(t=table)
    for name, verb, roles, clause in (
        ("see", "SELECT", right.select, f"USING ({rows})"),
        ("add", "INSERT", right.insert, f"WITH CHECK ({(right.insert_rows or right.rows).format(t=table)})"),
        ("change", "UPDATE", right.update, f"USING ({changed}) WITH CHECK ({changed})"),
        ("remove", "DELETE", right.delete, f"USING ({OWN if table == 'report_follower' else rows})"),
    ):
        done.append(f"DROP POLICY IF EXISTS rasd_{name} ON {table}")
        if roles:
            done.append(f"CREATE POLICY rasd_{name} ON {table} FOR {verb} TO {_names(roles)} {clause}")
    return done


def digest() -> str:
    """SHA-256 of everything that ``apply`` writes, apart from the columns of the tables."""
    whole = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(GUARD.glob("*.sql")):
        whole.update(path.read_bytes())
    # The steps are in data/life.py, the numbers of states in data/vocabulary.py.
    for name in ("life.py", "vocabulary.py"):
        whole.update((Path(__file__).parent / name).read_bytes())
    return whole.hexdigest()


def apply(conn: Connection, revision: str) -> bool:
    """Write roles, functions, steps, grants and policies if they changed; True when they did."""
    wanted = f"{revision} {digest()}"
    if conn.scalar(text("SELECT value FROM store_note WHERE key = 'rights'")) == wanted:
        return False
    _make_roles(conn)
    for path in sorted(GUARD.glob("*.sql")):
        # As it stands: colons and percent signs in it are SQL's own.
        conn.exec_driver_sql(
            path.read_text(encoding="utf-8").replace("{REPORT}", REPORT).replace("%", "%%"), ()
        )
    _load_transitions(conn)
    columns: dict[str, list[str]] = {}
    found = conn.execute(
        text(
            """SELECT c.relname AS table, a.attname AS name FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                 AND c.relname <> 'spatial_ref_sys' ORDER BY c.relname, a.attnum"""
        )
    )
    for row in found:
        columns.setdefault(row.table, []).append(row.name)
    # Functions are open to everyone unless closed; those of PostGIS stay as they are.
    for name in conn.execute(text(_FUNCTIONS_OF_OURS), {"ours": _OURS}).scalars():
        conn.exec_driver_sql(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for statement in statements(columns):
        conn.exec_driver_sql(statement.replace("%", "%%"), ())
    conn.execute(
        text(
            """INSERT INTO store_note (key, value) VALUES ('rights', :wanted)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
        ),
        {"wanted": wanted},
    )
    return True


def withdraw(conn: Connection) -> None:
    """Take policies, triggers and functions away, so that migrations may change what they name.

    Row-level security stays on: until ``apply`` runs again the app sees nothing.
    """
    for row in conn.execute(
        text("SELECT policyname, tablename FROM pg_policies WHERE policyname LIKE :ours"), {"ours": _OURS}
    ).all():
        conn.exec_driver_sql(f'DROP POLICY "{row.policyname}" ON "{row.tablename}"')
    for row in conn.execute(
        text(
            "SELECT tgname, tgrelid::regclass::text AS table FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgname LIKE :ours"
        ),
        {"ours": _OURS},
    ).all():
        conn.exec_driver_sql(f'DROP TRIGGER "{row.tgname}" ON {row.table}')
    for name in conn.execute(text(_FUNCTIONS_OF_OURS), {"ours": _OURS}).scalars().all():
        conn.exec_driver_sql(f"DROP FUNCTION {name}")
    conn.execute(text("DELETE FROM store_note WHERE key = 'rights'"))


def _make_roles(conn: Connection) -> None:
    """Make the roles, which belong to the whole server: another store may have made them."""
    for name in (APP, *map(database_role, Role)):
        login = "LOGIN NOINHERIT" if name == APP else "NOLOGIN"
        conn.exec_driver_sql(
            f"""DO $$ BEGIN
                  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
                    CREATE ROLE {name} {login} NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
                  END IF;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- made meanwhile
                END $$"""
        )
    for role in Role:
        conn.exec_driver_sql(
            f"""DO $$ BEGIN
                  IF NOT pg_has_role('{APP}', '{database_role(role)}', 'MEMBER') THEN
                    GRANT {database_role(role)} TO {APP};
                  END IF;
                EXCEPTION WHEN unique_violation THEN NULL; -- granted meanwhile
                END $$"""
        )


def _load_transitions(conn: Connection) -> None:
    conn.exec_driver_sql("DELETE FROM transition")
    conn.execute(
        text(
            "INSERT INTO transition (action, source, target, roles, needs, offers, party)"
            " VALUES (:action, :source, :target, :roles, :needs, :offers, :party)"
        ),
        [
            {
                "action": int(t.action),
                "source": int(source),
                "target": None if t.target is None else int(t.target),
                "roles": sorted(t.roles),
                "needs": list(t.needs),
                "offers": list(t.offers),
                "party": t.party,
            }
            for t in TRANSITIONS
            for source in sorted(t.sources)
        ],
    )
