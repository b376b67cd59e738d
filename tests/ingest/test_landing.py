"""Landed rows come back exactly as they were, whatever they hold."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ingest.landing import blocks, json_bodies, row_digest, row_digests

CELLS = st.lists(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=3, max_size=3
)
COLUMNS = ["a", "b", "c"]


def _frame(rows: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


@given(st.lists(CELLS, min_size=1, max_size=5))
def test_rows_survive_the_way_through_json(rows: list[list[str]]) -> None:
    bodies = json_bodies(_frame(rows), COLUMNS)
    assert [json.loads(f'["{body}"]') for body in bodies] == rows


def test_rows_without_anything_to_escape_are_joined_as_they_are() -> None:
    assert json_bodies(_frame([["a", "", "حفر"]]), COLUMNS).to_list() == ['a","","حفر']


def test_a_nul_becomes_its_symbol_because_jsonb_cannot_hold_it() -> None:
    assert json_bodies(_frame([["a\x00b", "", "c"]]), COLUMNS).to_list() == ['a␀b","","c']


def test_cells_that_look_like_two_cells_have_a_digest_of_their_own() -> None:
    bodies = json_bodies(_frame([['x","y', "z", ""], ["x", 'y","z', ""], ["x", "y", "z"]]), COLUMNS)
    assert row_digests(bodies, 7).n_unique() == 3


def test_a_digest_depends_on_the_row_and_the_salt_only() -> None:
    bodies = pl.Series(["first", "zweite", "ثالث"])
    digests = row_digests(bodies, 5).to_list()
    assert digests == [row_digest(body, 5) for body in bodies]
    assert row_digests(bodies[1:], 5).to_list() == digests[1:]
    assert row_digests(bodies, 6).to_list() != digests
    assert row_digests(bodies[:0], 5).len() == 0


def test_blocks_keep_every_row_with_its_line() -> None:
    lines = pl.Series(range(2, 602), dtype=pl.Int32)
    found = blocks(7, lines, pl.Series([str(i) for i in lines]))
    assert found["lines"].list.len().to_list() == [256, 256, 88]
    assert found["first_line"].to_list() == [2, 258, 514]
    assert found["last_line"].to_list() == [257, 513, 601]
    assert [row[0] for text in found["rows"] for row in json.loads(text)] == [str(i) for i in lines]
