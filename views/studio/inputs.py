"""The inputs of a campaign: five at first sight, the others behind "more".

Every widget is bound to the address under the kind's first letter (``i_days``), so that
each kind keeps its own values. What is drawn here is read back through ``codes.read``, the
same way as a kept scenario, so that a link and a click cannot mean different terms.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import streamlit as st

from data.plan import TARGETS, AxisTerms, CampaignTerms, Kind, Terms
from geo.roads import CLASSES
from views import cards, controls, state
from views.studio import codes, usual
from views.studio.setting import Options
from views.words import Words, number, short

WIDTH = 168  # px of an input at first sight: five stand in a line on a laptop


def key(kind: Kind, name: str) -> str:
    return f"{kind[0]}_{name}"


def bound(kind: Kind) -> dict[str, str]:
    """What this run bound for a kind, as texts without the prefix."""
    prefix = key(kind, "")
    return {k.removeprefix(prefix): text for k, text in state.bound().items() if k.startswith(prefix)}


def load(kind: Kind, texts: Mapping[str, str]) -> None:
    """Put the terms of a kept scenario into the inputs; call it in a callback."""
    prefix = key(kind, "")
    for name in [k for k in st.session_state if str(k).startswith(prefix)]:
        state.reset(str(name))
    for name, text in texts.items():
        st.session_state[prefix + name] = _typed(name, text)


def _typed(name: str, text: str) -> object:
    """A text as its widget holds it."""
    if name == "start":
        return codes.day({name: text}, name, dt.date.min)
    if name in ("each", "least"):
        return [int(part) for part in text.split(",")]
    if name in ("sevs", "costs", "classes"):
        return text.split(",")
    if name == "one":
        return text != "0"
    if name == "size":
        return text
    return text


def draw(words: Words, kind: Kind, offered: Options) -> Terms:
    """Draw the inputs of a kind and return what they say."""
    if kind == "axes":
        _axes(words, offered)
    else:
        _areas(words, kind, offered)
    for name in ("pin", "out", "incl", "bases"):
        state.text(key(kind, name))
    return codes.read(kind, bound(kind))


def plain(text: str) -> str:
    """A name for a widget's label, which Streamlit reads as Markdown: with every sign as it is."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def told(words: Words, terms: Terms) -> str:
    """The terms in a few words, as the head of a scenario."""
    if isinstance(terms, AxisTerms):
        return words("told.axes", budget=short(terms.budget / 1e6), length=number(terms.length_m))
    text = words(
        f"told.{terms.kind}",
        teams=number(terms.teams),
        days=number(terms.days),
        hours=short(terms.hours),
        areas=number(terms.number_of_areas),
        volunteers=number(terms.volunteers),
    )
    if terms.pinned:
        text += words("told.pinned", n=number(len(terms.pinned)))
    if terms.keep_out:
        text += words("told.out", n=number(len(terms.keep_out)))
    return text


@contextmanager
def _row(name: str) -> Iterator[None]:
    """Inputs beside each other, in a new line where there is no room."""
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"rasd_row_{name}"):
        yield


def _whole(words: Words, kind: Kind, name: str, *, help: bool = False, step: int = 1) -> int:
    default, low, high = codes.WHOLE[name][kind]
    k = key(kind, name)
    value = state.whole(k, default, low, high)
    label, more = words(f"terms.{name}"), words(f"termshelp.{name}") if help else None
    st.number_input(label, low, high, step=step, key=k, help=more, width=WIDTH)
    return value


def _decimal(
    words: Words, kind: Kind, name: str, step: float, *, help: bool = False, form: str = "%.1f"
) -> float:
    default, low, high = codes.DECIMAL[name][kind]
    k = key(kind, name)
    value = state.decimal(k, default, low, high)
    label, more = words(f"terms.{name}"), words(f"termshelp.{name}") if help else None
    st.number_input(label, low, high, step=step, format=form, key=k, help=more, width=WIDTH)
    return value


# ---- inspection and community ----


def _areas(words: Words, kind: Kind, offered: Options) -> None:
    with _row("first"):
        k = key(kind, "start")
        low, high = dt.date(2000, 1, 1), dt.date(2100, 12, 31)
        state.day(k, offered.first_day, low, high)
        st.date_input(words("terms.start"), key=k, min_value=low, max_value=high, width=WIDTH)
        _whole(words, kind, "days", help=True)
        _whole(words, kind, "teams")
        if kind == "community":
            _whole(words, kind, "volunteers", help=True)
        _decimal(words, kind, "hours", 0.5, help=True)
        if kind == "inspection":
            _number_of_areas(words, kind)
    with st.expander(words("terms.more"), key=f"rasd_more_{kind}"):
        _effort(words, kind, offered)
        _targets(words, kind)
        _severity(words, kind, offered)
        _rules(words, kind, offered)
        _bases(words, kind)


