"""The demo's histories: they end as the sheet says, and what was planted is there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from data.histories import FOLLOWS
from data.vocabulary import Status
from geo.retelling import impossible
from geo.simulated_histories import STEPS, uniform
from geo.simulation import simulate
from ingest.demo import demo_scene
from ingest.demo_histories import COLUMNS, HistorySheet

END = dt.date(2025, 10, 31)
_LEADS = {
    "classify": Status.CLASSIFIED, "assign": Status.ASSIGNED, "inspect": Status.INSPECTED,
    "dispatch": Status.IN_PROGRESS, "treat": Status.TREATED, "submit": Status.QUALITY_REVIEW,
    "pass": Status.CLOSED, "fail": Status.IN_PROGRESS, "reject": Status.REJECTED,
    "duplicate": Status.DUPLICATE, "refer": Status.REFERRED, "answer": Status.CLOSED,
    "return": Status.CLASSIFIED, "enforce": Status.ENFORCEMENT, "settle": Status.CLOSED,
    "reopen": Status.REOPENED, "closed": Status.CLOSED,
}  # fmt: skip


def test_histories_end_as_the_sheet_says_whatever_the_chunk_and_hold_what_was_planted() -> None:
    demo, scene = demo_scene(12_000, 5, 24, END)
    sheet = HistorySheet(demo, 5)
    chunks = list(simulate(scene, 12_000))
    whole = pl.concat([sheet.frame(chunk) for chunk in chunks])
    other = HistorySheet(demo, 5)
    assert whole.equals(pl.concat([other.frame(chunk) for chunk in simulate(scene, 3_700)]))
    # The last step of each report has the date of the sheet's last change.
    reports = pl.concat([sheet.portal.frame(chunk) for chunk in chunks]).unique(COLUMNS[0], keep="first")
    last = whole.group_by(COLUMNS[0], maintain_order=True).last().join(reports, on=COLUMNS[0])
    assert last.height == sheet.tally.reports > 11_000
    assert (last["تاريخ الإجراء"] == last["تاريخ اخر تحديث"]).all()
    # Every step can follow the one before, but for those that were planted.
    words = dict(zip(sheet.words.to_list(), STEPS, strict=True))
    status = np.array([int(_LEADS[words[said]]) for said in whole["الإجراء"].to_list()])
    report = whole[COLUMNS[0]].rank("dense").to_numpy().astype(np.int64)
    order = np.argsort(report, kind="stable")
    odd = impossible(report[order], status[order], FOLLOWS)
    assert int(odd.sum()) == sheet.tally.impossible
    truth = sheet.truth()
    worse = truth["checks_failed"]["worse"]
    hits, of = sum(one["hits"] for one in worse), sum(one["of"] for one in worse)
    usual = (truth["checks_failed"]["hits"] - hits) / (truth["checks_failed"]["of"] - of)
    assert 0.2 < hits / of < 0.34 and 0.06 < usual < 0.1
    assert truth["steps"]["reopen"] == whole.filter(pl.col("الإجراء") == "إعادة فتح").height > 100


def test_draws_of_reports_are_even_and_independent_of_each_other() -> None:
    numbers = np.arange(1, 20_001)
    draws = np.stack([uniform(940, numbers, key) for key in range(4)])
    assert draws.min() >= 0 and draws.max() < 1
    assert np.abs(draws.mean(axis=1) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.03
    assert np.abs(np.corrcoef(draws[:, 1:], draws[:, :-1])[:4, 4:]).max() < 0.03
    assert not np.array_equal(draws[0], uniform(941, numbers, 0))


def test_the_histories_go_into_the_folder_with_the_truth(tmp_path: Path) -> None:
    from ingest import demo

    files = demo.write_files(tmp_path, reports=1_000, end=END, format="csv.gz")
    assert files.histories.name == "simulated_histories.csv.gz"
    assert pl.read_csv(files.histories).columns == list(COLUMNS)
    assert '"closings_reopened"' in files.truth.read_text(encoding="utf-8")
