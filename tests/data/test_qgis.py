"""Layers for QGIS: what they show and to whom, that they are documented, and that their styles are QML."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from commands import qgis as command
from data import qgis, schema
from data.access import Place, save_principal
from data.life import Role
from data.qgis_layers import LAYERS
from geo.cells import cells_of
from geo.errors import InputError
from layers.qml import Look, graduated
from tests.small_town import fill

LAYER = {layer.name: layer for layer in LAYERS}


@pytest.fixture(scope="module")
def layers(module_store: Any) -> Any:
    """A town with reports in the layers, and a second territory without."""
    with module_store.engine.begin() as conn:
        fill(conn, dt.datetime.now(dt.UTC))
        cell = int(cells_of(np.array([50.05]), np.array([26.05]))[0])
        conn.execute(
            text("UPDATE report SET cell = :cell, due_at = opened_at + interval '1 day'"), {"cell": cell}
        )
        conn.execute(text("INSERT INTO territory (code, name_ar, name_en) VALUES ('other', 'أخرى', 'Other')"))
        parent = f"{int(cells_of(np.array([50.05]), np.array([26.05]), 8)[0]):x}"
        plan = (
            f'{{"areas": [{{"cells": ["{parent}"], "team": 1, "finds": 2.5, "km2": 0.7, "sites": [1, 2]}}]}}'
        )
        conn.execute(
            text(
                """WITH c AS (INSERT INTO campaign (territory_id, kind, title, version)
                     SELECT id, 'inspection', 'Winter', 1 FROM territory WHERE code = 'town' RETURNING id)
                   INSERT INTO campaign_version (campaign_id, version, data_version, digest, document)
                   SELECT id, 1, 0, 'x', CAST(:plan AS jsonb) FROM c"""
            ),
            {"plan": plan},
        )
        conn.execute(
            text(
                """INSERT INTO incident (id, territory_id, cell, first_at, last_at, reports, lon, lat)
                   SELECT 1, id, 1, now(), now(), 3, 50.05, 26.05 FROM territory WHERE code = 'town'"""
            )
        )
        qgis.set_up(conn)
        command._styles(conn)
    module_store.engine.dispose()  # new connections take the database's search_path
    return module_store.engine


@contextmanager
def logged_in(engine: Any, login: str) -> Iterator[Connection]:
    """A connection as if the login had opened it."""
    with engine.connect() as conn:
        conn.exec_driver_sql(f'SET SESSION AUTHORIZATION "{login}"')
        try:
            yield conn
        finally:
            conn.rollback()
            conn.exec_driver_sql("RESET SESSION AUTHORIZATION")
            conn.commit()


def read(engine: Any, layer: str) -> gpd.GeoDataFrame:
    with engine.connect() as conn:
        return gpd.read_postgis(f"SELECT * FROM qgis.{layer} ORDER BY id", conn, geom_col="geom")


def test_the_layers_open_as_tables_of_their_columns_with_places(layers: Any) -> None:
    for layer in LAYERS:
        frame = read(layers, layer.name)
        assert list(frame.columns) == list(layer.columns), layer.name
        assert layer.name == "incident" or len(frame), layer.name
        assert frame.crs is None or frame.crs.to_epsg() == 4326
        assert frame["id"].is_unique and set(frame.geom_type.dropna()) <= {layer.geometry}


def test_counts_of_the_layers_are_those_of_the_reports(layers: Any) -> None:
    reports = read(layers, "report")
    assert len(reports) == 10 and not reports["default_point"].all()
    seen = reports[~reports["default_point"]]
    for resolution in (6, 9):
        cells = read(layers, f"hexagons_{resolution}")
        assert cells["reports"].sum() == len(seen) == 9
        assert cells["overdue"].sum() == (seen["state"] == "overdue").sum() > 0
        assert cells.contains(seen.geometry.iloc[0]).all()
    towns = read(layers, "municipality").iloc[0]
    assert towns["reports"] == 10 and towns["per_km2"] == pytest.approx(10 / 400)
    assert read(layers, "campaign_area").iloc[0]["geom"].contains(seen.geometry.iloc[0])


def test_incidents_of_another_state_of_the_data_are_not_shown(layers: Any) -> None:
    assert read(layers, "incident").empty
    with layers.begin() as conn:
        conn.execute(
            text(
                """INSERT INTO incident_run (territory_id, data_version, settings, reports, incidents, seconds)
                   SELECT id, data_version, '{}', 3, 1, 0 FROM territory WHERE code = 'town'"""
            )
        )
    assert list(read(layers, "incident")["reports"]) == [3]


def test_a_login_sees_its_own_territories_and_nothing_but_the_layers(layers: Any) -> None:
    with layers.begin() as conn:
        for login, place in (("qgis-town", Place("town")), ("qgis-other", Place("other"))):
            save_principal(conn, login, login, Role.ANALYST, [place])
            qgis.grant(conn, login, "a password of length")
    with logged_in(layers, "qgis-town") as conn:
        assert conn.scalar(text("SELECT count(*) FROM qgis.report")) == 10
        assert conn.scalar(text("SELECT count(*) FROM layer_styles")) == len(LAYERS), "found by its bare name"
    for statement in (
        "SELECT count(*) FROM public.report",
        "SELECT * FROM qgis.cell_shape",
        "UPDATE qgis.layer_styles SET useasdefault = false",
        "DELETE FROM qgis.municipality",
        "CREATE TABLE qgis.mine (id int)",
        "SET ROLE rasd_administrator",
    ):
        with logged_in(layers, "qgis-town") as conn, pytest.raises(DBAPIError, match=r"denied|cannot delete"):
            conn.execute(text(statement))
    with logged_in(layers, "qgis-other") as conn:
        for layer in LAYERS:
            assert conn.scalar(text(f"SELECT count(*) FROM qgis.{layer.name}")) == 0, layer.name
        # A condition of the caller runs after the territory's, so its errors tell nothing.
        asked = (
            "SELECT count(*) FROM qgis.report WHERE 1 / (CASE WHEN reference = 'ref-1' THEN 0 ELSE 1 END) = 1"
        )
        assert conn.scalar(text(asked)) == 0
    with layers.begin() as conn:
        save_principal(conn, "qgis-town", "x", Role.ANALYST, [Place("other")])
    with logged_in(layers, "qgis-town") as conn:
        assert conn.scalar(text("SELECT count(*) FROM qgis.report")) == 0
    with layers.begin() as conn:
        qgis.revoke(conn, "qgis-town")
    with logged_in(layers, "qgis-town") as conn, pytest.raises(DBAPIError, match=r"denied|cannot delete"):
        conn.execute(text("SELECT 1 FROM qgis.report"))


def test_who_may_not_see_a_whole_territory_gets_no_login(layers: Any) -> None:
    with layers.connect() as conn:
        save_principal(conn, "part", "Part", Role.INSPECTOR, [Place("town", "municipality", "w")])
        save_principal(conn, "rasd_app", "Trick", Role.ANALYST, [Place("town")])
        for login, words in (
            ("part", "whole of a territory"),
            ("nobody", "not among the users"),
            ("rasd_app", "not one of these layers"),
        ):
            with pytest.raises(InputError, match=words):
                qgis.grant(conn, login, None)
        conn.rollback()


def test_every_layer_and_column_is_documented_in_the_store_and_in_the_manual(layers: Any) -> None:
    manual = (Path(__file__).parents[2] / "docs/qgis.md").read_text(encoding="utf-8")
    with layers.connect() as conn:
        told = conn.execute(
            text(
                """SELECT c.relname, a.attname, col_description(c.oid, a.attnum) AS said FROM pg_class c
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                   WHERE c.relnamespace = 'qgis'::regnamespace AND c.relkind = 'v'"""
            )
        ).all()
    assert len(told) == sum(len(layer.columns) for layer in LAYERS)
    for table, column, said in told:
        assert said == LAYER[table].columns[column]
        assert f"`{column}`" in manual, f"{table}.{column}"
    assert all(f"`{layer.name}`" in manual for layer in LAYERS)


def test_styles_are_qml_whose_classes_cover_the_layer(layers: Any) -> None:
    with layers.connect() as conn:
        rows = conn.execute(
            text(
                """SELECT f_table_name, styleqml::text AS qml FROM qgis.layer_styles
                   WHERE useasdefault AND f_table_schema = 'qgis' AND f_geometry_column = 'geom'
                     AND f_table_catalog = current_database()"""
            )
        ).all()
    assert {row.f_table_name for row in rows} == set(LAYER)
    for name, qml in rows:
        root = ElementTree.fromstring(qml)
        assert root.tag == "qgis" and root.get("version", "").startswith("3.")
        renderer = root.find("renderer-v2")
        assert renderer is not None and renderer.get("attr") in LAYER[name].columns
        classes = renderer.findall("ranges/range") or renderer.findall("categories/category")
        symbols = {symbol.get("name"): symbol for symbol in renderer.findall("symbols/symbol")}
        assert [each.get("symbol") for each in classes] == list(symbols)
        kind = "marker" if LAYER[name].geometry == "Point" else "fill"
        assert {symbol.get("type") for symbol in symbols.values()} == {kind}
        layer_class = {"marker": "SimpleMarker", "fill": "SimpleFill"}[kind]
        assert all(symbol.find("layer").get("class") == layer_class for symbol in symbols.values())
        values = read(layers, name)[renderer.get("attr")].dropna()
        if classes[0].tag == "category":
            assert set(values) <= {each.get("value") for each in classes}
        else:
            low, high = float(classes[0].get("lower")), float(classes[-1].get("upper"))
            assert values.between(low, high).all(), name


def test_limits_of_classes_ascend_and_cover_all_values() -> None:
    for values in ([], [1.0], [1.0] * 50, list(range(100)), [-2.0, 3.5], [0.0, 0.0]):
        limits = command.class_limits(np.array(values, dtype=float))
        assert limits == sorted(set(limits)) and 2 <= len(limits) <= 7
        assert all(limits[0] <= value <= limits[-1] for value in values)
    with pytest.raises(ValueError, match="ascending"):
        graduated("reports", [0, 2, 1], [Look("#ffffff")] * 2, "fill")


def test_layers_do_not_stand_in_the_way_of_a_migration(layers: Any) -> None:
    with layers.begin() as conn:
        schema._withdraw_layers(conn)
        conn.execute(text("ALTER TABLE report ALTER COLUMN quantity TYPE numeric"))
        conn.execute(text("ALTER TABLE report ALTER COLUMN quantity TYPE double precision"))
        assert qgis.set_up(conn).shapes == 0, "outlines are kept"