def _number_of_areas(words: Words, kind: Kind) -> None:
    """As many as suit the teams and weeks, until the reader says something else."""
    k, before = key(kind, "areas"), f"_usual_areas_{kind}"
    read = codes.read(kind, {name: text for name, text in bound(kind).items() if name in ("teams", "days")})
    usual_areas = read.number_of_areas if isinstance(read, CampaignTerms) else codes.AREAS[0]
    if not state.arrived() and st.session_state.get(k) == st.session_state.get(before):
        st.session_state[k] = usual_areas
    st.session_state[before] = usual_areas
    state.whole(k, usual_areas, *codes.AREAS)
    st.number_input(
        words("terms.areas"), *codes.AREAS, step=1, key=k, help=words("termshelp.areas"), width=WIDTH
    )


def _effort(words: Words, kind: Kind, offered: Options) -> None:
    st.html(cards.title(words("terms.effort")))
    with _row("effort"):
        if kind == "community":
            _number_of_areas(words, kind)
        _decimal(words, kind, "msite", 1.0, help=True)
        _decimal(words, kind, "mkm", 0.5, help=True)
        _decimal(words, kind, "km2", 1.0, help=True)
        _whole(words, kind, "since", help=True)
        weekends = {code: words(f"weekend.{code}") for code in codes.WEEKENDS}
        controls.choice(key(kind, "wend"), words("terms.wend"), weekends, codes.WEEKENDS[0])
        labels = {"auto": words("method.size_auto")} | {
            str(r): words("units.km2", km2=short(km2)) for r, km2 in offered.sizes
        }
        controls.choice(key(kind, "size"), words("method.size"), labels, "auto", words("method.size_help"))


def _targets(words: Words, kind: Kind) -> None:
    st.html(cards.title(words("terms.targets")) + cards.note(words("terms.targets_note")))
    with _row("targets"):
        for target in TARGETS:
            k = key(kind, f"w_{target}")
            default = usual.target_weight(kind, target)
            state.decimal(k, default, *codes.WEIGHT[1:])
            st.number_input(
                words(f"target.{target}"),
                *codes.WEIGHT[1:],
                step=0.5,
                format="%.1f",
                key=k,
                help=words(f"targethelp.{target}"),
                width=WIDTH,
            )


def _severity(words: Words, kind: Kind, offered: Options) -> None:
    st.html(cards.title(words("terms.severity")) + cards.note(words("terms.severity_note")))
    k = key(kind, "sevs")
    chosen = state.many(k, list(offered.elements))
    labels = {c: f"{name} ({short(usual.severity(c))})" for c, name in offered.elements.items()}
    st.multiselect(
        words("terms.sevs"),
        list(offered.elements),
        key=k,
        format_func=labels.__getitem__,
        placeholder=words("terms.as_usual"),
    )
    with _row("severity"):
        for code in chosen:
            own = key(kind, f"sw_{code}")
            # Always written: a weight that equals the usual one is still the reader's own.
            state.decimal(own, usual.severity(code), *codes.WEIGHT[1:], always=True)
            st.number_input(
                plain(offered.elements[code]),
                *codes.WEIGHT[1:],
                step=0.1,
                format="%.2f",
                key=own,
                width=WIDTH,
            )


def _rules(words: Words, kind: Kind, offered: Options) -> None:
    st.html(cards.title(words("terms.rules")))
    if offered.municipalities:
        k = key(kind, "each")
        state.many(k, list(offered.municipalities))
        st.multiselect(
            words("terms.each"),
            list(offered.municipalities),
            key=k,
            format_func=dict(offered.municipalities).__getitem__,
            placeholder=words("terms.none"),
            help=words("termshelp.each"),
        )
        _least(words, kind, offered.municipalities)
        controls.switch(key(kind, "one"), words("terms.one"), words("termshelp.one"), default=True)
    _cells(words, kind)


def _least(words: Words, kind: Kind, municipalities: Mapping[int, str]) -> None:
    """A least share for each chosen municipality, in percent."""
    k = key(kind, "least")
    chosen = state.many(k, list(municipalities))
    st.multiselect(
        words("terms.least"),
        list(municipalities),
        key=k,
        format_func=dict(municipalities).__getitem__,
        placeholder=words("terms.none"),
        help=words("termshelp.least"),
    )
    with _row(f"least_{kind}"):
        for area in chosen:
            own = key(kind, f"ls_{area}")
            state.whole(own, *codes.SHARE, always=True)
            st.number_input(
                words("terms.share_of", name=plain(municipalities[area])),
                *codes.SHARE[1:],
                step=5,
                key=own,
                width=WIDTH,
            )


