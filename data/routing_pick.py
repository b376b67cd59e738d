"""Which routing rule decides: the order of rules, in SQL, for one report or a million.

Of the rules that are valid at a moment and fit a report, the first decides: higher priority
before lower; a rule for its element before one for its group, before one for anything; a
smaller area before a larger, before everywhere; a newer rule before an older. ``rules`` puts
a territory's rules into that order once; ``pick`` takes the first that fits.
Caveat: a report fits an area by the areas it was assigned to, not by its point, so a rule
for a municipality also holds where only the municipality is known.
"""

from __future__ import annotations

from data.vocabulary import FINAL, LEVELS

_ORDER = (
    "k.priority DESC, k.element_id IS NULL, k.group_code IS NULL,"
    " a.area_km2 NULLS LAST, k.valid_from DESC, k.id DESC"
)
_FIELDS = "id, element_id, group_code, area_id, party_id, priority, due_hours, valid_from, valid_to"
KEYS = ("element_id", *(f"{level}_id" for level in LEVELS))
_AREAS = ", ".join(f"f.{level}_id" for level in LEVELS)
#: As written in the partial index ix_report_open.
IS_OPEN = f"r.status NOT IN ({', '.join(str(int(status)) for status in sorted(FINAL))})"


def rules(name: str = "rules", condition: str = "true", more: str = "") -> str:
    """A CTE of the rules of ``:territory`` with their ``rank``, the first to decide at 1.

    Parameters
    ----------
    condition : on ``routing_rule k``; the others are left out.
    more : a SELECT of further rules in the order of fields of ``routing_rule`` used here.
    """
    joined = f" UNION ALL {more}" if more else ""
    # Served by ix_routing_rule_territory_id and pk_area.
    return f"""{name} AS MATERIALIZED (
      SELECT k.*, row_number() OVER (ORDER BY {_ORDER}) AS rank
      FROM (SELECT {_FIELDS} FROM routing_rule k WHERE territory_id = :territory AND {condition}{joined}) k
      LEFT JOIN area a ON a.id = k.area_id)"""


def pick(name: str = "rules", *, at: str = "f.at", areas: str = f"({_AREAS})") -> str:
    """A SELECT of the rule of ``f`` (element_id, group_code, areas, at), for a LATERAL join.

    Parameters
    ----------
    at : the moment, as SQL.
    areas : what follows ``k.area_id IN``, or a call of ANY after ``=``.
    """
    fits = f"k.area_id IN {areas}" if areas.startswith("(") else f"k.area_id = {areas}"
    return f"""SELECT k.id AS rule_id, k.party_id, k.due_hours FROM {name} k
      WHERE (k.element_id IS NULL OR k.element_id = f.element_id)
        AND (k.group_code IS NULL OR k.group_code = f.group_code)
        AND (k.area_id IS NULL OR {fits})
        AND k.valid_from <= {at} AND (k.valid_to IS NULL OR k.valid_to > {at})
      ORDER BY k.rank LIMIT 1"""


def keys(prefix: str) -> str:
    """The columns that decide about a report, 0 where there is none."""
    return ", ".join(f"coalesce({prefix}.{name}, 0) AS {name}" for name in KEYS)


def key(prefix: str) -> str:
    """``keys`` as one text: joined on one column, the planner knows that it is worth hashing."""
    return f"concat_ws(' ', {', '.join(f'coalesce({prefix}.{name}, 0)' for name in KEYS)})"


def moments() -> str:
    """A CTE of the moments at which a rule begins or ends, in order: between two, nothing changes."""
    return """moments AS MATERIALIZED (
      SELECT array_agg(DISTINCT t ORDER BY t) AS at
      FROM (SELECT valid_from AS t FROM rules UNION SELECT valid_to FROM rules WHERE valid_to IS NOT NULL) e)"""
