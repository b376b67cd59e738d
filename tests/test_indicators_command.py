"""./rasd indicators, refresh and target: the page's numbers on the command line."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from cli import application
from data.analyses.indicators import Dimension, Indicator, indicators, month_query
from geo.errors import InputError
from tests.data.lives_sample import City, make_city


@pytest.fixture(scope="module")
def city(module_store: Any) -> City:
    with module_store.engine.begin() as conn:
        conn.execute(text("UPDATE territory SET data_version = 1"))
        return make_city(conn, rows=120)


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    application(arguments)(list(arguments), prog_name="./rasd", standalone_mode=False)
    said = capsys.readouterr().out
    return json.loads(said) if "--json" in arguments else said


def test_the_command_answers_as_the_function_does_and_writes_every_number(
    module_store: Any, city: City, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "april.xlsx"
    asked = (
        "indicators",
        "--territory",
        "east",
        "--month",
        "2025-04",
        "--by",
        "contractor",
        "--ground",
        "area",
    )
    told = ran(capsys, *asked, "--out", str(file), "--json")
    query = month_query(city.sample.territory, dt.date(2025, 4, 1), Dimension.CONTRACTOR)
    with module_store.engine.connect() as conn:
        found = indicators(conn, query)
    assert [row["key"] for row in told["rows"]] == [row.key for row in found.rows]
    for row, same in zip((told["whole"], *told["rows"]), (found.whole, *found.rows), strict=True):
        for reading in same.readings:
            assert row["readings"][str(reading.indicator)]["count"] == reading.count
    lines = list(openpyxl.load_workbook(file).active.values)  # type: ignore[union-attr]
    assert len(lines) == 1 + told["rows_written"] and lines[0][:2] == ("row", "whole")
    behind = ran(capsys, *asked, "--behind", "backlog", "--json")
    backlog = found.whole.reading(Indicator.BACKLOG)
    assert backlog is not None and len(behind["reports"]) == backlog.count
    shown = ran(capsys, "indicators", "--territory", "east", "--start", "2025-04-01", "--end", "2025-04-30")
    assert "as of 2025-04-30 21:00 UTC, simulated data" in shown


def test_targets_are_set_listed_and_ended(city: City, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--territory", "east")
    made = ran(capsys, "target", "set", "on_time", "0.8", "--from", "2025-01-01", *place, "--json")["target"]
    asked = ("indicators", *place, "--month", "2025-04", "--by", "group", "--json")
    assert ran(capsys, *asked)["whole"]["readings"]["on_time"]["target"] == 0.8
    ran(capsys, "target", "end", str(made), *place)
    listed = ran(capsys, "target", "list", *place, "--json")["targets"]
    assert [one["id"] for one in listed] == [made] and listed[0]["valid_to"] is not None
    with pytest.raises(InputError, match=r"80 % is 0\.8"):
        ran(capsys, "target", "set", "on_time", "80", *place)
    with pytest.raises(InputError, match="no indicator"):
        ran(capsys, *asked, "--behind", "luck")
    assert "as of" in ran(capsys, "refresh", *place, "--force")