def _cells(words: Words, kind: Kind) -> None:
    """How many hexagons are kept out or must be in; they are chosen on the map."""
    kept = {name: state.text(key(kind, name)) for name in ("out", "incl", "pin")}
    out, inside = len(codes.unpack_cells(kept["out"])), len(codes.unpack_cells(kept["incl"]))
    pinned = len([part for part in kept["pin"].split(".") if part])
    st.html(cards.note(words("terms.cells_note")))
    with _row("cells"):
        for name, n, label in (
            ("out", out, "terms.clear_out"),
            ("incl", inside, "terms.clear_incl"),
            ("pin", pinned, "terms.clear_pin"),
        ):
            st.button(
                words(label, n=number(n)),
                key=f"clear_{kind}_{name}",
                disabled=not n,
                on_click=set_text,
                args=(kind, name, ""),
            )


def _bases(words: Words, kind: Kind) -> None:
    """The teams' bases; places are taken from the map, names typed here."""
    st.html(cards.title(words("terms.bases")) + cards.note(words("terms.bases_note")))
    bases = codes.read_bases(state.text(key(kind, "bases")))
    for at, base in enumerate(bases):
        with _row(f"base_{at}"):
            own = f"_base_{kind}_{at}"
            st.session_state.setdefault(own, base.name)
            st.text_input(
                words("terms.base_at", lat=f"{base.lat:.4f}", lon=f"{base.lon:.4f}"),
                key=own,
                max_chars=60,
                on_change=_rename,
                args=(kind, at),
                width=2 * WIDTH,
            )
            st.button(
                words("terms.remove"), key=f"base_remove_{kind}_{at}", on_click=_remove, args=(kind, at)
            )


def set_text(kind: Kind, name: str, text: str) -> None:
    """Change what the map chooses: pinned areas, hexagons kept out or in, bases."""
    st.session_state[key(kind, name)] = text


def _rename(kind: Kind, at: int) -> None:
    bases = list(codes.read_bases(st.session_state[key(kind, "bases")]))
    if at < len(bases):
        bases[at] = codes.Base(str(st.session_state[f"_base_{kind}_{at}"]), bases[at].lon, bases[at].lat)
        set_text(kind, "bases", codes.base_text(bases))


def _remove(kind: Kind, at: int) -> None:
    bases = codes.read_bases(st.session_state[key(kind, "bases")])
    for k in range(len(bases)):
        st.session_state.pop(f"_base_{kind}_{k}", None)
    set_text(kind, "bases", codes.base_text([b for k, b in enumerate(bases) if k != at]))


# ---- axes ----


def _axes(words: Words, offered: Options) -> None:
    kind: Kind = "axes"
    with _row("first"):
        _decimal(words, kind, "budget", 1.0, help=True)
        _whole(words, kind, "length", help=True, step=100)
        _whole(words, kind, "snap", help=True, step=5)
        _many(words, "classes", {c: words(f"road.{c}") for c in CLASSES}, "terms.main_roads")
    with st.expander(words("terms.more"), key="rasd_more_axes"):
        if offered.municipalities:
            _least(words, kind, offered.municipalities)
        works = usual.work_costs()
        chosen = _many(
            words,
            "costs",
            {c: f"{words.pick(*names)} ({number(cost / 1e6, 1)})" for c, (names, cost) in works.items()},
            "terms.as_usual",
        )
        with _row("costs"):
            for code in chosen:
                own = key(kind, f"co_{code}")
                state.decimal(own, works[code][1] / 1e6, *codes.COST[1:], always=True)
                st.number_input(
                    words.pick(*works[code][0]),
                    *codes.COST[1:],
                    step=0.1,
                    format="%.2f",
                    key=own,
                    width=WIDTH,
                )


def _many(words: Words, name: str, labels: Mapping[str, str], empty: str) -> Sequence[str]:
    k = key("axes", name)
    chosen = state.many(k, list(labels))
    st.multiselect(
        words(f"terms.{name}"),
        list(labels),
        key=k,
        format_func=dict(labels).__getitem__,
        placeholder=words(empty),
        help=words(f"termshelp.{name}"),
        width=2 * WIDTH,
    )
    return chosen
