"""./rasd routing: rules, queue, misrouting, owners and packages from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli import application
from geo.errors import InputError
from ingest.pipeline import ingest_reports
from tests.data.reports_sample import make_sample


def rasd(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(application(), ["routing", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def place(module_store: Any) -> str:
    with module_store.engine.begin() as conn:
        make_sample(conn, rows=60)
    return "east"


def test_rules_are_loaded_tried_out_added_and_ended(place: str) -> None:
    assert rasd("defaults", "--territory", place, "--from", "2024-01-01")["added"] == 44
    assert len(rasd("list", "--territory", place)["rules"]) == 44
    new = ("add", "--territory", place, "--party", "water", "--element", "R07", "--due-hours", "48")
    tried = rasd(*new, "--dry-run")
    assert tried["rule"] is None and len(rasd("list", "--territory", place)["rules"]) == 44
    added = rasd(*new, "--area", "municipality 1")
    assert added["rule"] > 44
    assert rasd("end", str(added["rule"]), "--territory", place)["ended"] is True
    assert len(rasd("list", "--territory", place, "--ended")["rules"]) == 45
    with pytest.raises(InputError, match="not the name or code of one area"):
        rasd(*new, "--area", "nowhere")


def test_what_waits_what_went_wrong_and_who_owns_it_are_told(place: str, tmp_path: Path) -> None:
    rasd("defaults", "--territory", place, "--from", "2024-01-01")
    said = rasd("party", "odd", "--kind", "entity", "--ar", "غريب", "--en", "Odd", "--territory", place)
    assert (said["code"], said["wordings"]) == ("odd", [])
    assert "odd" in [p["code"] for p in rasd("parties", "--kind", "entity", "--territory", place)["parties"]]
    assert rasd("queue", "--territory", place)["reports"] >= 0
    assert rasd("misrouted", "--territory", place, "--from", "2025-01-01")["total"]["misrouted"] == 0
    assert rasd("entities", "--territory", place)["owners"] == []
    made = rasd("handover", "--entity", "water", "--out", str(tmp_path / "out"), "--territory", place)
    assert [Path(file).suffix for file in made["files"]] == [".geojson", ".xlsx"]
    assert all(Path(file).stat().st_size for file in made["files"])
    works = tmp_path / "works.csv"
    works.write_text("party,month,km\nwater,2025-03,3\n")
    assert rasd("works", str(works), "--territory", place)["rows"] == 1


def test_an_owner_decided_here_stays_until_the_source_names_another(
    module_store: Any, tmp_path: Path
) -> None:
    path = tmp_path / "export.csv"

    def load(status: str, agency: str) -> Any:
        path.write_text(
            "Service Request ID,Type,Created Date,Status,Latitude,Longitude,Agency\n"
            f"A1,Pothole,2025-01-02 10:00,{status},26.42,50.09,{agency}\n"
        )
        ingest_reports(module_store.engine, path, territory="west")
        with module_store.engine.connect() as conn:
            return conn.execute(
                text(
                    """SELECT r.id, p.name_en, r.agency FROM report r LEFT JOIN party p ON p.id = r.agency_id
                       WHERE r.reference = 'A1'"""
                )
            ).one()

    first = load("Open", "Works Dept")
    assert first.name_en == first.agency == "Works Dept"
    with module_store.engine.begin() as conn:
        conn.execute(
            text(
                """UPDATE report SET agency_id = (SELECT max(id) FROM party WHERE name_en <> 'Works Dept')
                   WHERE id = :id"""
            ),
            {"id": first.id},
        )
    assert load("Closed", "Works Dept").name_en != "Works Dept"
    assert load("Closed", "Parks Dept").name_en == "Parks Dept"
