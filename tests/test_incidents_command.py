"""./rasd incidents: finds what is old, says what there is, writes files that open elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import application
from tests.data.incident_city import City


def rasd(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(application(), [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.fixture
def city(store: Any) -> City:
    """A hole that comes back twice, and 30 things that are reported twice each."""
    with store.engine.begin() as conn:
        made = City.made(conn)
        for day, closed in ((0, 4), (6, 10), (30, 33)):
            made.add(day, closed=closed)
        for i in range(30):
            made.add(0.1 * i, north=2000 + 300 * i, element="L05")
            made.add(5 + 0.1 * i, north=2000 + 300 * i, element="L05")
    return made


def test_incidents_are_found_once_and_then_current(city: City) -> None:
    found = rasd("incidents", "--refresh")
    assert found["run"]["reports"] == 63 and found["run"]["incidents"] == 33 and found["run"]["changed"]
    assert rasd("incidents", "--refresh")["run"]["changed"] == 0
    said = CliRunner().invoke(application(), ["incidents", "--refresh"], catch_exceptions=False).stdout
    assert "33 incidents of 63 reports were current already" in said


def test_each_of_the_three_answers_can_be_written(city: City, tmp_path: Path) -> None:
    everything = rasd("incidents", "--out", str(tmp_path / "incidents.parquet"))
    assert (everything["incidents"], everything["reports"], everything["rows"]) == (33, 63, 33)
    assert gpd.read_parquet(tmp_path / "incidents.parquet")["reports"].sum() == 63
    rasd("incidents", "--out", str(tmp_path / "incidents.geojson"))
    read = json.loads((tmp_path / "incidents.geojson").read_text())["features"]
    assert read[0]["properties"]["first_at"] == "2025-01-01T09:00:00+00:00"
    assert {feature["properties"]["closed_at"] is None for feature in read} == {True, False}

    spots = rasd("incidents", "--what", "chronic", "--out", str(tmp_path / "spots.geojson"))
    assert (spots["chronic_spots"], spots["recurrences"], spots["rows"]) == (1, 2, 1)
    assert gpd.read_file(tmp_path / "spots.geojson")["recurrences"].tolist() == [2]
    cells = rasd(
        "incidents", "--what", "chronic", "--rows", "cells", "--resolution", "8",
        "--out", str(tmp_path / "cells.csv"),
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "cells.csv")["incidents"].sum() == 33 and cells["resolution"] == 8

    rates = rasd("incidents", "--what", "reporting", "--out", str(tmp_path / "rates.xlsx"))
    assert rates["identified"] and rates["further"] == 30 and rates["level"] == "cell"
    assert len(pd.read_excel(tmp_path / "rates.xlsx", engine="openpyxl")) == rates["rows"] == rates["areas"]


def test_an_element_narrows_the_answer(city: City) -> None:
    assert rasd("incidents", "--element", "L05")["incidents"] == 30
    assert rasd("incidents", "--what", "chronic", "--element", "L05")["chronic_spots"] == 0


@pytest.mark.parametrize("what", ["incidents", "chronic", "reporting"])
def test_people_get_sentences(city: City, what: str) -> None:
    done = CliRunner().invoke(application(), ["incidents", "--what", what], catch_exceptions=False)
    assert done.exit_code == 0
    expected = {
        "incidents": "63 reports with a point speak of 33 incidents",
        "chronic": "1 places with at least 2 returns",
        "reporting": "further reports",
    }
    assert expected[what] in " ".join(done.stdout.split())
