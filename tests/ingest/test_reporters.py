"""Who sent a report: a keyed digest stays, the value itself is nowhere in the store."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from data.reporters import has_reporters, reporter_digest, reporter_secret
from geo.errors import ProfileError
from ingest.pipeline import ingest_reports
from ingest.profile import detect, load_profile

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
PHONE, OTHER = "0551234567", "0559876543"
HEADER = "case id,created date,type,longitude,latitude,phone number,status\n"


def lines(*phones: str, bad: bool = False) -> str:
    rows = [
        f"{i},2025-03-{i % 27 + 1:02d},Waste,50.1,26.4,{phone},closed\n" for i, phone in enumerate(phones, 1)
    ]
    if bad:  # a date that cannot be read: the row goes to the quarantine, whole
        rows.append(f"999,not a date,Waste,50.1,26.4,{PHONE},closed\n")
    return HEADER + "".join(rows)


def load(store: Any, path: Path, content: str, **options: Any) -> Any:
    path.write_text(content, encoding="utf-8")
    return ingest_reports(store.engine, path, territory="test", now=NOW, **options)


def reporters(store: Any) -> list[int | None]:
    with store.engine.connect() as conn:
        return list(conn.execute(text("SELECT reporter FROM report ORDER BY line")).scalars())


def everything(store: Any) -> str:
    """Every row of every table, as text."""
    with store.engine.connect() as conn:
        tables = conn.execute(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'spatial_ref_sys'"
            )
        ).scalars()
        return "\n".join(
            str(row)
            for table in tables
            for row in conn.execute(text(f"SELECT t::text FROM {table} t")).scalars()
        )


def test_one_sender_has_one_number_and_the_value_is_nowhere_in_the_store(store: Any, tmp_path: Path) -> None:
    result = load(
        store,
        tmp_path / "a.csv",
        lines(PHONE, OTHER, f" {PHONE} ", "٠٥٥١٢٣٤٥٦٧", "", "N/A", "0000000000", bad=True),
    )
    assert (result.accepted, result.quarantined) == (7, 1)
    assert result.mapping["reporter"] == "phone number"
    assert result.dropped_personal == ["phone number"]
    first, second, spaced, arabic, *unknown = reporters(store)
    assert first == spaced == arabic != second
    assert None not in (first, second)
    assert unknown == [None, None, None]
    held = everything(store)
    assert "Waste" in held
    for value in (PHONE, OTHER, "٠٥٥١٢٣٤٥٦٧"):
        assert value not in held


def test_the_number_is_keyed_and_differs_between_stores(server: Any, tmp_path: Path) -> None:
    numbers, keys = [], []
    for name in ("a", "b"):
        with server.database() as store:
            load(store, tmp_path / f"{name}.csv", lines(PHONE))
            numbers += reporters(store)
            with store.engine.connect() as conn:
                keys.append(reporter_secret(conn))
    assert len(set(numbers)) == len(set(keys)) == 2
    assert [reporter_digest(PHONE, key) for key in keys] == numbers
    plain = hashlib.blake2b(PHONE.encode(), digest_size=8).digest()
    assert int.from_bytes(plain, "little", signed=True) not in numbers
    assert all(len(key) == 32 for key in keys)


def test_a_column_that_is_no_known_personal_one_is_dropped_when_it_names_the_sender(
    store: Any, tmp_path: Path
) -> None:
    content = lines("walker-17", "walker-17").replace("phone number", "requester id")
    result = load(store, tmp_path / "a.csv", content)
    assert result.dropped_personal == ["requester id"]
    assert len(set(reporters(store))) == 1
    assert "walker-17" not in everything(store)


def test_a_changed_report_takes_its_new_sender_and_the_same_file_changes_nothing(
    store: Any, tmp_path: Path
) -> None:
    load(store, tmp_path / "a.csv", lines(PHONE))
    (before,) = reporters(store)
    assert load(store, tmp_path / "b.csv", lines(PHONE)).unchanged == 1
    changed = lines(OTHER).replace("closed", "open")
    assert load(store, tmp_path / "c.csv", changed).updated == 1
    (after,) = reporters(store)
    assert before != after


def test_a_file_without_such_a_column_draws_no_key(store: Any, tmp_path: Path) -> None:
    load(store, tmp_path / "a.csv", lines(PHONE).replace("phone number", "colour"))
    assert reporters(store) == [None]
    with store.engine.connect() as conn:
        assert not has_reporters(conn)


def test_a_dry_run_draws_no_key_either(store: Any, tmp_path: Path) -> None:
    load(store, tmp_path / "a.csv", lines(PHONE), dry_run=True)
    with store.engine.connect() as conn:
        assert not has_reporters(conn)


def test_the_raw_value_stays_only_when_it_is_asked_for(store: Any, tmp_path: Path) -> None:
    load(store, tmp_path / "a.csv", lines(PHONE), keep_personal=True)
    assert PHONE in everything(store)


def test_a_sender_may_not_be_part_of_a_reports_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntitle: {ar: لي, en: Mine}\nsource: mine\n"
        "columns: {opened_at: [day], type: [kind], reporter: [who]}\nidentity: [type, reporter]\n"
    )
    with pytest.raises(ProfileError, match="identity must not use reporter"):
        load_profile(path)


def test_a_digest_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        reporter_digest(PHONE, b"")


def test_names_are_no_senders() -> None:
    found = detect(["case id", "created date", "type", "reporter name", "اسم المبلغ"], "csv")
    assert "reporter" not in found.mapping
