"""The command line: help with an example everywhere, JSON for machines, honest exit codes."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import text
from typer.testing import CliRunner

from cli import application, main
from commands import MODULES
from data import schema
from tests.ingest.bad_inputs import COMPANIONS, GOOD, OPENED, sheet

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    ("up",), ("down",), ("status",), ("demo",), ("ingest", "reports"), ("ingest", "areas"), ("ingest", "exposure"), ("exposure",), ("density",),
    ("quarantine",), ("export",), ("hotspots",), ("trends",), ("forecast",), ("backtest",), ("scan",),
    ("incidents",),
]  # fmt: skip


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed, in a process of its own."""
    return subprocess.run(
        [sys.executable, "cli.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def rasd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same entry point in this process: the libraries behind a command load once."""
    said, complained = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        patch.setattr(sys, "argv", ["./rasd", *arguments])
        code = main()
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


def answer(*arguments: str) -> dict[str, Any]:
    done = rasd(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(application(), [*command, "--help"], prog_name="./rasd").stdout
    assert f"Example: ./rasd {' '.join(command)}" in shown
    assert "--json" in shown


def test_a_command_alone_is_the_same_as_among_all() -> None:
    known = {name for names in MODULES.values() for name in names}
    for module, names in MODULES.items():
        app = typer.Typer()
        importlib.import_module(f"commands.{module}").register(app)
        own = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
        assert own | {str(group.name) for group in app.registered_groups} == set(names)
    shown = process("--help").stdout
    assert all(name in shown for name in known)
    assert "Usage: ./rasd hotspots" in process("hotspots", "--help").stdout  # a lone command keeps its name


@pytest.fixture(scope="module")
def loaded(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("portal") / "portal.csv"
    path.write_text(
        sheet(*COMPANIONS, GOOD, GOOD | {"رقم البلاغ المجمع": "7", OPENED: "soon"}), encoding="utf-8"
    )
    return answer("ingest", "reports", str(path), "--territory", "test")


def test_an_ingest_prints_one_object_with_counts_that_add_up(loaded: dict[str, Any]) -> None:
    keys = [
        "batch",
        "profile",
        "read",
        "accepted",
        "updated",
        "unchanged",
        "quarantined",
        "located",
        "seconds",
    ]
    assert set(keys) <= set(loaded)
    assert loaded["profile"] == "portal_ar"
    assert (loaded["read"], loaded["accepted"], loaded["quarantined"]) == (7, 6, 1)


def test_status_shows_version_counts_by_status_and_area_level_and_batches(loaded: dict[str, Any]) -> None:
    found = answer("status")
    assert found["schema_version"] == schema.head()
    assert found["reports_by_status"]["closed"] == 6
    assert set(found["areas_by_level"]) >= {"municipality", "district"}
    assert found["batches"][0]["id"] == loaded["batch"]
    assert "territory" in rasd("status").stdout


def test_quarantine_lists_by_reason_and_exports(loaded: dict[str, Any], tmp_path: Path) -> None:
    found = answer("quarantine")
    assert found["reasons"] == {"unreadable_date": 1}
    assert found["rows"][0]["line"] == 8
    for name in ("faults.csv", "faults.xlsx"):
        assert answer("quarantine", "--export", str(tmp_path / name))["exported"] == 1
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("suffix", ["csv", "geojson", "gpkg", "parquet", "xlsx"])
def test_reports_and_cells_are_exported(suffix: str, loaded: dict[str, Any], tmp_path: Path) -> None:
    reports = answer("export", str(tmp_path / f"reports.{suffix}"), "--territory", "test")
    assert reports["rows"] == 6
    if suffix != "xlsx":
        answer("export", str(tmp_path / f"cells.{suffix}"), "--territory", "test", "--what", "cells")
        assert (tmp_path / f"cells.{suffix}").stat().st_size > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest", "reports", "nowhere.csv"),
        ("ingest", "areas", "nowhere.gpkg", "--level", "district"),
        ("export", "x.csv", "--territory", "nowhere"),
        ("export", "x.doc", "--territory", "test"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_sentence_and_a_code_that_is_not_zero(
    arguments: tuple[str, ...], loaded: dict[str, Any]
) -> None:
    done = (process if arguments[0] == "ingest" else rasd)(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("rasd: ") and "Traceback" not in done.stderr
    as_json = rasd(*arguments, "--json")
    assert as_json.returncode == 1
    assert "error" in json.loads(as_json.stdout)


def test_down_refuses_to_stop_a_server_that_is_not_ours(store: Any) -> None:
    done = rasd("down")
    assert done.returncode == 1 and "DATABASE_URL" in done.stderr


def test_a_dry_run_shows_the_mapping_and_the_first_faults(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "portal.csv"
    path.write_text(sheet(*COMPANIONS, GOOD | {OPENED: "soon"}), encoding="utf-8")
    shown = rasd("ingest", "reports", str(path), "--dry-run", "--territory", "test").stdout
    assert "nothing was written" in shown and "opened_at" in shown and "unreadable_date" in shown
    with store.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM batch")) == 0
