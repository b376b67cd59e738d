"""Rules that cannot all be met: which of them clash.

First what needs no search (a cell that must be visited and is kept out, two pinned areas
that overlap). Then, where no choice meets all rules, rules are left out one after the other
for as long as the rest still clash (deletion filter, Chinneck & Dravnieks 1991): what
remains is minimal, each of it is needed for the clash. Caveat: unless all areas were
candidates, a clash says that no choice was found, not that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geo.errors import InputError
from geo.master import Master, Rule, Tick
from geo.patches import Field, Patch


@dataclass(frozen=True, slots=True)
class Clashing:
    """One rule of a clash.

    Attributes
    ----------
    code : of its words, ``clash_<what>``: must, must_closed, must_far, each_group,
        group_closed, least_share, pinned_closed, pinned_far, pinned_apart, pinned_overlap,
        pinned_many, areas.
    number : position of the ``must`` or ``pinned`` set, or the group; -1 for none.
    value : the share, or the number of areas.
    """

    code: str
    number: int = -1
    value: float = 0.0


class ClashError(InputError):
    """Rules of a campaign that cannot all be met.

    Attributes
    ----------
    rules : of the clash; none of them can be spared.
    proven : no choice exists; else none was found.
    """

    def __init__(self, rules: Sequence[Clashing], proven: bool) -> None:
        self.rules, self.proven = tuple(rules), proven
        told = "; ".join(_told(rule) for rule in self.rules)
        end = "" if proven else " (no way was found; that there is none is not proven)"
        super().__init__(f"These rules cannot all be met: {told}{end}. Change at least one of them.")


def _told(rule: Clashing) -> str:
    number = rule.number + 1
    return {
        "clash_areas": f"at most {rule.value:g} areas",
        "clash_must": f"an area at place {number} that must be visited",
        "clash_must_closed": f"place {number} must be visited and is kept out",
        "clash_must_far": f"place {number} must be visited and no team has the hours to get there",
        "clash_each_group": f"an area in municipality {rule.number}",
        "clash_group_closed": f"an area in municipality {rule.number}, where every cell is kept out or too far",
        "clash_least_share": f"{rule.value:.0%} of the hours in municipality {rule.number}",
        "clash_pinned_closed": f"pinned area {number} has cells that are kept out",
        "clash_pinned_far": f"pinned area {number} takes more hours to get through than a team has",
        "clash_pinned_apart": f"pinned area {number} is not in one piece",
        "clash_pinned_overlap": f"pinned area {number} has cells of an earlier one",
        "clash_pinned_many": f"{rule.value:g} areas are pinned",
    }[rule.code]


def rules_of(field: Field) -> list[Rule]:
    """The rules that concern several areas, each once."""
    limits = field.limits
    rules = [Rule("must", number) for number in range(len(limits.must))]
    rules += [Rule("each_group", group) for group in dict.fromkeys(limits.each_group)]
    return rules + [Rule("least_share", group, share) for group, share in limits.least_share if share > 0]


def check_plain(field: Field) -> None:
    """Clashes that need no search.

    Raises
    ------
    ClashError : of the first kind that is found, with all of that kind.
    """
    limits, effort = field.limits, field.effort
    found: list[Clashing] = []
    taken = np.zeros(len(effort.cells), bool)
    for number, one in enumerate(limits.pinned):
        if field.closed[one].any():
            found.append(Clashing("clash_pinned_closed", number))
        if taken[one].any() or len(np.unique(one)) < len(one):
            found.append(Clashing("clash_pinned_overlap", number))
        taken[one] = True
        if not field.connected(one.tolist()):
            found.append(Clashing("clash_pinned_apart", number))
        if field.spend(np.unique(one), field.hours(np.unique(one))) is None:
            found.append(Clashing("clash_pinned_far", number))
    for number, one in enumerate(limits.must):
        if field.closed[one].all():
            found.append(Clashing("clash_must_closed", number))
        elif not (field.open[one] | taken[one]).any():
            found.append(Clashing("clash_must_far", number))
    for group in dict.fromkeys((*limits.each_group, *(g for g, s in limits.least_share if s > 0))):
        if not ((field.open | taken) & (field.group == group)).any():
            found.append(Clashing("clash_group_closed", group))
    if found:
        raise ClashError(found, True)
    if len(limits.pinned) > limits.areas:
        pinned = Clashing("clash_pinned_many", value=len(limits.pinned))
        raise ClashError([pinned, Clashing("clash_areas", value=limits.areas)], True)


def clash(
    field: Field, patches: Sequence[Patch], areas: int, complete: bool, tick: Tick | None
) -> ClashError:
    """The smallest set of rules that no choice among these candidates meets."""
    needed = rules_of(field)
    for rule in list(needed):
        fewer = [other for other in needed if other is not rule]
        if not Master(field, patches, areas, fewer).possible(tick):
            needed = fewer
    rules = [Clashing(f"clash_{rule.kind}", rule.number, rule.value) for rule in needed]
    # That many areas would do is no rule of the clash when one more place would not help.
    if Master(field, patches, areas + len(needed), needed).possible(tick):
        rules.append(Clashing("clash_areas", value=areas))
    groups = {rule.number for rule in needed if rule.kind == "each_group"}
    plain = field.limits.one_group and len(groups) == len(needed) and len(groups) > areas
    return ClashError(rules, complete or plain)
