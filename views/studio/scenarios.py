"""What was asked for, and up to three scenarios side by side.

A proposal is shown for the terms that were asked for last, so that turning an input shows
nothing half done; the address says whether inputs and proposal agree (``go``). A scenario
is kept in the address as one text of filters and terms (``views/studio/codes.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from data.analyses.scenarios import Figures, figures
from data.plan import CampaignPlan, Kind, Terms
from data.query import ReportQuery
from data.vocabulary import Channel, Status
from views import cards, state
from views.cards import bar, esc
from views.studio import codes, inputs
from views.studio.proposals import ask
from views.studio.setting import Setting
from views.words import Words, number, short

SLOTS = ("s1", "s2", "s3")
Question = tuple[ReportQuery, Terms]
LETTERS = "ABC"


def bind() -> None:
    """Bind the kept scenarios to the address."""
    for slot in SLOTS:
        state.text(slot)


def asked(kind: Kind, query: ReportQuery, terms: Terms | None, *, pressed: bool) -> Question | None:
    """The question whose proposal the page shows."""
    kept: dict[Kind, Question] = st.session_state.setdefault("_asked", {})
    go = state.flag("go")
    solve = st.session_state.pop("_solve", False)
    if state.arrived():
        kept.pop(kind, None)
    if terms is not None and (pressed or solve or (state.arrived() and go)):
        kept[kind] = (query, terms)
    now = kept.get(kind)
    if now is not None and now[0].territory_id != query.territory_id:
        now = kept.pop(kind) and None
    state.say("go", terms is not None and now == (query, terms))
    return now


def kept() -> list[str]:
    """The kept scenarios' texts, without gaps."""
    return [text for slot in SLOTS if (text := str(st.session_state.get(slot) or ""))]


def _write(texts: Sequence[str]) -> None:
    for k, slot in enumerate(SLOTS):
        st.session_state[slot] = texts[k] if k < len(texts) else ""


def keep(question: Question) -> None:
    """Keep a question for comparison; the oldest one goes when all three places are taken."""
    text = codes.scenario(*question)
    _write([*(t for t in kept() if t != text), text][-len(SLOTS) :])


def _forget(text: str) -> None:
    _write([t for t in kept() if t != text])


def reopen(query: ReportQuery, terms: Terms) -> None:
    """Put a scenario into the inputs and filters and ask for it; call it in a callback."""
    st.session_state["what"] = terms.kind
    inputs.load(terms.kind, codes.write(terms))
    filters_of(query)
    st.session_state["_solve"] = True


def filters_of(query: ReportQuery) -> None:
    """The filters of a question, as the sidebar holds them."""
    s = st.session_state
    s["period"] = "custom" if query.start or query.end else "all"
    if query.start:
        s["from"] = query.start
    if query.end:
        s["to"] = query.end
    for code, name in codes.FILTERS.items():
        values = getattr(query, name)
        named = {"channel": Channel, "status": Status}.get(code)
        s[code] = [named(v).name.lower() for v in values] if named else list(values)
    s["defaults"] = query.default_points


# ---- side by side ----


def draw(setting: Setting, question: Question, plan: CampaignPlan) -> None:
    """The button that keeps this proposal, and the table of the kept ones."""
    words, own = setting.words, codes.scenario(*question)
    texts = [text for text in kept() if codes.read_scenario(setting.territory_id, text)]
    st.button(
        words("compare3.keep"),
        key="keep",
        disabled=own in texts,
        on_click=keep,
        args=(question,),
        help=words("compare3.keep_help"),
    )
    shown: list[tuple[str, Question, CampaignPlan]] = []
    for text in texts:
        found = codes.read_scenario(setting.territory_id, text)
        if found is None or found[1].kind != plan.kind:
            continue
        got = plan if text == own else ask(words, setting.version, *found).plan
        if got is not None:
            shown.append((text, found, got))
    if len(shown) < len(SLOTS) and own not in texts:
        shown.append(("", question, plan))
    if not texts:
        st.html(cards.note(words("compare3.none")))
        return
    rows = figures([p for _, _, p in shown], setting.municipalities)
    st.html(table(words, [(q[1], p) for _, q, p in shown], rows))
    with st.container(horizontal=True):
        for k, (text, (query, terms), _) in enumerate(shown):
            if not text:
                continue
            name = LETTERS[k]
            st.button(
                words("compare3.open", name=name),
                key=f"scenario_open_{k}",
                on_click=reopen,
                args=(query, terms),
                disabled=text == own,
            )
            st.button(
                words("compare3.remove", name=name),
                key=f"scenario_drop_{k}",
                on_click=_forget,
                args=(text,),
            )


def table(
    words: Words,
    scenarios: Sequence[tuple[Terms, CampaignPlan]],
    rows: Sequence[Figures],
) -> str:
    """Scenarios as columns, what to compare as lines; a bar shows the sizes."""
    heads = "".join(
        f'<th><b class="rd-disc">{LETTERS[k]}</b> <bdi>{esc(inputs.told(words, terms))}</bdi></th>'
        for k, (terms, _) in enumerate(scenarios)
    )
    body = ""
    for label, cells, sizes in _lines(words, rows):
        top = max([1e-9, *(sizes or [0])])
        tds = "".join(
            f"<td><bdi>{esc(cell)}</bdi>{bar(sizes[k] / top) if sizes else ''}</td>"
            for k, cell in enumerate(cells)
        )
        body += f"<tr><th>{esc(label)}</th>{tds}</tr>"
    return (
        f'<div class="rd-wide rd-scenarios"><table><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{cards.note(words('compare3.note'))}"
    )


def _lines(words: Words, rows: Sequence[Figures]) -> list[tuple[str, list[str], list[float] | None]]:
    """(label, cells, sizes of the bars) of each line."""
    axes = rows[0].finds is None
    out: list[tuple[str, list[str], list[float] | None]] = []
    if axes:
        out.append(
            (
                words("compare3.cost"),
                [words("studio.million", n=number(r.cost / 1e6, 1)) for r in rows],
                [r.cost for r in rows],
            )
        )
        out.append((words("compare3.km"), [short(r.km) for r in rows], [r.km for r in rows]))
        out.append((words("compare3.benefit"), [short(r.benefit) for r in rows], [r.benefit for r in rows]))
        out.append((words("compare3.stretches"), [number(r.areas) for r in rows], None))
    else:
        finds = [r.finds for r in rows if r.finds is not None]
        out.append(
            (
                words("compare3.finds"),
                [
                    words("studio.with_range", value=number(f.value), low=number(f.low), high=number(f.high))
                    for f in finds
                ],
                [f.value for f in finds],
            )
        )
        out.append((words("compare3.hours"), [number(r.hours) for r in rows], [r.hours for r in rows]))
        per = [r.finds.value / r.hours if r.finds and r.hours else 0.0 for r in rows]
        out.append((words("compare3.per_hour"), [number(v, 2) for v in per], per))
        out.append((words("compare3.areas"), [number(r.areas) for r in rows], None))
    out.append((words("compare3.municipalities"), [number(r.municipalities) for r in rows], None))
    out.append((words("compare3.gini"), ["–" if r.gini is None else number(r.gini, 2) for r in rows], None))
    out.append(
        (
            words("compare3.shares"),
            [
                words("compare3.share_range", least=number(100 * r.least), most=number(100 * r.most))
                for r in rows
            ],
            None,
        )
    )
    out.append(
        (
            words("compare3.overlap"),
            [
                words("compare3.first") if k == 0 else words("units.percent", n=number(100 * r.overlap))
                for k, r in enumerate(rows)
            ],
            None,
        )
    )
    return out
