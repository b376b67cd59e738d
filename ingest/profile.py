"""Profiles: how the columns of a source become ours.

A profile is a small YAML file (see ``docs/profiles.md``): header names in several languages,
hints for dates, tables of words for status, channel and element, personal columns to drop.
The profile of a file is detected from its header, most specific first; the generic one comes
last. Header names are compared folded: case, spaces, underscores, hamza and the article
do not matter.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyproj
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from rapidfuzz import fuzz, process

from data.vocabulary import Channel, Status
from geo.errors import ProfileError
from ingest.readers.header import JOINT
from ingest.text import fold

FIELDS = (
    "reference", "alternate_reference", "type", "subtype", "element", "group", "opened_at", "closed_at",
    "due_at", "updated_at", "status", "channel", "severity", "quantity", "unit", "longitude", "latitude", "x",
    "y", "location", "description", "address", "municipality", "district", "governorate", "amana", "region",
    "agency", "contractor", "reporter",
)  # fmt: skip
_PLACED = ("location", "municipality", "district", "governorate", "amana", "region")
_MAP_FORMATS = frozenset(
    ("shp", "gpkg", "geojson", "fgb", "gdb", "kml", "gml", "esrijson", "topojson", "geoparquet")
)
SHIPPED = Path(__file__).parent / "profiles"
GENERIC = "generic"


class Dates(BaseModel):
    """How a source writes dates. ``order`` counts only where the values do not settle it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: Literal["dmy", "mdy", "ymd"] | None = None
    calendar: Literal["auto", "gregorian", "hijri"] = "auto"
    timezone: str | None = None
    formats: list[str] = []

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(
                    f"time zone {value!r} is unknown: write an IANA name such as Asia/Riyadh"
                ) from error
        return value


