"""Who is responsible for reports or treats them: departments, entities, contractors.

A registry per territory. Every wording of an agency or contractor that a file brings belongs
to one party, by its folded spelling (``geo/wording.py``); one that is not known yet becomes a
party of its own, to be sorted later. ``data/reference/parties.csv`` has the usual departments
and public bodies. Caveat: two names of one body that fold differently are two parties until
somebody says that they are one (``save``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Connection, text

from data import bulk, territories
from data.reference import read
from geo.errors import InputError
from geo.wording import fold

KINDS = ("municipality", "department", "entity", "contractor", "unsorted")
COLUMNS = ("agency", "contractor")  # of report, and of party_name
MOST_LETTERS = 200  # a longer text in such a column is no name
_CODE = re.compile(r"[a-z][a-z0-9_]{1,39}")
# First words (folded) of what calls itself a municipality.
_MUNICIPAL = ("بلديه", "البلديه", "امانه", "الامانه", "municipality")
_BULK = 200_000  # changed reports from which on indexes are built anew


@dataclass(frozen=True, slots=True)
class PartyInfo:
    """One party of a territory.

    Attributes
    ----------
    wordings : folded spellings that files use for it.
    source : where it is known from; None when it was met in a file.
    """

    id: int
    code: str
    kind: str
    name_ar: str
    name_en: str
    active: bool
    source: str | None
    wordings: tuple[str, ...] = ()


class Wordings:
    """Agencies and contractors of one batch: a number for each, and the party it is.

    Numbers are given while rows are staged, parties are found and made under the territory's
    lock: two loads that meet the same new names must not wait for each other in a circle.
    """

    def __init__(self, conn: Connection, territory_id: int) -> None:
        self._conn = conn
        self._territory_id = territory_id
        # By column: wording → number (1 for the first; None: no name), folded by number - 1, as written.
        self._numbers: dict[str, dict[str, int | None]] = {name: {} for name in COLUMNS}
        self._folded: dict[str, dict[str, int]] = {name: {} for name in COLUMNS}
        self._written: dict[str, list[str]] = {name: [] for name in COLUMNS}
        self._ids: dict[str, list[int]] = {name: [] for name in COLUMNS}

    def numbers(self, values: pl.Series, column: str) -> pl.Series:
        """The number of each wording, (n,) Int32 named ``<column>_id``; null for none."""
        name = f"{column}_id"
        words = values.unique().drop_nulls().to_list()
        if not words:
            return pl.Series(name, [None], dtype=pl.Int32).new_from_index(0, len(values))
        known = self._numbers[column]
        # In order, so that the same file always makes the same parties.
        for word in sorted(word for word in words if word not in known):
            known[word] = self._number(word, column)
        return values.replace_strict(
            words, [known[word] for word in words], default=None, return_dtype=pl.Int32
        ).alias(name)

    def _number(self, word: str, column: str) -> int | None:
        folded = fold(word)
        if not folded or len(folded) > MOST_LETTERS:
            return None
        numbers = self._folded[column]
        if folded not in numbers:
            numbers[folded] = len(numbers) + 1
            self._written[column].append(word)
        return numbers[folded]

    def settle(self, column: str) -> list[int]:
        """``party.id`` by number, the first at 0; makes new parties. The territory's lock must be held."""
        ids = self._ids[column]
        new = list(self._folded[column])[len(ids) :]
        if new:
            found = _find_or_make(
                self._conn, self._territory_id, column, new, self._written[column][len(ids) :]
            )
            ids += [found[folded] for folded in new]
        return ids

    def ids(self, numbers: pl.Series, column: str) -> pl.Series:
        """``settle`` applied to (n,) numbers."""
        ids = self.settle(column)
        return numbers.replace_strict(
            list(range(1, len(ids) + 1)), ids, default=None, return_dtype=pl.Int32
        ).alias(numbers.name)


