"""Landed rows come back exactly as they were, whatever they hold."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ingest.landing import SEPARATOR, blocks, json_arrays

CELLS = st.lists(
    st.text(st.characters(exclude_characters=SEPARATOR + "\x00", exclude_categories=["Cs"])),
    min_size=2,
    max_size=4,
)


@given(st.lists(CELLS, min_size=1, max_size=5))
def test_rows_survive_the_way_through_json(rows: list[list[str]]) -> None:
    joined = pl.Series([SEPARATOR.join(row) for row in rows])
    assert [json.loads(text) for text in json_arrays(joined)] == rows


def test_a_nul_becomes_its_symbol_because_jsonb_cannot_hold_it() -> None:
    assert json_arrays(pl.Series(["a\x00b" + SEPARATOR])).to_list() == ['["a␀b",""]']


def test_blocks_keep_every_row_with_its_line() -> None:
    lines = pl.Series(range(2, 602), dtype=pl.Int32)
    found = blocks(7, lines, pl.Series([f'["{i}"]' for i in lines]))
    assert found["lines"].list.len().to_list() == [256, 256, 88]
    assert found["first_line"].to_list() == [2, 258, 514]
    assert found["last_line"].to_list() == [257, 513, 601]
    assert [row[0] for text in found["rows"] for row in json.loads(text)] == [str(i) for i in lines]