class Profile(BaseModel):
    """One profile. Every key is documented in ``docs/profiles.md``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: dict[str, str]
    source: str
    extends: str | None = None
    territory: str | None = None
    formats: list[str] = []
    header: list[str] = []
    detect: list[list[str]] = []
    columns: dict[str, list[str]]
    dates: Dates = Dates()
    values: dict[Literal["status", "channel", "element", "severity"], dict[str, str | int | None]] = {}
    crs: str | None = None
    personal: list[str] = []
    keep_personal: bool = False
    identity: list[str] = []
    own_taxonomy: bool = False
    simulated_reference_prefix: str | None = None
    constants: dict[Literal["channel"], str] = {}
    status_from_dates: bool = False
    closed_from_updated: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        faults = []
        if not {"ar", "en"} <= set(self.title):
            faults.append("title needs a text for ar and one for en")
        for place, names in (("columns", self.columns), ("identity", self.identity)):
            unknown = [name for name in names if name not in FIELDS]
            if unknown:
                faults.append(f"{place} names no field of ours: {', '.join(unknown)}")
        if "reporter" in self.identity:
            # The key of a report is stored; one made of who sent it could be guessed back.
            faults.append("identity must not use reporter")
        for kind, codes in (("status", Status), ("channel", Channel)):
            allowed = {member.name.lower() for member in codes}
            given = self.values.get(kind, {})  # type: ignore[call-overload]
            wrong = sorted({str(v) for v in given.values() if v not in allowed})
            if wrong:
                faults.append(
                    f"values.{kind} uses {', '.join(wrong)}; allowed are {', '.join(sorted(allowed))}"
                )
            faults.extend(_conflicts(kind, given))
        channel = self.constants.get("channel")
        if channel is not None and channel.upper() not in Channel.__members__:
            faults.append(f"constants.channel {channel!r} is unknown")
        if self.crs is not None:
            try:
                pyproj.CRS.from_user_input(self.crs)
            except pyproj.exceptions.CRSError:
                faults.append(f"crs {self.crs!r} is unknown: write it as EPSG:32639")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def personal_columns(self, columns: list[str], reporter: str | None = None) -> list[str]:
        """Return those of ``columns`` that hold personal data, by name or pattern.

        ``reporter`` is the column that says who sent a report, whatever its name.
        """
        patterns = [_pattern(name) for name in self.personal]
        return [
            column
            for column in columns
            if column == reporter
            or any(fnmatch.fnmatchcase(key, pattern) for key in _keys(column) for pattern in patterns)
        ]


@dataclass(frozen=True)
class Detection:
    """Which profile a header fits, and how.

    ``mapping`` gives the file's column for each field; ``unmatched`` are columns that only go to
    the raw row; ``missing`` are the profile's fields that the file lacks; ``reason`` is a sentence.
    """

    profile: Profile
    mapping: dict[str, str]
    unmatched: list[str]
    missing: list[str]
    reason: str


def header_key(name: str) -> str:
    """The spelling under which header names are compared: folded, without blanks and articles."""
    words = fold(name).split()
    return "".join(w[2:] if w.startswith("ال") and len(w) >= 4 else w for w in words)


def _keys(column: str) -> list[str]:
    """Keys of a header name: the whole, and the lowest and highest part of a joined header."""
    parts = column.split(JOINT)
    names = [column, parts[-1], parts[0]] if len(parts) > 1 else [column]
    return list(dict.fromkeys(key for name in names if (key := header_key(name))))


def _pattern(name: str) -> str:
    return "*".join(header_key(part) for part in name.split("*"))


def _conflicts(kind: str, table: dict[str, Any]) -> list[str]:
    seen: dict[str, tuple[str, Any]] = {}
    faults = []
    for word, value in table.items():
        other = seen.setdefault(fold(word), (word, value))
        if other[1] != value:
            faults.append(f"values.{kind}: {other[0]!r} and {word!r} are one word with two meanings")
    return faults


# -- loading ------------------------------------------------------------------------------


def load_profiles(extra: Path | None = None) -> list[Profile]:
    """Return all profiles, most specific first: those of the folder ``extra``, then the shipped ones."""
    paths = sorted(SHIPPED.glob("*.yaml"))
    if extra is not None:
        if not extra.is_dir():
            raise ProfileError(f"{extra} is no folder of profiles. Name a folder that holds .yaml files.")
        paths = sorted([*extra.glob("*.yaml"), *extra.glob("*.yml")]) + paths
    profiles = [_load(path) for path in paths]
    return [p for p in profiles if p.name != GENERIC] + [p for p in profiles if p.name == GENERIC]


def load_profile(name_or_path: str | Path) -> Profile:
    """Return a shipped profile by name, or the profile in a YAML file."""
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml"):
        if not path.exists():
            raise ProfileError(f"{path} does not exist. Name a profile file or one of: {_names()}.")
        return _load(path)
    shipped = SHIPPED / f"{path.name}.yaml"
    if not shipped.exists() or str(name_or_path) != path.name:
        raise ProfileError(
            f"There is no profile {str(name_or_path)!r}. Name a .yaml file or one of: {_names()}."
        )
    return _load(shipped)


def _names() -> str:
    return ", ".join(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


@lru_cache(maxsize=64)
def _parsed(path: Path, stamp: int) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path.name} is no YAML that can be read: {error}") from error
    if not isinstance(loaded, dict):
        raise ProfileError(f"{path.name} must be a table of keys, starting with 'name:'.")
    return loaded


class _Loader(yaml.SafeLoader):
    """YAML with texts kept as texts ("no", "on" and 940 too), and a repeated key refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {repeated[0]!r} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


# Resolvers by first letter; only null and merge keys keep a meaning of their own.
_Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, rule) for tag, rule in rules if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
    ]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _load(path: Path, above: tuple[str, ...] = ()) -> Profile:
    data = dict(_parsed(path, path.stat().st_mtime_ns))
    parent = data.get("extends")
    if parent:
        if parent in above:
            raise ProfileError(f"{path.name} extends itself by way of {parent}.")
        base = path.parent / f"{parent}.yaml"
        base = base if base.exists() else SHIPPED / f"{parent}.yaml"
        if not base.exists():
            raise ProfileError(f"{path.name} extends {parent!r}, which does not exist. Known: {_names()}.")
        data = _merged(_load(base, (*above, str(parent))), data)
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise ProfileError(f"The profile {path.name} is not well formed: {faults}.") from error