def _find_or_make(
    conn: Connection, territory_id: int, column: str, folded: Sequence[str], written: Sequence[str]
) -> dict[str, int]:
    """Party of each folded name; those without one get one. The territory's lock must be held."""
    # Served by pk_party_name: the names of one territory, read once a batch.
    rows = conn.execute(
        text(
            """SELECT folded, col, party_id FROM party_name
               WHERE territory_id = :territory AND folded = ANY(:folded)"""
        ),
        {"territory": territory_id, "folded": list(folded)},
    ).all()
    # A firm that stands in both columns is one firm; its own column goes first.
    found = {row.folded: row.party_id for row in sorted(rows, key=lambda row: row.col == column)}
    kinds = {name: _kind(name, column) for name in folded if name not in found}
    if kinds:
        shown = dict(zip(folded, written, strict=True))
        codes = {_met_code(name): name for name in kinds}
        made = conn.execute(
            text(
                """INSERT INTO party (territory_id, code, kind, name_ar, name_en)
                   SELECT :territory, u.code, u.kind, u.name, u.name
                   FROM unnest(CAST(:codes AS text[]), CAST(:kinds AS text[]), CAST(:names AS text[]))
                     AS u (code, kind, name)
                   ON CONFLICT (territory_id, code) DO UPDATE SET active = true RETURNING id, code"""
            ),
            {
                "territory": territory_id,
                "codes": list(codes),
                "kinds": [kinds[name] for name in codes.values()],
                "names": [shown[name] for name in codes.values()],
            },
        )
        found |= {codes[row.code]: row.id for row in made}
    own = {row.folded for row in rows if row.col == column}
    _name(conn, territory_id, column, {name: found[name] for name in folded if name not in own})
    return found


def _met_code(folded: str) -> str:
    """The code of a party that was met in a file: the same in every store."""
    return "met_" + hashlib.blake2b(folded.encode(), digest_size=6).hexdigest()


def _kind(folded: str, column: str) -> str:
    if column == "contractor":
        return "contractor"
    return "municipality" if folded.split()[0] in _MUNICIPAL else "unsorted"


def _name(conn: Connection, territory_id: int, column: str, names: dict[str, int]) -> None:
    conn.execute(
        text(
            """INSERT INTO party_name (territory_id, col, folded, party_id)
               SELECT :territory, :column, u.folded, u.party
               FROM unnest(CAST(:folded AS text[]), CAST(:parties AS integer[])) AS u (folded, party)
               ON CONFLICT (territory_id, col, folded) DO UPDATE SET party_id = excluded.party_id"""
        ),
        {
            "territory": territory_id,
            "column": column,
            "folded": list(names),
            "parties": list(names.values()),
        },
    )


# -- the registry ---------------------------------------------------------------------


def listed(
    conn: Connection, territory_id: int, *, kinds: Sequence[str] = (), wordings: bool = False
) -> list[PartyInfo]:
    """Parties of a territory by kind and code; ``kinds`` narrows them.

    ``wordings`` also reads the spellings, which not every role may.
    """
    # Served by uq_party_territory_id_code.
    rows = conn.execute(
        text(
            """SELECT id, code, kind, name_ar, name_en, active, source FROM party
               WHERE territory_id = :territory AND (:all OR kind = ANY(:kinds))
               ORDER BY array_position(CAST(:order AS text[]), kind), source IS NULL, code"""
        ),
        {"territory": territory_id, "all": not kinds, "kinds": list(kinds), "order": list(KINDS)},
    ).all()
    names: dict[int, list[str]] = {}
    if wordings:
        # Served by pk_party_name.
        for row in conn.execute(
            text(
                """SELECT DISTINCT party_id, folded FROM party_name
                   WHERE territory_id = :territory ORDER BY party_id, folded"""
            ),
            {"territory": territory_id},
        ):
            names.setdefault(row.party_id, []).append(row.folded)
    return [
        PartyInfo(
            row.id, row.code, row.kind, row.name_ar, row.name_en, row.active, row.source,
            tuple(names.get(row.id, ())),
        )
        for row in rows
    ]  # fmt: skip


def find(conn: Connection, territory_id: int, code: str) -> PartyInfo:
    """The party with this code; InputError when there is none, with the codes there are."""
    # Served by uq_party_territory_id_code.
    row = conn.execute(
        text(
            """SELECT id, code, kind, name_ar, name_en, active, source FROM party
               WHERE territory_id = :territory AND code = :code"""
        ),
        {"territory": territory_id, "code": code},
    ).one_or_none()
    if row is None:
        known = ", ".join(p.code for p in listed(conn, territory_id) if p.source) or "none yet"
        raise InputError(
            f"There is no party {code!r} in this territory. Sorted ones are: {known}. "
            "See all: ./rasd routing parties"
        )
    return PartyInfo(*row)


