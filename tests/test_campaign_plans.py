"""./rasd campaign save, list, show, status, again, effect, and ./rasd ingest visits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import application
from data.plan import from_json
from tests.data.plan_sample import small_plan
from tests.data.reports_sample import make_sample


@pytest.fixture(scope="module")
def plan_file(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with module_store.engine.begin() as conn:
        make_sample(conn, rows=60)
    path = tmp_path_factory.mktemp("plans") / "plan.json"
    path.write_text(small_plan("east").to_json(), encoding="utf-8")
    return path


def _run(*words: str) -> Any:
    result = CliRunner().invoke(application(), ["campaign", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout) if "--json" in words else result.stdout


def test_a_plan_is_saved_shown_and_taken_through_its_steps(plan_file: Path, tmp_path: Path) -> None:
    saved = _run("save", str(plan_file), "--title", "Summer [round]", "--json")
    number = str(saved["id"])
    assert (saved["version"], saved["changed"], saved["status"]) == (1, True, "proposed")
    again = _run("save", str(plan_file), "--title", "Summer [round]", "--campaign", number)
    assert "unchanged" in again
    assert _run("status", number, "approved", "--note", "by the director", "--json")["next_steps"] == [
        "running",
        "withdrawn",
    ]
    assert "is running now" in _run("status", number, "running")
    visits = tmp_path / "visits.csv"
    visits.write_text(
        f"campaign,site,team,date,found\n{number},r11,N,2025-07-02,yes\n{number},r99,N,2025-07-02,no\n"
    )
    result = CliRunner().invoke(application(), ["ingest", "visits", str(visits)])
    assert result.exit_code == 0 and "accepted 1" in result.stdout and "unknown_site" in result.stdout
    shown = _run("show", number, "--json", "--out", str(tmp_path / "out.json"))
    assert [event["status"] for event in shown["events"]] == ["proposed", "approved", "running"]
    assert shown["hit_rates"][0]["found"] == 1
    assert from_json((tmp_path / "out.json").read_bytes()) == small_plan("east")
    assert "Summer [round]" in _run("show", number)
    [row] = _run("list", "--json")["campaigns"]
    assert (row["visits"], row["found"], row["status"]) == (1, 1, "running")
    assert "running" in _run("list")


def test_what_cannot_be_done_is_said_without_a_traceback(plan_file: Path, tmp_path: Path) -> None:
    number = str(_run("save", str(plan_file), "--title", "B", "--json")["id"])
    for words, message in (
        (["show", "999"], "no saved campaign 999"),
        (["status", number, "done"], "what may follow is approved, withdrawn"),
        (["save", str(tmp_path / "none.json"), "--title", "C"], "cannot be read"),
        (["effect", number], "no whole period of 30 days"),
        (["show", number, "--out", str(tmp_path / "none" / "plan.json")], "cannot be written"),
    ):
        result = CliRunner().invoke(application(), ["campaign", *words])
        assert result.exit_code != 0 and message in str(result.exception or result.output), words