def _merged(base: Profile, data: dict[str, Any]) -> dict[str, Any]:
    """A child profile over its base: lists of header names and tables of words are joined."""
    inherited = base.model_dump()
    columns = {k: list(v) for k, v in inherited["columns"].items()}
    for name, headers in (data.get("columns") or {}).items():
        columns[name] = [*headers, *(h for h in columns.get(name, []) if h not in headers)]
    values = {kind: dict(table) for kind, table in inherited["values"].items()}
    for kind, table in (data.get("values") or {}).items():
        said = {fold(str(word)) for word in table}
        kept = {w: v for w, v in values.get(kind, {}).items() if fold(w) not in said}
        values[kind] = {**kept, **table}
    own = {"header": [], "detect": [], "formats": [], "identity": inherited["identity"]}
    return {
        **inherited,
        **own,
        **data,
        "columns": columns,
        "values": values,
        "personal": [*inherited["personal"], *(data.get("personal") or [])],
    }


# -- detection ------------------------------------------------------------------------------


def detect(columns: list[str], format_name: str, candidates: list[Profile] | None = None) -> Detection:
    """Return the profile that fits a header best, with the mapping of its columns.

    One candidate means that the profile was asked for: then its ``detect`` rules do not count,
    only the minimum does. Raises ProfileError when none fits: a report needs a date of opening
    and something to classify or to locate it by.
    """
    asked = candidates is not None and len(candidates) == 1
    profiles = load_profiles() if candidates is None else candidates
    keyed = _keyed(columns)
    best: tuple[int, Detection] | None = None
    for profile in profiles:
        found = [group for group in profile.detect if any(header_key(n) in keyed for n in group)]
        if not asked:
            if len(found) < len(profile.detect):
                continue
            if profile.formats and not any(format_name.startswith(f) for f in profile.formats):
                continue
        mapping = _map(profile, keyed)
        if not _enough(mapping, format_name):
            continue
        specific = len(profile.detect) + len(profile.formats)
        if best is None or specific > best[0]:
            best = specific, _detection(profile, mapping, columns, found, asked)
    if best is None:
        raise _no_fit(columns, format_name, profiles, asked, keyed)
    return best[1]


def _detection(
    profile: Profile, mapping: dict[str, str], columns: list[str], found: list[list[str]], asked: bool
) -> Detection:
    if asked:
        why = f"Profile {profile.name}, as asked"
    elif found:
        why = f"Profile {profile.name}: its typical columns are there"
    else:
        why = f"Profile {profile.name}: no special one fits, common header names were recognised"
    if not profile.own_taxonomy and "element" in mapping:
        # A column that names our elements means our taxonomy, whoever sends it.
        profile = profile.model_copy(update={"own_taxonomy": True})
    personal = profile.personal_columns(columns, mapping.get("reporter"))
    used = set(mapping.values())
    unmatched = [c for c in columns if c not in used and c not in personal]
    missing = [name for name in profile.columns if name not in mapping]
    reason = f"{why} ({len(used)} of {len(columns)} columns mapped, {len(personal)} personal)."
    return Detection(profile, mapping, unmatched, missing, reason)


