"""The usual weights and costs that the inputs start from: the reference tables of ``data/``."""

from __future__ import annotations

from data.analyses import works
from data.analyses.kinds import DEFAULT, element_terms, target_terms
from data.plan import Kind


def target_weight(kind: Kind, target: str) -> float:
    """The weight of a kind of target in a kind of campaign."""
    row = target_terms()[target]
    return row.weight_community if kind == "community" else row.weight


def severity(code: str) -> float:
    """The weight of finding an element."""
    rows = element_terms()
    return rows.get(code, rows[DEFAULT]).weight


def limit_days(code: str) -> float:
    """Days after which an open report of an element is overdue."""
    rows = element_terms()
    return rows.get(code, rows[DEFAULT]).limit_days


def work_costs() -> dict[str, tuple[tuple[str, str], float]]:
    """SAR per km by class of work, with its names in Arabic and English."""
    return works.work_costs()
