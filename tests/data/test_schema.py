"""The migrations build exactly the models, from empty and back."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from geoalchemy2 import alembic_helpers
from sqlalchemy import inspect, text

from data import reference, schema
from data.models import Base
from geo.errors import StoreError


def _ours(obj: Any, name: str, kind: str, reflected: bool, compare_to: Any) -> bool:
    if kind == "table" and name == "spatial_ref_sys":
        return False
    return bool(alembic_helpers.include_object(obj, name, kind, reflected, compare_to))


def test_autogenerate_finds_no_difference(store: Any) -> None:
    with store.engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"include_object": _ours, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_from_empty_and_downgrade_leave_nothing_behind(empty_database: Any) -> None:
    schema.upgrade(empty_database.engine)
    names = set(inspect(empty_database.engine).get_table_names())
    assert set(Base.metadata.tables) <= names
    schema.downgrade(empty_database.engine)
    left = set(inspect(empty_database.engine).get_table_names())
    assert left == {"alembic_version", "spatial_ref_sys"}
    schema.upgrade(empty_database.engine)


def test_every_geometry_column_is_typed_and_indexed(store: Any) -> None:
    with store.engine.connect() as conn:
        columns = conn.execute(
            text("SELECT f_table_name, f_geometry_column, srid, type FROM geometry_columns")
        ).all()
        indexed = conn.execute(
            text("SELECT tablename || '.' || indexdef FROM pg_indexes WHERE indexdef LIKE '%gist%'")
        ).scalars()
        definitions = list(indexed)
    assert len(columns) == 6
    for table, column, srid, kind in columns:
        assert srid == 4326 and kind in {"POINT", "LINESTRING", "MULTIPOLYGON"}
        assert any(d.startswith(f"{table}.") and f"({column})" in d for d in definitions), (table, column)


def test_the_reference_tables_hold_what_the_files_hold(store: Any) -> None:
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM element")) == 43
        assert conn.scalar(text("SELECT count(DISTINCT group_code) FROM element")) == 5
        for kind, name in (
            ("amana", "amanat.csv"),
            ("governorate", "governorates.csv"),
            ("municipality", "municipalities.csv"),
            ("neighbourhood", "neighbourhoods.csv"),
        ):
            with (reference.FOLDER / name).open(encoding="utf-8-sig", newline="") as file:
                rows = len(list(csv.DictReader(file)))
            found = conn.scalar(text("SELECT count(*) FROM gazetteer WHERE kind = :kind"), {"kind": kind})
            assert found == rows, kind


def test_loading_the_reference_tables_again_changes_nothing(store: Any) -> None:
    with store.engine.begin() as conn:
        before = conn.execute(text("SELECT id, code, name_ar FROM element ORDER BY id")).all()
        assert reference.load(conn) is False
        conn.execute(text("DELETE FROM store_note"))
        assert reference.load(conn) is True
        assert conn.execute(text("SELECT id, code, name_ar FROM element ORDER BY id")).all() == before


def test_a_store_of_a_newer_version_is_refused_with_a_remedy(store: Any) -> None:
    with store.engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Rasd"):
        schema.upgrade(store.engine)
    with store.engine.connect() as conn, pytest.raises(StoreError, match=r"\./rasd up"):
        schema.require_current(conn)