def save(
    conn: Connection,
    territory_id: int,
    code: str,
    kind: str,
    name_ar: str,
    name_en: str,
    *,
    wordings: Iterable[str] = (),
    source: str = "entered",
    active: bool = True,
    leave_taken: bool = False,
) -> PartyInfo:
    """Add a party or change the one with this code; its wordings come to it.

    A wording that belongs to a party met in files brings that party along: all its reports
    are this party's from then on. A wording of a sorted party stays where it is.

    Raises
    ------
    InputError : the code, the kind or a name cannot be one; a wording is another's.
    """
    faults = []
    if not _CODE.fullmatch(code) or code.startswith("met_"):
        faults.append(f"the code {code!r} is not 2 to 40 small letters, digits and _ (met_… are taken)")
    if kind not in KINDS:
        faults.append(f"the kind {kind!r} is none of {', '.join(KINDS)}")
    for name in (name_ar, name_en):
        if not fold(name) or len(name) > MOST_LETTERS:
            faults.append(f"the name {name[:40]!r} is empty or longer than {MOST_LETTERS} letters")
    if faults:
        raise InputError(f"Party not saved: {'; '.join(faults)}.")
    territories.lock_territory(conn, territory_id)
    folded = list(dict.fromkeys(filter(None, map(fold, (name_ar, name_en, *wordings)))))
    holders = _holders(conn, territory_id, folded)
    taken = {row.folded: row.code for row in holders if row.source and row.code != code}
    if taken and not leave_taken:
        said = "; ".join(f"{wording!r} is {other}" for wording, other in taken.items())
        raise InputError(f"Party {code} not saved: the wording {said}. Name it otherwise.")
    folded = [name for name in folded if name not in taken]
    met = list(dict.fromkeys(row.party_id for row in holders if not row.source))
    party_id = _write(conn, territory_id, code, kind, name_ar, name_en, source, active, met)
    for other in met:
        if other != party_id:
            _join(conn, territory_id, other, party_id)
    for column in COLUMNS:
        _name(conn, territory_id, column, dict.fromkeys(folded, party_id))
    return find(conn, territory_id, code)


def _holders(conn: Connection, territory_id: int, folded: list[str]) -> Sequence:
    # Served by pk_party_name and pk_party.
    return conn.execute(
        text(
            """SELECT DISTINCT n.folded, n.party_id, p.code, p.source FROM party_name n
               JOIN party p ON p.id = n.party_id
               WHERE n.territory_id = :territory AND n.folded = ANY(:folded) ORDER BY n.party_id"""
        ),
        {"territory": territory_id, "folded": folded},
    ).all()


def _write(
    conn: Connection, territory_id: int, code: str, kind: str, name_ar: str, name_en: str, source: str,
    active: bool, met: list[int],
) -> int:  # fmt: skip
    """The party's row; one that was met under its name becomes it, so that its reports need no change."""
    values = {
        "territory": territory_id, "code": code, "kind": kind, "ar": name_ar, "en": name_en,
        "source": source, "active": active,
    }  # fmt: skip
    # Served by uq_party_territory_id_code.
    known = conn.scalar(text("SELECT id FROM party WHERE territory_id = :territory AND code = :code"), values)
    if known is None and met:
        known = met[0]
    if known is not None:
        conn.execute(
            text(
                """UPDATE party SET code = :code, kind = :kind, name_ar = :ar, name_en = :en,
                     source = :source, active = :active WHERE id = :id"""
            ),
            values | {"id": known},
        )
        return int(known)
    return int(
        conn.execute(
            text(
                """INSERT INTO party (territory_id, code, kind, name_ar, name_en, source, active)
                   VALUES (:territory, :code, :kind, :ar, :en, :source, :active) RETURNING id"""
            ),
            values,
        ).scalar_one()
    )


