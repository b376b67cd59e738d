"""Refused rows: counted by reason, and exported so that they can be corrected."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from sqlalchemy import Connection, insert

from data import quarantine
from data.models import Batch, Quarantine, Source, Territory
from data.quarantine import ReasonCount
from geo.errors import InputError

HEADER = ["رقم", "zeta", "alpha", "lon"]


def _fill(conn: Connection) -> tuple[int, int]:
    """Two batches of one file; three rows wait, one is settled."""
    territory = conn.scalar(
        insert(Territory).values(code="t", name_ar="ت", name_en="t").returning(Territory.id)
    )
    source = conn.scalar(
        insert(Source).values(territory_id=territory, code="s", title="S").returning(Source.id)
    )
    first, second = (
        conn.scalar(
            insert(Batch)
            .values(
                territory_id=territory, source_id=source, profile="p", file_name=name, file_digest="d",
                started_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC), columns=header,
            )
            .returning(Batch.id)
        )
        for name, header in (("one.csv", HEADER), ("two.csv", [*HEADER, "late"]))
    )  # fmt: skip
    faults = [
        {"code": "date_unreadable", "column": "zeta", "value": "x", "proposal": "1 May 2025"},
        {"code": "outside", "column": None, "value": None, "proposal": None},
    ]
    row = {"alpha": "=1+1", "lon": "-49.97", "zeta": "x", "رقم": "007"}
    both = ["date_unreadable", "outside"]
    entries: list[dict[str, Any]] = [
        {"batch_id": first, "line": 9, "reasons": both, "details": faults, "row": row},
        {"batch_id": first, "line": 4, "reasons": ["outside"], "details": faults[1:], "row": {"zeta": None}},
        {"batch_id": second, "line": 2, "reasons": ["columns"], "details": [], "row": {"_text": "a;b;\tc"}},
        {
            "batch_id": first, "line": 5, "reasons": ["outside"], "details": [], "row": row,
            "resolved_by": second,
        },
    ]  # fmt: skip
    for digest, entry in enumerate(entries):
        conn.execute(insert(Quarantine).values(digest=digest, **entry))
    return int(first), int(second)


def test_a_row_counts_once_for_each_of_its_reasons(store: Any) -> None:
    with store.engine.begin() as conn:
        first, _ = _fill(conn)
        assert quarantine.reasons(conn) == [
            ReasonCount("outside", 2),
            ReasonCount("columns", 1),
            ReasonCount("date_unreadable", 1),
        ]
        assert ReasonCount("outside", 3) in quarantine.reasons(conn, open_only=False)
        assert {count.code for count in quarantine.reasons(conn, batch_id=first)} == {
            "outside",
            "date_unreadable",
        }


def test_rows_come_whole_with_all_reasons_newest_batch_first(store: Any) -> None:
    with store.engine.begin() as conn:
        first, second = _fill(conn)
        found = quarantine.rows(conn)
        assert [(row.batch_id, row.line) for row in found] == [(second, 2), (first, 4), (first, 9)]
        assert found[2].reasons == ("date_unreadable", "outside")
        assert found[2].row["alpha"] == "=1+1"
        assert found[2].details[0]["proposal"] == "1 May 2025"
        assert [row.line for row in quarantine.rows(conn, batch_id=first, open_only=False)] == [4, 5, 9]
        assert len(quarantine.rows(conn, limit=1)) == 1
        assert json.loads(json.dumps([row.to_dict() for row in found]))[0]["file_name"] == "two.csv"


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_export_begins_with_the_files_own_columns_in_their_order(
    store: Any, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"faults.{ending}"
    with store.engine.begin() as conn:
        first, _ = _fill(conn)
        assert quarantine.export(conn, path, batch_id=first) == 2
    found = (
        pd.read_csv(path, dtype=str) if ending == "csv" else pd.read_excel(path, dtype=str, engine="calamine")
    )
    assert found.columns.tolist() == [
        *HEADER, "_line", "_reasons", "_proposals", "_batch", "_file", "_text",
    ]  # fmt: skip
    assert found["_line"].tolist() == ["4", "9"]
    last = found.iloc[1]
    assert (last["رقم"], last["lon"], last["zeta"]) == ("007", "-49.97", "x")
    assert last["_reasons"] == "date_unreadable; outside"
    assert last["_proposals"] == "zeta: 1 May 2025"
    assert last["_file"] == "one.csv"


def test_xlsx_brings_every_value_back_unchanged_and_runs_none(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "faults.xlsx"
    with store.engine.begin() as conn:
        _fill(conn)
        assert quarantine.export(conn, path) == 3
    sheet = openpyxl.load_workbook(path).active
    cells = {str(cell.value): cell.data_type for row in sheet.iter_rows() for cell in row}
    assert cells["=1+1"] == cells["-49.97"] == cells["007"] == "s"
    assert "f" not in cells.values()


def test_csv_disarms_formulas_and_leaves_numbers(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    with store.engine.begin() as conn:
        _fill(conn)
        quarantine.export(conn, path)
    found = pd.read_csv(path, dtype=str)
    assert "'=1+1" in found["alpha"].tolist()
    assert "-49.97" in found["lon"].tolist()
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_line_that_could_not_be_taken_apart_is_exported_whole(store: Any, tmp_path: Path) -> None:
    with store.engine.begin() as conn:
        _, second = _fill(conn)
        quarantine.export(conn, tmp_path / "f.csv", batch_id=second)
    assert pd.read_csv(tmp_path / "f.csv")["_text"].tolist() == ["a;b;\tc"]


def test_many_rows_are_exported_in_parts_without_losing_any(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_CHUNK", 1)
    with store.engine.begin() as conn:
        _fill(conn)
        assert quarantine.export(conn, tmp_path / "f.csv", open_only=False) == 4
    assert pd.read_csv(tmp_path / "f.csv")["_line"].tolist() == [4, 5, 9, 2]


def test_nothing_refused_gives_a_file_with_a_header(store: Any, tmp_path: Path) -> None:
    with store.engine.begin() as conn:
        assert quarantine.export(conn, tmp_path / "f.csv") == 0
        assert quarantine.reasons(conn) == quarantine.rows(conn) == []
    assert pd.read_csv(tmp_path / "f.csv").columns[0] == "_line"


def test_another_ending_or_a_missing_folder_is_refused(store: Any, tmp_path: Path) -> None:
    with store.engine.begin() as conn:
        with pytest.raises(InputError, match=r"\.csv or \.xlsx"):
            quarantine.export(conn, tmp_path / "f.pdf")
        with pytest.raises(InputError, match="folder does not exist"):
            quarantine.export(conn, tmp_path / "no" / "f.csv")
