"""Where the header of a table is, and what its columns are called."""

import pytest

from geo.errors import InputError
from ingest.readers.header import clean_names, find_header


def test_the_first_row_is_the_header_of_a_plain_table():
    header = find_header([["id", "type"], ["1", "حفر"], ["2", "إنارة"]], "f")
    assert (header.first, header.names) == (0, ["id", "type"])


def test_title_and_blank_rows_above_the_header_are_passed_over():
    rows = [["كشف البلاغات", "", ""], ["", "", ""], ["رقم", "النوع", "التاريخ"], ["1", "حفر", "2024-01-01"]]
    header = find_header(rows, "f")
    assert (header.first, header.names) == (2, ["رقم", "النوع", "التاريخ"])


def test_a_row_of_numbers_is_no_header():
    with pytest.raises(InputError, match="no header row"):
        find_header([["1", "2", "2024-01-01"], ["3", "4", "2024-01-02"]], "f")


def test_arabic_digits_are_numbers_and_no_header():
    with pytest.raises(InputError, match="no header row"):
        find_header([["١", "٢٠٢٤/٠١/٠١"], ["٢", "٢٠٢٤/٠١/٠٢"]], "f")


def test_a_header_without_rows_is_found():
    assert find_header([["a", "b"]], "f").names == ["a", "b"]


def test_two_header_rows_under_a_merged_cell_are_joined():
    rows = [["رقم", "الموقع", "", "تاريخ"], ["", "احداثي X", "احداثي Y", ""], ["1", 50.1, 26.4, "2024-01-01"]]
    merges = [((0, 1), (0, 2)), ((0, 0), (1, 0)), ((0, 3), (1, 3))]
    header = find_header(rows, "f", merges)
    assert header.names == ["رقم", "الموقع / احداثي X", "الموقع / احداثي Y", "تاريخ"]
    assert header.last == 1


def test_a_merged_title_is_not_taken_for_a_group_of_columns():
    rows = [["Report of May", "", ""], ["id", "type", "date"], ["1", "x", "2024-01-01"]]
    header = find_header(rows, "f", [((0, 0), (0, 2))])
    assert header.names == ["id", "type", "date"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["id", "id", "id"], ["id", "id (2)", "id (3)"]),
        (["id", "", " "], ["id", "column 2", "column 3"]),
        ([" رقم\u200f  البلاغ\n"], ["رقم البلاغ"]),
        (["__line", "a"], ["__line (file)", "a"]),
        (["a (2)", "a", "a"], ["a (2)", "a", "a (3)"]),
    ],
)
def test_header_names_are_clean_and_unique(given, expected):
    assert clean_names(given) == expected
