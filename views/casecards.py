"""One report as HTML: its head, its facts, its history in words, other reports as lines.

As in ``views/cards.py``: everything from data or a person is escaped. A history says who
did what and when, and what a step changed from what to what; in Arabic the Hijri date
stands beside the Gregorian one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from data.actions import Step
from data.cases import Case, Decided, Mention, Name
from data.life import BEFORE, Action
from data.replay import standing_steps
from data.vocabulary import FINAL
from views.cards import esc, title
from views.filing.what import UNITS
from views.stepform import ORDER
from views.urgency import limit_mark, moment, severity_mark, status_mark
from views.words import Words, number, short

#: Lines of a report's facts, in order.
FACTS = ("opened", "closed", "limit", "place", "owner", "contractor", "quantity", "channel", "source", "rule")
_SHOWN = tuple(name for name in ORDER if name not in ("photos", "of"))


def pick(words: Words, name: Name | None) -> str:
    """A name in the reader's language; "" without one."""
    return "" if name is None or not (name.ar or name.en) else words.pick(name.ar, name.en)


def kind(words: Words, case: Case) -> str:
    """What the report is about."""
    return pick(words, case.element) or case.type or words("case.unknown_element")


def late_days(case: Case, now: dt.datetime) -> float | None:
    """Days past the limit, at the end or now; negative before it, None without a limit."""
    if case.due is None:
        return None
    ended = case.closed if case.status in FINAL and case.closed else now
    return (ended - case.due).total_seconds() / 86400


def head(words: Words, case: Case, now: dt.datetime) -> str:
    """Reference, kind, state, severity and how it stands against its limit."""
    return (
        f'<div class="rd-case" id="rd-case" data-id="{case.id}" data-seq="{case.seq}"'
        f' data-status="{int(case.status)}"><h1><bdi>{esc(kind(words, case))}</bdi></h1>'
        f"<p>{status_mark(words, case.status)}{limit_mark(words, late_days(case, now))}"
        f"{severity_mark(words, case.severity)}"
        f'<code dir="ltr">{esc(case.reference)}</code></p></div>'
    )


def facts(words: Words, case: Case, now: dt.datetime, zone: ZoneInfo) -> str:
    """What is known of it, as labelled lines."""
    place = " – ".join(p for p in (pick(words, case.municipality), pick(words, case.district)) if p)
    quantity = ""
    if case.quantity is not None:
        quantity = amount(words, case, case.quantity)
    ended = case.closed if case.status in FINAL and case.closed else now
    age = words.plural("inboxcount.days_old", max((ended - case.opened).days, 0))
    values = (
        f"{moment(words, case.opened, zone, hijri=True)} ({age})",
        moment(words, case.closed, zone, hijri=True) if case.closed else "",
        moment(words, case.due, zone, hijri=True) if case.due else words("inbox.no_limit"),
        place or words("map.no_area"),
        _party(words, case, case.agency_id, case.agency_text) or words("case.no_owner"),
        _party(words, case, case.contractor_id, case.contractor_text),
        quantity,
        words.channel(case.channel),
        case.source,
        rule(words, case.rule) if case.agency_id else "",
    )
    body = "".join(
        f"<dt>{esc(words(f'case.{name}'))}</dt><dd><bdi>{esc(text)}</bdi></dd>"
        for name, text in zip(FACTS, values, strict=True)
        if text
    )
    return f'<dl class="rd-dl">{body}</dl>'


def _party(words: Words, case: Case, party: int | None, written: str | None) -> str:
    """A party's name, with the source's wording where that is another one."""
    name = pick(words, case.parties.get(party)) if party is not None else ""
    if not name:
        return written or ""
    if written and written not in (case.parties[party].ar, case.parties[party].en):  # type: ignore[index]
        return f"{name} ({words('case.as_written', text=written)})"
    return name


def apart(text: str) -> str:
    """A text between Unicode's isolates: it may run against the sentence that it stands in."""
    return f"\u2068{text}\u2069"


def unit(words: Words, given: str | None) -> str:
    """A unit in the reader's language where it is one of the taxonomy's, else as the source writes it."""
    code = UNITS.get((given or "").partition(" ")[0])
    return words(f"workunit.{code}") if code else given or ""


def amount(words: Words, case: Case, value: float) -> str:
    """A quantity with its unit."""
    return f"{short(value)} {unit(words, case.unit)}".strip()


def rule(words: Words, found: Decided | None) -> str:
    """Which rule decided, in a sentence."""
    if found is None:
        return words("case.rule_none")
    text = words(
        "case.rule_text",
        n=found.id,
        kind=pick(words, found.kind) or words("case.rule_any"),
        area=pick(words, found.area) or words("case.rule_everywhere"),
        party=pick(words, found.party),
    )
    more = []
    if found.due_hours is not None:
        more.append(words("case.rule_limit", n=short(found.due_hours)))
    if found.assumed:
        more.append(words("case.rule_assumed"))
    if found.ended:
        more.append(words("case.rule_ended"))
    return " · ".join([text, *more])


