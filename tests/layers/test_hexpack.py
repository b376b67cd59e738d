"""Packing of cells: a decoder written apart from the packer gets the same numbers back."""

from __future__ import annotations

import base64

import h3
import numpy as np
import pytest

from geo.cells import areas_km2, cells_of, parents
from layers.hexpack import Level, cell_at, cell_point, deltas, is_cell, pack, positions, runs, varints, zigzag


class Reader:
    """The packed text, number by number, as the browser reads it."""

    def __init__(self, text: str) -> None:
        self.bytes, self.at = base64.b64decode(text), 0

    def u(self) -> int:
        value = shift = 0
        while True:
            byte = self.bytes[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def i(self) -> int:
        u = self.u()
        return -(u + 1) // 2 if u % 2 else u // 2

    def many(self, n: int) -> list[int]:
        return [self.u() for _ in range(n)]


def unpack(text: str) -> dict[int, dict[str, list]]:
    r = Reader(text)
    out = {}
    for _ in range(r.u()):
        resolution, n, shapes, stretches = r.many(4)
        corners = [[r.i() / 1e6 for _ in range(12)] for _ in range(shapes)]
        sizes, lengths = r.many(shapes), r.many(shapes)
        lng = np.cumsum([r.i() for _ in range(n)]) / 1e5
        lat = np.cumsum([r.i() for _ in range(n)]) / 1e5
        counts, values, spans = r.many(n), r.many(stretches), r.many(stretches)
        out[resolution] = {
            "lng": lng.tolist(),
            "lat": lat.tolist(),
            "counts": counts,
            "areas": np.repeat(values, spans).tolist(),
            "m2": np.repeat(sizes, lengths).tolist(),
            "corners": np.repeat(np.array(corners).reshape(-1, 12), lengths, axis=0).tolist(),
        }
    assert r.at == len(r.bytes)
    return out


def some_level(resolution: int, n: int = 3000, seed: int = 1) -> Level:
    rng = np.random.default_rng(seed)
    fine = cells_of(50 + rng.normal(0, 0.5, n), 26.4 + rng.normal(0, 0.5, n), 10)
    cells, counts = np.unique(parents(fine, resolution), return_counts=True)
    order = rng.permutation(len(cells))  # any order is taken
    return Level(cells[order], counts[order].astype(np.int64), (cells[order] >> 30) % 5)


def test_every_cell_comes_back_at_its_place_with_its_count_and_area() -> None:
    levels = {r: some_level(r) for r in (4, 6, 8, 9)}
    found = unpack(pack(levels))
    assert list(found) == [4, 6, 8, 9]
    for r, level in levels.items():
        got = found[r]
        back = {
            cell_at(la, ln, r): (c, a, m)
            for la, ln, c, a, m in zip(
                got["lat"], got["lng"], got["counts"], got["areas"], got["m2"], strict=True
            )
        }
        km2 = areas_km2(level.cells)
        assert len(back) == len(level.cells)
        for cell, count, area, size in zip(level.cells, level.counts, level.areas, km2, strict=True):
            assert back[int(cell)][:2] == (count, area)
            assert back[int(cell)][2] / 1e6 == pytest.approx(size, rel=0.006)


def test_shared_outlines_differ_from_the_true_ones_by_less_than_a_twentieth_of_a_cell() -> None:
    level = some_level(8)
    got = unpack(pack({8: level}))[8]
    for lat, lng, corners in list(zip(got["lat"], got["lng"], got["corners"], strict=True))[::37]:
        true = h3.cell_to_boundary(h3.latlng_to_cell(lat, lng, 8))
        drawn = [(lat + corners[k + 1], lng + corners[k]) for k in range(0, 12, 2)]
        across = abs(true[0][0] - true[3][0]) + abs(true[0][1] - true[3][1])
        for (y, x), (v, u) in zip(true, drawn, strict=True):
            assert abs(y - v) + abs(x - u) < across / 20


def test_an_empty_store_packs_to_no_levels_and_no_cells() -> None:
    empty = np.zeros(0, dtype=np.int64)
    assert unpack(pack({})) == {}
    assert unpack(pack({7: Level(empty, empty, empty)}))[7]["counts"] == []


def test_forty_thousand_cells_stay_far_below_the_limit_of_the_payload() -> None:
    n = 40_000
    rng = np.random.default_rng(2)
    cells = np.unique(cells_of(50 + rng.normal(0, 0.8, n * 3), 26.4 + rng.normal(0, 0.8, n * 3), 9))[:n]
    text = pack({9: Level(cells, rng.integers(1, 300, len(cells)), np.zeros(len(cells), np.int64))})
    assert len(text) < 400_000
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_numbers_of_every_length_come_back() -> None:
    values = np.array([0, 1, 127, 128, 16383, 16384, 2**31, 2**53], dtype=np.int64)
    text = base64.b64encode(varints(values)).decode()
    assert Reader(text).many(len(values)) == values.tolist()
    signed = np.array([0, -1, 1, -64, 64, -(2**40)], dtype=np.int64)
    reader = Reader(base64.b64encode(varints(zigzag(signed))).decode())
    assert [reader.i() for _ in signed] == signed.tolist()
    reader = Reader(base64.b64encode(deltas(signed)).decode())
    assert np.cumsum([reader.i() for _ in signed]).tolist() == signed.tolist()


def test_runs_add_up_to_what_they_stand_for() -> None:
    values = np.array([3, 3, 0, 0, 0, 3], dtype=np.int64)
    kept, lengths = runs(values)
    assert kept.tolist() == [3, 0, 3]
    assert np.repeat(kept, lengths).tolist() == values.tolist()


def test_arrays_of_different_length_are_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="resolution 5"):
        pack({5: Level(one, np.zeros(2, np.int64), one)})


def test_positions_are_found_in_any_order_and_unknown_ids_are_zero() -> None:
    ids = np.array([7, 0, 3, 99], dtype=np.int64)
    assert positions(ids, [3, 12, 7]).tolist() == [3, 0, 1, 0]
    assert positions(ids, []).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("wrong", [0, -1, 1, 1 << 62, 1 << 70, 0x7FFFFFFFFFFFFFFF])
def test_numbers_that_are_no_cells_are_told_apart(wrong: int) -> None:
    assert not is_cell(wrong)


def test_a_cell_is_found_again_at_its_own_point() -> None:
    cell = h3.str_to_int(h3.latlng_to_cell(26.4, 50.1, 9))
    assert is_cell(cell)
    assert cell_at(*cell_point(cell)) == cell
