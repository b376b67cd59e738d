"""The schema ``qgis``: read-only layers for QGIS, their outlines and styles, and who may open them.

The views run with the owner's rights and show a territory only to logins whose principal may
see the whole of it (``qgis.territories()`` asks for ``session_user``, which nobody can
claim); QGIS holds a plain connection and cannot show a session, so row-level security by
area cannot serve it. Caveat: an update of Rasd that changes the schema takes the views
away; ``./rasd qgis refresh`` makes them again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data import access
from data.life import Role
from data.qgis_layers import LAYERS, RESOLUTIONS, Layer
from data.query import parent_sql
from geo.cells import boundaries, from_text, resolutions
from geo.errors import InputError

ROLE = "rasd_qgis"
LONGEST_LOGIN = 63  # bytes of a name in PostgreSQL
_CHUNK = 20_000

_BASE = (
    "CREATE SCHEMA IF NOT EXISTS qgis",
    "COMMENT ON SCHEMA qgis IS 'Rasd: layers for QGIS, read only (docs/qgis.md)'",
    """CREATE TABLE IF NOT EXISTS qgis.cell_shape (
         cell bigint PRIMARY KEY, resolution smallint NOT NULL, geom geometry(Polygon, 4326) NOT NULL)""",
    "COMMENT ON TABLE qgis.cell_shape IS 'Outlines of H3 cells that hold reports or belong to plans'",
    # As QGIS makes it when a style is saved in the database (since 3.14, with the type).
    """CREATE TABLE IF NOT EXISTS qgis.layer_styles (
         id serial PRIMARY KEY, f_table_catalog varchar, f_table_schema varchar, f_table_name varchar,
         f_geometry_column varchar, stylename text, styleqml xml, stylesld xml, useasdefault boolean,
         description text, owner varchar(63) DEFAULT CURRENT_USER, ui xml,
         update_time timestamp DEFAULT CURRENT_TIMESTAMP, type varchar)""",
    "COMMENT ON TABLE qgis.layer_styles IS 'Styles, as QGIS looks for them'",
    """CREATE OR REPLACE FUNCTION qgis.territories() RETURNS smallint[]
       LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
         SELECT CASE WHEN session_user = (
             SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.report'::regclass)
           THEN (SELECT coalesce(array_agg(id), '{}') FROM public.territory)
           ELSE (SELECT coalesce(array_agg(a.territory_id), '{}') FROM public.principal p
                 JOIN public.principal_area a ON a.principal_id = p.id AND a.level IS NULL
                 WHERE p.login = session_user AND p.active AND p.party_id IS NULL) END $$""",
    "COMMENT ON FUNCTION qgis.territories() IS 'Territories that the login may see as a whole'",
    "REVOKE ALL ON FUNCTION qgis.territories() FROM PUBLIC",
)


@dataclass(frozen=True, slots=True)
class Made:
    """What a refresh did: views, outlines that were added, and styles."""

    layers: tuple[str, ...]
    shapes: int


def set_up(conn: Connection) -> Made:
    """Make or renew the views, and draw the outlines that are missing; on the owner's connection."""
    _make_role(conn)
    for statement in _BASE:
        conn.exec_driver_sql(statement)
    for layer in LAYERS:
        conn.exec_driver_sql(f"DROP VIEW IF EXISTS qgis.{layer.name}")
    shapes = _draw(conn)
    for layer in LAYERS:
        _make_view(conn, layer)
    conn.exec_driver_sql(f"GRANT USAGE ON SCHEMA qgis TO {ROLE}")
    names = ", ".join(f"qgis.{layer.name}" for layer in LAYERS)
    conn.exec_driver_sql(f"GRANT SELECT ON {names}, qgis.layer_styles TO {ROLE}")
    conn.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION qgis.territories() TO {ROLE}")
    # QGIS looks for layer_styles by its bare name.
    database = conn.scalar(text("SELECT quote_ident(current_database())"))
    conn.exec_driver_sql(f'ALTER DATABASE {database} SET search_path = "$user", public, qgis')
    return Made(tuple(layer.name for layer in LAYERS), shapes)


def _make_role(conn: Connection) -> None:
    """The role belongs to the whole server: another store may have made it."""
    conn.exec_driver_sql(
        f"""DO $$ BEGIN
              IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
                CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
              END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- made meanwhile
            END $$"""
    )


def _make_view(conn: Connection, layer: Layer) -> None:
    # A barrier, so that no condition of the caller sees rows of a territory that is closed to them.
    sql = layer.sql.replace("%", "%%")
    conn.exec_driver_sql(f"CREATE VIEW qgis.{layer.name} WITH (security_barrier) AS {sql}", ())
    conn.exec_driver_sql(f"COMMENT ON VIEW qgis.{layer.name} IS {_quoted(layer.title)}", ())
    for column, sentence in layer.columns.items():
        conn.exec_driver_sql(f"COMMENT ON COLUMN qgis.{layer.name}.{column} IS {_quoted(sentence)}", ())


def _quoted(sentence: str) -> str:
    """One of our own sentences as SQL; COMMENT takes no parameters."""
    return "'" + sentence.replace("'", "''").replace("%", "%%") + "'"


def _draw(conn: Connection) -> int:
    """Draw cells of reports and plans that have no outline yet; returns how many."""
    missing: list[npt.NDArray[np.int64]] = []
    for resolution in RESOLUTIONS:
        # One scan of `report` for each resolution; what is drawn already is told by pk_cell_shape.
        found = conn.execute(
            text(
                f"""SELECT c.cell FROM (SELECT DISTINCT {parent_sql(resolution)} AS cell FROM report r
                    WHERE r.cell IS NOT NULL) c
                    WHERE NOT EXISTS (SELECT FROM qgis.cell_shape s WHERE s.cell = c.cell)"""
            )
        ).scalars()
        missing.append(np.fromiter(found, np.int64))
    planned = conn.execute(
        text(
            """SELECT DISTINCT x FROM campaign c
               JOIN campaign_version v ON v.campaign_id = c.id AND v.version = c.version,
               jsonb_array_elements(v.document->'areas') a, jsonb_array_elements_text(a->'cells') x
               WHERE c.kind <> 'axes'"""
        )
    ).scalars()
    missing.append(np.asarray(from_text(list(planned)), dtype=np.int64))
    cells = np.unique(np.concatenate(missing))
    added = 0
    for low in range(0, len(cells), _CHUNK):
        part = cells[low : low + _CHUNK]
        added += conn.execute(
            text(
                """INSERT INTO qgis.cell_shape (cell, resolution, geom)
                   SELECT c, r, ST_GeomFromWKB(g, 4326)
                   FROM unnest(CAST(:cells AS bigint[]), CAST(:levels AS smallint[]), CAST(:shapes AS bytea[]))
                     AS s(c, r, g) ON CONFLICT DO NOTHING"""
            ),
            {
                "cells": part.tolist(),
                "levels": resolutions(part).tolist(),
                "shapes": list(shapely.to_wkb(boundaries(part))),
            },
        ).rowcount
    conn.exec_driver_sql("ANALYZE qgis.cell_shape")
    return added


def values(conn: Connection, layer: str, column: str) -> npt.NDArray[np.float64]:
    """All values of a column of a layer that are not null, for the limits of a style's classes.

    Parameters
    ----------
    layer, column : of ``LAYERS``.
    """
    if not any(known.name == layer and column in known.columns for known in LAYERS):
        raise InputError(f"There is no column {column} in a layer {layer}.")
    # Reads the view whole.
    found = conn.execute(text(f"SELECT {column} FROM qgis.{layer} WHERE {column} IS NOT NULL")).scalars()
    return np.fromiter((float(value) for value in found), np.float64)


def save_style(conn: Connection, layer: str, name: str, qml: str, title: str) -> None:
    """Keep a style of a layer as QGIS does; it is the default unless somebody chose another."""
    where = {"layer": layer, "name": name}
    # layer_styles holds a row a style.
    conn.execute(
        text(
            """DELETE FROM qgis.layer_styles WHERE f_table_catalog = current_database()
               AND f_table_schema = 'qgis' AND f_table_name = :layer AND stylename = :name"""
        ),
        where,
    )
    conn.execute(
        text(
            """INSERT INTO qgis.layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column,
                 stylename, styleqml, useasdefault, description)
               SELECT current_database(), 'qgis', CAST(:layer AS text), 'geom', :name, XMLPARSE(DOCUMENT CAST(:qml AS text)),
                 NOT EXISTS (SELECT FROM qgis.layer_styles WHERE f_table_catalog = current_database()
                   AND f_table_schema = 'qgis' AND f_table_name = CAST(:layer AS text) AND useasdefault), :title"""
        ),
        {**where, "qml": qml, "title": title},
    )


def grant(conn: Connection, login: str, password: str | None) -> None:
    """Let a user of Rasd open the layers: a login of PostgreSQL of the same name.

    Parameters
    ----------
    password : None leaves it to the server how the login proves who it is.

    Raises
    ------
    InputError : there is no such user, or it may not see a whole territory.
    """
    found = access.find_principal(conn, login)
    if found is None:
        raise InputError(f"{login} is not among the users of this store.")
    whole = found.party_id is None and any(place.level is None for place in found.places)
    if found.role is Role.CONTRACTOR or not whole:
        raise InputError(
            f"{login} may not see the whole of a territory, and the layers show whole territories. "
            "Give an export instead: ./rasd export --help"
        )
    if len(login.encode()) > LONGEST_LOGIN:
        raise InputError(f"{login} is too long for a login of PostgreSQL ({LONGEST_LOGIN} bytes).")
    name = conn.scalar(text("SELECT quote_ident(:login)"), {"login": login})
    # Null when there is no such login, true when it is one of these.
    ours = conn.scalar(
        text(
            "SELECT pg_has_role(oid, :role, 'MEMBER') AND NOT rolsuper FROM pg_roles WHERE rolname = :login"
        ),
        {"login": login, "role": ROLE},
    )
    if ours is False or login.startswith(("rasd_", "pg_")):
        raise InputError(
            f"The server has a login {login} that is not one of these layers; rename the user in the users file."
        )
    if ours is None:
        conn.exec_driver_sql(f"CREATE ROLE {name} LOGIN".replace("%", "%%"), ())
    if password is not None:
        # Hashed here, so that the password stands in no log of the server.
        raw = conn.connection.driver_connection
        secret = raw.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()  # type: ignore[union-attr]
        conn.exec_driver_sql(f"ALTER ROLE {name} PASSWORD '{secret}'".replace("%", "%%"), ())
    conn.exec_driver_sql(f"GRANT {ROLE} TO {name}".replace("%", "%%"), ())


def revoke(conn: Connection, login: str) -> None:
    """Close the layers to a login; the login itself is left to the server's keeper.

    Raises
    ------
    InputError : it could not open them.
    """
    member = conn.scalar(
        text(
            """SELECT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
               JOIN pg_roles u ON u.oid = m.member WHERE g.rolname = :role AND u.rolname = :login)"""
        ),
        {"role": ROLE, "login": login},
    )
    if not member:
        raise InputError(f"{login} could not open the layers.")
    name = conn.scalar(text("SELECT quote_ident(:login)"), {"login": login})
    conn.exec_driver_sql(f"REVOKE {ROLE} FROM {name}".replace("%", "%%"), ())