def matched(columns: list[str], headers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The column of each field whose header is one of the field's names, as profiles compare them."""
    keyed = _keyed(columns)
    mapping: dict[str, str] = {}
    for field, names in headers.items():
        column = next((keyed[key] for name in names if (key := header_key(name)) in keyed), None)
        if column is not None and column not in mapping.values():
            mapping[field] = column
    return mapping


def _keyed(columns: list[str]) -> dict[str, str]:
    """Columns by key: whole names first, then the parts of joined headers that name only one."""
    keyed: dict[str, str] = {}
    for column in columns:
        keyed.setdefault(header_key(column), column)
    for part in (-1, 0):
        keys = [header_key(column.split(JOINT)[part]) for column in columns]
        for key, column in zip(keys, columns, strict=True):
            if key and keys.count(key) == 1:
                keyed.setdefault(key, column)
    return keyed


def _map(profile: Profile, keyed: dict[str, str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for name, headers in profile.columns.items():
        for header in headers:
            column = keyed.get(header_key(header))
            # One column serves one field, except that a type may itself be the element.
            if column is None or (name not in ("element", "type") and column in mapping.values()):
                continue
            mapping[name] = column
            break
    return mapping


def _enough(mapping: dict[str, str], format_name: str) -> bool:
    pair = {"longitude", "latitude"} <= mapping.keys() or {"x", "y"} <= mapping.keys()
    kind = "type" in mapping or "element" in mapping
    placed = pair or format_name in _MAP_FORMATS or any(name in mapping for name in _PLACED)
    return "opened_at" in mapping and (kind or placed)


def _no_fit(
    columns: list[str], format_name: str, profiles: list[Profile], asked: bool, keyed: dict[str, str]
) -> ProfileError:
    profile = profiles[0] if asked else load_profile(GENERIC)
    mapping = _map(profile, keyed)
    lacks = []
    if "opened_at" not in mapping:
        lacks.append("the date a report was opened")
    if not _enough({**mapping, "opened_at": ""}, format_name):
        lacks.append("its type or its place")
    unmatched = [c for c in columns if c not in mapping.values()]
    head = f"The profile {profile.name} does not fit this file" if asked else "No profile fits this file"
    return ProfileError(
        f"{head}: it was not recognised which column holds {' and '.join(lacks)}.\n"
        f"Columns that match nothing: {', '.join(unmatched) or 'none'}.\n"
        "Write the lines below to a file such as my_city.yaml, put the right header names in, and "
        "run the same "
        "command with --profile my_city.yaml:\n\n" + skeleton(columns)
    )


def skeleton(columns: list[str]) -> str:
    """Return the YAML of a profile for a header, with the best guesses; a guess is marked."""
    generic = load_profile(GENERIC)
    sure = _map(generic, _keyed(columns))
    names = {header_key(h): field for field, headers in generic.columns.items() for h in headers}
    guesses: dict[str, str] = {}
    dated = [c for c in columns if any(word in header_key(c) for word in ("date", "time", "تاريخ", "وقت"))]
    free = [c for c in dated if c not in sure.values()]
    if "opened_at" not in sure and free:
        guesses["opened_at"] = free[0]
    for column in columns:
        if column in sure.values() or column in guesses.values():
            continue
        best = process.extractOne(header_key(column), names.keys(), scorer=fuzz.ratio, score_cutoff=62)
        if best is not None and names[best[0]] not in sure:
            guesses.setdefault(names[best[0]], column)
    lines = [
        "name: my_city",
        "title: {ar: مدينتي, en: My city}",
        "source: my_city",
        "extends: generic",
        "own_taxonomy: false       # true where the types are the elements of visual distortion",
        "columns:",
    ]
    for field in FIELDS:
        if (chosen := sure.get(field) or guesses.get(field)) is not None:
            mark = "" if field in sure else "  # a guess"
            lines.append(f"  {field}: [{_quoted(chosen)}]{mark}")
    for field, what in (
        ("opened_at", "the date"),
        ("type", "what is reported"),
        ("longitude", ""),
        ("latitude", ""),
    ):
        if field not in sure and field not in guesses:
            lines.append(f"  # {field}: [ ]{f'   {what}' if what else ''}")
    used = {*sure.values(), *guesses.values()}
    rest = [c for c in columns if c not in used]
    if rest:
        lines.append(f"  # not used yet: {', '.join(rest)}")
    lines += ["dates: {timezone: Asia/Riyadh}", "detect:", *(f"  - [{_quoted(c)}]" for c in columns[:3])]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