def _join(conn: Connection, territory_id: int, other: int, into: int) -> None:
    """Everything of a party that was met in files becomes another's."""
    params = {"other": other, "into": into, "territory": territory_id}
    for column in COLUMNS:
        # One scan of the territory's reports by ix_report_opened.
        conn.execute(
            text(
                f"""UPDATE report SET {column}_id = :into
                    WHERE territory_id = :territory AND {column}_id = :other"""
            ),
            params,
        )
    for table in ("party_name", "routing_rule", "principal", "target"):
        conn.execute(text(f"UPDATE {table} SET party_id = :into WHERE party_id = :other"), params)
    # Kilometres of the same month add up.
    conn.execute(
        text(
            """WITH gone AS (DELETE FROM party_works WHERE party_id = :other RETURNING month, km)
               INSERT INTO party_works (party_id, month, km) SELECT :into, month, km FROM gone
               ON CONFLICT (party_id, month) DO UPDATE SET km = party_works.km + excluded.km"""
        ),
        params,
    )
    # Kept, because old steps of reports name it.
    conn.execute(text("UPDATE party SET active = false WHERE id = :other"), params)


def load_reference(conn: Connection, territory_id: int) -> int:
    """The parties of ``parties.csv`` into a territory; returns how many were new or changed there.

    What a person entered or changed since is left alone.
    """
    before = {p.code: p for p in listed(conn, territory_id)}
    changed = 0
    for row in read("parties.csv"):
        if row["code"] in before and before[row["code"]].source != row["source"]:
            continue
        saved = save(
            conn,
            territory_id,
            row["code"],
            row["kind"],
            row["name_ar"],
            row["name_en"],
            wordings=[row["code"].replace("_", " "), *filter(None, row["wordings"].split("|"))],
            source=row["source"],
            leave_taken=True,
        )
        changed += before.get(row["code"]) != saved
    return changed


# -- stores that are older than the registry ------------------------------------------


def adopt(conn: Connection) -> int:
    """Parties for the wordings of all reports that have none yet; returns reports changed."""
    changed = 0
    for territory_id in conn.execute(text("SELECT id FROM territory ORDER BY id")).scalars().all():
        territories.lock_territory(conn, territory_id)
        params: dict[str, object] = {"territory": territory_id}
        for column in COLUMNS:
            # One scan of the territory's reports.
            words = pl.Series(
                conn.execute(
                    text(
                        f"""SELECT DISTINCT {column} FROM report
                            WHERE territory_id = :territory AND {column} IS NOT NULL AND {column}_id IS NULL"""
                    ),
                    {"territory": territory_id},
                ).scalars(),
                dtype=pl.String,
            )
            names = Wordings(conn, territory_id)
            ids = names.ids(names.numbers(words, column), column)
            params |= {f"{column}_words": words.to_list(), f"{column}_ids": ids.to_list()}
        if params["agency_words"] or params["contractor_words"]:
            changed += _adopt_reports(conn, params)
    return changed


def _adopt_reports(conn: Connection, params: dict[str, object]) -> int:
    found = """FROM report r
       LEFT JOIN unnest(CAST(:agency_words AS text[]), CAST(:agency_ids AS integer[])) AS a (word, id)
         ON a.word = r.agency AND r.agency_id IS NULL
       LEFT JOIN unnest(CAST(:contractor_words AS text[]), CAST(:contractor_ids AS integer[])) AS c (word, id)
         ON c.word = r.contractor AND r.contractor_id IS NULL
       WHERE r.territory_id = :territory AND (a.id IS NOT NULL OR c.id IS NOT NULL)"""
    wanted = int(conn.scalar(text(f"SELECT count(*) {found}"), params) or 0)
    rebuild = bulk.drop_indexes(conn) if wanted >= _BULK else []
    # Hash joins with the wordings, then with the reports by their key.
    done = conn.execute(
        text(
            f"""UPDATE report t SET agency_id = coalesce(m.agency, t.agency_id),
                  contractor_id = coalesce(m.contractor, t.contractor_id)
                FROM (SELECT r.id, a.id AS agency, c.id AS contractor {found}) m WHERE m.id = t.id"""
        ),
        params,
    ).rowcount
    for statement in rebuild:
        conn.execute(text(statement))
    return done


def adopt_once(conn: Connection) -> None:
    """``adopt`` for a store that has not been through it; the store remembers that it has."""
    if conn.scalar(text("SELECT value FROM store_note WHERE key = 'parties'")) is None:
        changed = adopt(conn)
        conn.execute(
            text("INSERT INTO store_note (key, value) VALUES ('parties', :said)"),
            {"said": f"{changed} reports adopted"},
        )