# ---- history ----


def timeline(words: Words, case: Case, zone: ZoneInfo) -> str:
    """The steps, the newest first; each with its state, who and when, and what it says."""
    rows = "".join(_step(words, case, step, zone) for step in reversed(standing_steps(case.steps)))
    return f'{title(words("case.timeline"))}<ol class="rd-time">{rows}</ol>'


def _step(words: Words, case: Case, step: Step, zone: ZoneInfo) -> str:
    opening = step.seq == 0
    name = "case.opened" if opening else f"action.{step.action.name.lower()}"
    when = moment(words, step.at, zone, hijri=True) if step.at else words("case.unknown_time")
    who = _who(words, case, step)
    kept = words.status(step.status)
    state = "" if step.action is Action.COMMENT else f'<span class="rd-to"><bdi>{esc(kept)}</bdi></span>'
    lines = "".join(f"<li><bdi>{esc(text)}</bdi></li>" for text in told(words, case, step, zone))
    return (
        f'<li data-seq="{step.seq}" data-action="{int(step.action)}"><p><b>{esc(words(name))}</b>{state}</p>'
        f'<p class="rd-sub"><bdi>{esc(when)}</bdi>{f" · <bdi>{esc(who)}</bdi>" if who else ""}</p>'
        f"{f'<ul>{lines}</ul>' if lines else ''}</li>"
    )


def _who(words: Words, case: Case, step: Step) -> str:
    if step.actor_id is None:
        if step.batch_id is None:
            return ""
        source, role = words("case.told_by", source=case.source), step.detail.get("role")
        return f"{source} · {words(f'role.{role}')}" if role else source
    name, acted = case.actors.get(step.actor_id, ("", None))
    if acted is None:
        return ""
    said = words(f"role.{acted}")
    return words("case.by", name=name, role=said) if name else said


def told(words: Words, case: Case, step: Step, zone: ZoneInfo) -> list[str]:
    """What a step says and changes, a line each; photos and duplicates are shown elsewhere."""
    before: Mapping[str, object] = step.detail.get(BEFORE) or {}
    lines = []
    for name in _SHOWN:
        if name not in step.detail:
            continue
        label, now = words(f"detail.{name}"), value(words, case, name, step.detail[name], zone)
        was = value(words, case, name, before.get(name), zone)
        if was and was != now:
            lines.append(words("case.changed", what=label, before=apart(was), after=apart(now)))
        else:
            lines.append(words("case.said", what=label, value=apart(now)))
    if step.detail.get("photos"):
        lines.append(
            words("case.said", what=words("detail.photos"), value=number(len(step.detail["photos"])))
        )
    return lines


def value(words: Words, case: Case, name: str, given: object, zone: ZoneInfo) -> str:
    """One value of a detail in words; "" for nothing."""
    if given is None:
        return ""
    if name == "element_id" and isinstance(given, int):
        return pick(words, case.elements.get(given)) or str(given)
    if name in ("agency_id", "contractor_id") and isinstance(given, int):
        return pick(words, case.parties.get(given)) or str(given)
    if name == "severity" and isinstance(given, int):
        return words("case.of_five", n=number(given))
    if name == "quantity" and isinstance(given, int | float):
        return amount(words, case, float(given))
    if name == "due_at" and isinstance(given, str):
        return moment(words, dt.datetime.fromisoformat(given), zone)
    return str(given)


# ---- other reports ----


def mention(words: Words, one: Mention, zone: ZoneInfo) -> str:
    """Another report in a line; its link stands beside it."""
    far = f" · <bdi>{esc(words('case.metres', n=number(one.metres)))}</bdi>" if one.metres is not None else ""
    return (
        f'<div class="rd-mention"><p><bdi>{esc(pick(words, one.element) or words("case.unknown_element"))}</bdi>'
        f" {status_mark(words, one.status)}</p>"
        f'<p class="rd-sub"><code dir="ltr">{esc(one.reference)}</code> · '
        f"<bdi>{esc(moment(words, one.opened, zone))}</bdi>{far}</p></div>"
    )


def conflict(
    words: Words,
    case: Case,
    since: Sequence[Step],
    typed: Sequence[tuple[str, str]],
    zone: ZoneInfo,
    *,
    gone: bool,
) -> str:
    """What somebody else did meanwhile; ``typed`` is shown where its form is gone."""
    rows = "".join(_step(words, case, step, zone) for step in since)
    kept = words("case.conflict_typed" if gone else "case.conflict_keep")
    lines = ""
    if gone:
        lines = "".join(f"<li>{esc(label)}: <bdi>{esc(text)}</bdi></li>" for label, text in typed)
        lines = f"<ul>{lines}</ul>"
    return (
        f'<div class="rd-conflict" role="alert"><h3>{esc(words("case.conflict"))}</h3>'
        f'<p>{esc(words("case.conflict_text"))}</p><ol class="rd-time">{rows}</ol>'
        f"<p>{esc(kept)}</p>{lines}</div>"
    )
