"""Which district belongs to which municipality: a table that dissolves a file's areas.

The table (CSV, XLSX or any other that the readers know) has one column for the area, by
name or code, and one for the area above it; further columns give its other name and code.
Names are compared folded, so that spellings and articles do not matter.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import polars as pl

from geo import boundaries
from geo.errors import InputError
from ingest.readers import LAT, LINE, LON, open_table
from ingest.text import fold, fold_place

# Words by which a column says its level, after folding; "name", "code" and languages may follow.
_LEVEL_WORDS = {
    "region": {"region", "منطقه", "المنطقه"},
    "amana": {"amana", "amanah", "امانه", "الامانه"},
    "governorate": {"governorate", "محافظه", "المحافظه"},
    "municipality": {"municipality", "بلديه", "البلديه", "submunicipality"},
    "district": {"district", "neighbourhood", "neighborhood", "حي", "الحي", "الاحياء", "quarter"},
}
_CODE_WORDS = {"code", "id", "رمز", "كود", "رقم"}
_LANGUAGE_WORDS = {
    "ar": {"ar", "arabic", "عربي", "بالعربي"},
    "en": {"en", "english", "انجليزي", "بالانجليزي"},
}
_LISTED = 10


def dissolved(
    areas: gpd.GeoDataFrame, table: Path, level: str, above: str
) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Areas of the level above, joined from ``areas``, and notes on what did not match.

    Parameters
    ----------
    areas : as for ``data.areas.replace_set``; ``parent_folded`` is filled in place
    table : the assignment table
    level, above : of the areas, and of the areas to make

    Raises
    ------
    InputError : a column is missing, an area is assigned twice, or nothing matches.
    """
    rows = _read(table)
    own = _columns(rows.columns, level)
    upper = _columns(rows.columns, above)
    if not own:
        raise _missing(table, level, rows.columns)
    if not any(role != "code" for role in upper):
        raise _missing(table, above, rows.columns)
    names_of: dict[str, dict[str, str]] = {}
    assigned: dict[str, str] = {}
    notes: list[str] = []
    for line, row in enumerate(rows.iter_rows(named=True), start=2):
        said = {role: _text(row[column]) for role, column in upper.items()}
        name = said.get("name") or said.get("ar") or said.get("en")
        keys = {_key(role, text) for role, column in own.items() if (text := _text(row[column]))}
        if not name or not keys:
            continue
        target = fold_place(name)
        names_of.setdefault(target, {role: text for role, text in said.items() if text} | {"any": name})
        for key in keys:
            if assigned.setdefault(key, target) != target:
                raise InputError(
                    f"{table.name}, row {line}: '{key.partition(':')[2]}' is assigned to '{name}' here and "
                    f"to '{names_of[assigned[key]]['any']}' above. An area belongs to one {above}: keep one "
                    "row."
                )
    targets = [_target(area, assigned) for area in areas.itertuples()]
    areas["parent_folded"] = [[target] if target else [] for target in targets]
    left_out = [area.name_en for area, target in zip(areas.itertuples(), targets, strict=True) if not target]
    if len(left_out) == len(areas):
        raise InputError(
            f"{table.name}: none of its {level} names or codes is in the boundary file (which has, for "
            f"example, '{left_out[0]}'). Check that both mean the same areas."
        )
    if left_out:
        notes.append(f"{len(left_out)} areas are in no row of {table.name}: {_shown(left_out)}.")
    unused = sorted(
        {names_of[t]["any"] for t in assigned.values()} - {names_of[t]["any"] for t in targets if t}
    )
    if unused:
        notes.append(f"{table.name}: no area was found for {_shown(unused)}.")
    coarse = boundaries.dissolve(areas.assign(target=targets), "target")
    said_of = [names_of[target] for target in coarse["target"]]
    coarse["name_ar"] = [said.get("ar") or said["any"] for said in said_of]
    coarse["name_en"] = [said.get("en") or said["any"] for said in said_of]
    coarse["code"] = [said.get("code") for said in said_of]
    coarse["ministry_code"] = coarse["iso_code"] = None
    coarse["folded_names"] = [
        sorted({fold_place(text) for role, text in said.items() if role != "code"}) for said in said_of
    ]
    notes.append(f"{len(coarse)} areas of the level {above} were made from {len(areas) - len(left_out)}.")
    return coarse, notes


def _read(table: Path) -> pl.DataFrame:
    with open_table(table) as opened:
        chunks = list(opened.chunks())
    bad = [row for chunk in chunks for row in chunk.bad]
    if bad:
        raise InputError(f"{table.name}, row {bad[0].line}: {bad[0].message}")
    frames = [chunk.frame.drop(LINE, LAT, LON, strict=False) for chunk in chunks]
    return pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()


def _columns(columns: list[str], level: str) -> dict[str, str]:
    """Columns of a level by role: name, ar, en or code. The first of a role wins."""
    found: dict[str, str] = {}
    for column in columns:
        words = set(fold(column.replace("_", " ")).split())
        if not words & _LEVEL_WORDS[level] or any(
            words & other for name, other in _LEVEL_WORDS.items() if name != level
        ):
            continue
        role = "code" if words & _CODE_WORDS else "name"
        for language, marks in _LANGUAGE_WORDS.items():
            role = language if role == "name" and words & marks else role
        found.setdefault(role, column)
    return found


def _missing(table: Path, level: str, columns: list[str]) -> InputError:
    return InputError(
        f"{table.name} has no column for the {level}; its columns are: {', '.join(columns) or 'none'}. "
        f"Name one of them '{level}'."
    )


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _key(role: str, text: str) -> str:
    return f"code:{text}" if role == "code" else f"name:{fold_place(text)}"


def _target(area: object, assigned: dict[str, str]) -> str | None:
    code, folded = getattr(area, "code", None), getattr(area, "folded_names", [])
    if code and f"code:{code}" in assigned:
        return assigned[f"code:{code}"]
    found = {assigned[f"name:{name}"] for name in folded if f"name:{name}" in assigned}
    return found.pop() if len(found) == 1 else None


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
