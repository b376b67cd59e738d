"""Histories as sources tell them: order, what is known already, faults, and steps that cannot be."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cli import application
from data import actions, events
from data.impossible import impossible_steps, write_steps
from data.life import Action
from data.replay import standing_steps, state
from data.vocabulary import Flag, Status
from geo.errors import InputError
from ingest import histories
from ingest.histories import ingest_histories
from ingest.pipeline import ingest_reports

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
REPORTS = """reference,type,opened at,closed at,updated at,status,latitude,longitude,contractor
A1,Pothole,2026-03-01 08:00,2026-03-10 12:00,2026-03-10 12:00,closed,26.40,50.10,Firm 7
A2,Pothole,2026-03-02 08:00,,2026-03-04 09:00,assigned,26.41,50.11,Firm 7
A3,Graffiti,2026-03-03 08:00,,2026-03-03 08:00,received,26.42,50.12,
A4,Graffiti,2026-03-03 08:00,,,in progress,26.42,50.12,
A5,Graffiti,2026-03-05 08:00,,2026-03-05 09:00,duplicate,26.42,50.12,
"""


@pytest.fixture(scope="module")
def loaded(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("histories") / "city.csv"
    path.write_text(REPORTS, encoding="utf-8")
    done = ingest_reports(module_store.engine, path, territory="city", timezone="UTC", now=NOW)
    assert (done.accepted, done.quarantined) == (5, 0)
    return module_store


def _load(store: Any, folder: Path, name: str, rows: str, **more: Any) -> Any:
    path = folder / name
    path.write_text(rows, encoding="utf-8")
    return ingest_histories(store.engine, path, now=NOW, **more)


def _report(store: Any, reference: str) -> Any:
    with store.engine.connect() as conn:
        return conn.execute(
            text(
                """SELECT r.*, p.name_en AS does FROM report r LEFT JOIN party p ON p.id = r.contractor_id
                   WHERE reference = :r"""
            ),
            {"r": reference},
        ).one()


def _history(store: Any, reference: str) -> list[tuple[int, Action, Status, str | None]]:
    number = _report(store, reference).id
    with store.engine.connect() as conn:
        found = actions.steps(conn, number)
    return [(s.seq, s.action, s.status, f"{s.at:%m-%d %H:%M}" if s.at else None) for s in found[1:]]


def _then(store: Any, reference: str, month: int, day: int, hour: int = 12) -> Status:
    number = _report(store, reference).id
    with store.engine.connect() as conn:
        found = state(conn, number, dt.datetime(2026, month, day, hour, tzinfo=dt.UTC))
    assert found is not None
    return found.status


def test_steps_before_the_known_closing_are_put_in_order_and_every_moment_reads_right(
    loaded: Any, tmp_path: Path
) -> None:
    rows = (
        "رقم البلاغ,الحالة,الإجراء,تاريخ الإجراء,الدور,الجهة,السبب\n"
        "A1,مغلق,اعتماد,١٤٤٧/٠٩/٢١ 15:00,مراقب الجودة,,\n"  # 2026-03-10 in Hijri, with Arabic-Indic digits
        "A1,تمت المعالجة,,2026-03-06 09:00,مقاول,Firm 9,\n"
        "A1,مسند,إسناد,2026-03-02 09:00,مشرف,إدارة الطرق,\n"
    )
    first = _load(loaded, tmp_path, "h.csv", rows, timezone="Asia/Riyadh")
    assert (first.read, first.accepted, first.unchanged, first.quarantined) == (3, 3, 0, 0)
    assert not first.flags
    report = _report(loaded, "A1")
    assert (report.status, report.does) == (Status.CLOSED, "Firm 9")
    assert report.status_at == report.closed_at == dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
    assert _history(loaded, "A1")[1:] == [
        (2, Action.ASSIGN, Status.ASSIGNED, "03-02 06:00"),
        (3, Action.IMPORTED, Status.TREATED, "03-06 06:00"),
        (4, Action.PASS, Status.CLOSED, "03-10 12:00"),
    ]
    seen = [_then(loaded, "A1", 3, day) for day in (1, 3, 7, 11)]
    assert seen == [Status.RECEIVED, Status.ASSIGNED, Status.TREATED, Status.CLOSED]
    # The same file again, and a newer one that repeats it and adds a step in between.
    again = _load(loaded, tmp_path, "h.csv", rows, timezone="Asia/Riyadh")
    assert (again.accepted, again.unchanged) == (0, 3)
    more = _load(
        loaded, tmp_path, "i.csv", rows + "A1,,معاينة,2026-03-04 09:00,راصد,,\n", timezone="Asia/Riyadh"
    )
    assert (more.accepted, more.unchanged) == (1, 3)
    seen = [_then(loaded, "A1", 3, day) for day in (3, 5, 7, 11)]
    assert seen == [Status.ASSIGNED, Status.INSPECTED, Status.TREATED, Status.CLOSED]
    assert _load(loaded, tmp_path, "i.csv", rows, timezone="Asia/Riyadh").accepted == 0
    with loaded.engine.connect() as conn:
        assert events.check(conn) == []
        # What is told twice stands once, in order, with what the file says of it.
        standing = standing_steps(actions.steps(conn, report.id))
        assert [(step.status, step.detail.get("role")) for step in standing] == [
            (Status.RECEIVED, None), (Status.ASSIGNED, "supervisor"), (Status.INSPECTED, "inspector"),
            (Status.TREATED, "contractor"), (Status.CLOSED, "quality"),
        ]  # fmt: skip
        roles = conn.execute(
            text("SELECT DISTINCT detail->>'role' FROM report_event WHERE report_id = :r AND seq > 1"),
            {"r": report.id},
        ).scalars()
        assert set(roles) == {"supervisor", "contractor", "quality", "inspector"}


def test_a_step_after_the_last_moves_the_report_and_one_that_cannot_be_is_flagged_and_listed(
    loaded: Any, tmp_path: Path
) -> None:
    rows = (
        "report id,status,date\n"
        "A2,closed,2026-03-08 10:00\nA2,treated,2026-03-09 10:00\nA2,closed,2026-03-09 10:00\n"
        "A5,reopened,2026-03-07 10:00\n"
    )
    done = _load(loaded, tmp_path, "late.csv", rows, timezone="UTC")
    assert done.flags == {"impossible_sequence": 1}
    report = _report(loaded, "A2")
    assert (report.status, report.closed_at) == (Status.CLOSED, dt.datetime(2026, 3, 9, 10, tzinfo=dt.UTC))
    assert report.flags & Flag.IMPOSSIBLE_SEQUENCE
    assert _report(loaded, "A5").status == Status.REOPENED
    assert _report(loaded, "A5").closed_at is None
    with loaded.engine.connect() as conn:
        found = impossible_steps(conn, report.territory_id)
        assert [(s.reference, s.before, s.status, s.kind) for s in found] == [
            ("A2", Status.CLOSED, Status.TREATED, "order")
        ]
        assert write_steps(conn, tmp_path / "odd.csv", report.territory_id) == 1
        assert "A2" in (tmp_path / "odd.csv").read_text(encoding="utf-8-sig")
        assert events.check(conn) == []


def test_a_large_file_is_read_in_parts_and_gives_the_same(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Newest first, several reports, rows of one report apart.
    rows = "".join(
        f"A{n},{status},2026-05-{day:02d}\n"
        for day, status in ((9, "closed"), (9, "treated"), (8, "in progress"), (7, "reopened"))
        for n in (1, 5)
    )
    monkeypatch.setattr(histories, "PART_ROWS", 3)
    done = _load(loaded, tmp_path, "parts.csv", "reference,status,date\n" + rows, timezone="UTC")
    assert (done.read, done.accepted) == (8, 8)
    assert any("newest step first" in note for note in done.notes)
    for reference in ("A1", "A5"):
        assert _report(loaded, reference).status == Status.CLOSED
        assert [step[2] for step in _history(loaded, reference)[-4:]] == [
            Status.REOPENED, Status.IN_PROGRESS, Status.TREATED, Status.CLOSED,
        ]  # fmt: skip
    assert (
        _load(loaded, tmp_path, "parts.csv", "reference,status,date\n" + rows, timezone="UTC").accepted == 0
    )


def test_a_step_without_a_date_keeps_its_place_and_counts_from_its_recording(
    loaded: Any, tmp_path: Path
) -> None:
    rows = "reference,status,date,duplicate of\nA3,assigned,2026-03-04 10:00,\nA3,duplicate,,A1\n"
    done = _load(loaded, tmp_path, "undated.csv", rows, timezone="UTC")
    assert any("no date" in note for note in done.notes)
    report = _report(loaded, "A3")
    assert (report.status, report.status_at) == (Status.DUPLICATE, None)
    assert report.duplicate_of == _report(loaded, "A1").id
    assert _then(loaded, "A3", 5, 1) == Status.ASSIGNED  # the store learned of the rest only now
    # An undated status of the reports' own file gives way to a dated step that can follow it.
    _load(loaded, tmp_path, "dated.csv", "reference,status,date\nA4,closed,2026-03-06\n", timezone="UTC")
    assert _report(loaded, "A4").status == Status.CLOSED


def test_a_row_is_refused_with_all_its_faults_and_settled_when_it_comes_again(
    loaded: Any, tmp_path: Path
) -> None:
    rows = (
        "reference,status,date,name\n,assigned,2026-03-04,x\nZ9,gone,2027-03-04,x\nA4,assigned,32/13/2026,x\n"
    )
    done = _load(loaded, tmp_path, "bad.csv", rows, timezone="UTC")
    assert (done.read, done.accepted, done.quarantined) == (3, 0, 3)
    assert done.reasons == {
        "missing_reference": 1, "unknown_report": 1, "unknown_status": 1, "future_date": 1, "unreadable_date": 1,
    }  # fmt: skip
    # Who acted is not read, and stands in no quarantine.
    assert any("name people: name." in note for note in done.notes)
    with loaded.engine.connect() as conn:
        assert not conn.scalar(text("SELECT count(*) FROM quarantine WHERE row ? 'name'"))
    _load(loaded, tmp_path, "good.csv", "reference,status,date\nA4,assigned,2026-03-05\n", timezone="UTC")
    with loaded.engine.connect() as conn:
        waiting = conn.execute(text("SELECT reference FROM quarantine WHERE resolved_by IS NULL")).scalars()
        assert sorted(map(str, waiting)) == ["None", "Z9 @ 2027-03-04T00:00:00"]


def test_a_later_export_that_goes_back_from_the_end_is_flagged_too(loaded: Any, tmp_path: Path) -> None:
    path = tmp_path / "city.csv"
    path.write_text(
        "reference,type,opened at,updated at,status,latitude,longitude\n"
        "A1,Pothole,2026-03-01 08:00,2026-05-20 12:00,in progress,26.40,50.10\n",
        encoding="utf-8",
    )
    done = ingest_reports(loaded.engine, path, territory="city", timezone="UTC", now=NOW)
    assert done.updated == 1
    report = _report(loaded, "A1")
    assert (report.status, report.flags & Flag.IMPOSSIBLE_SEQUENCE) == (Status.IN_PROGRESS, 4096)
    with loaded.engine.connect() as conn:
        found = [s.reference for s in impossible_steps(conn, report.territory_id)]
    assert found == ["A1", "A2"]


def test_a_file_that_is_no_history_or_of_no_source_is_refused(loaded: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its status or step"):
        _load(loaded, tmp_path, "x.csv", "reference,place\nA1,here\n")
    with pytest.raises(InputError, match="Sources with reports"):
        _load(loaded, tmp_path, "x.csv", "reference,status\nA1,closed\n", source="nobody")


def test_the_commands_load_list_and_tell_histories(loaded: Any, tmp_path: Path) -> None:
    def run(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(application(words), [*words, "--json"], prog_name="./rasd")
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    path = tmp_path / "steps.csv"
    path.write_text("reference,status,date\nA4,treated,2026-03-05\n", encoding="utf-8")
    assert run("ingest", "histories", str(path), "--dry-run")["accepted"] == 1
    told = run("histories", "A5", "--at", "2026-05-07T12:00")
    assert (told["stood"], told["steps"][-1]["status"]) == ("reopened", "closed")
    assert not told["steps"][0]["detail"]
    odd = run("histories", "--impossible", "--export", str(tmp_path / "odd.xlsx"))
    assert odd["exported"] == len(odd["steps"]) == odd["reports"] > 0
    assert (tmp_path / "odd.xlsx").stat().st_size > 2_000
    shown = CliRunner().invoke(application(("histories",)), ["histories", "A5"], prog_name="./rasd").stdout
    assert "reopened" in shown
