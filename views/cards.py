"""Small pieces of HTML: figures, ranked lists, cards, notes. Sentences: ``views/notices.py``.

Every function returns HTML text for ``st.html``; every value that comes from data or from
a person goes through ``html.escape``. Words come from the catalogue that is handed in.
Buttons carry ``data-rasd`` attributes; ``static/rasd/shell.js`` hands them to the map.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Sequence
from dataclasses import dataclass

from data.listing import ReportLine
from data.maps import CellDetail, LeftOut, Part
from data.summaries import AreaRank, Headline, MonthCount
from data.vocabulary import OPEN
from views.method import Finding, History
from views.words import Words, number, short

TOP_PARTS = 5
LONG_FACT = 13  # characters
ENOUGH_CLASSIFIED = 0.9  # below this share of classified reports a cell's types say more


@dataclass(frozen=True, slots=True)
class RankedCell:
    """One line of the list of hexagons, or of outlines where it has a ``number``.

    ``value`` is shown, ``weight`` makes the bar; ``beside`` stands below the name.
    """

    lat: float
    lng: float
    resolution: int
    name: str
    beside: str
    value: str
    weight: float
    number: int | None = None


def esc(value: object) -> str:
    return html.escape(str(value), quote=True)


def bar(share: float) -> str:
    """A thin bar, ``share`` of full width (0 to 1)."""
    return f'<u class="rd-bar"><s style="width:{100 * min(max(share, 0), 1):.1f}%"></s></u>'


def brand(words: Words) -> str:
    return (
        '<div class="rd-brand"><img src="app/static/icon.png" alt="" width="34" height="34">'
        f"<div><b>{esc(words('app.name'))}</b><span>{esc(words('app.subtitle'))}</span></div></div>"
    )


def head(words: Words, territory: str, period: str, title: str = "page.title") -> str:
    return (
        f'<div class="rd-head"><h1>{esc(words(title))}</h1>'
        f"<p><bdi>{esc(territory)}</bdi> · <bdi>{esc(period)}</bdi></p>"
        '<button class="rd-btn rd-link" type="button" data-rasd="copy"'
        f' data-done="{esc(words("link.done"))}">'
        f"{esc(words('link.copy'))}</button></div>"
    )


def title(text: str) -> str:
    return f'<h3 class="rd-title">{esc(text)}</h3>'


def note(text: str) -> str:
    return f'<p class="rd-note">{esc(text)}</p>'


def bullets(sentences: Sequence[str]) -> str:
    """A short list of sentences."""
    return f'<ul class="rd-lines">{"".join(f"<li><bdi>{esc(text)}</bdi></li>" for text in sentences)}</ul>'


def spark(values: Sequence[float], kind: str = "rd-spark", marks: Sequence[str] = ()) -> str:
    """A row of small bars, oldest first from the left in both languages.

    Plain boxes, because Streamlit's sanitiser takes SVG out. A marked bar ("hot", "cold")
    has a sign above it as well as a colour.
    """
    if len(values) < 2:
        return ""
    top = max(values) or 1
    signs = [f' class="rd-{mark}"' if mark else "" for mark in marks] or [""] * len(values)
    bars = "".join(
        f'<i{sign}><s style="height:{max(100 * v / top, 2 if v else 0):.0f}%"></s></i>'
        for v, sign in zip(values, signs, strict=True)
    )
    return f'<div class="{kind}" dir="ltr" aria-hidden="true">{bars}</div>'


def figures(
    words: Words, headline: Headline, months: Sequence[MonthCount], *, incidents: bool = False
) -> str:
    """The four figures on top; two by two on a phone."""
    counted = words("kpi.incidents") if incidents else words("kpi.reports")
    share = None if headline.closed_share is None else f"{number(100 * headline.closed_share, 1)}"
    open_share = number(100 * headline.open / headline.reports, 1) if headline.reports else None
    span = ""
    if headline.first and headline.last:
        first, last = words.month(headline.first), words.month(headline.last)
        span = first if first == last else words("kpi.span", first=first, last=last)
    days = headline.median_days_to_close
    cells = [
        (counted, number(headline.reports), span, spark([m.count for m in months])),
        (
            words("kpi.open"),
            number(headline.open),
            words("kpi.open_share", share=words("units.percent", n=open_share)) if open_share else "",
            spark([m.open for m in months]),
        ),
        (
            words("kpi.closed_share"),
            words("units.percent", n=share) if share else "—",
            words("kpi.of_reports"),
            "",
        ),
        (
            words("kpi.median_days"),
            short(days) if days is not None else "—",
            words("kpi.days_note") if days is not None else words("kpi.none"),
            "",
        ),
    ]
    body = "".join(
        f'<div class="rd-kpi"><span>{esc(label)}</span><b><bdi>{esc(value)}</bdi></b>'
        f"<small>{esc(small)}</small>{chart}</div>"
        for label, value, small, chart in cells
    )
    return f'<div class="rd-kpis">{body}</div>'


def shown(words: Words, count: int, left_out: LeftOut, *, incidents: bool = False) -> str:
    """How many reports (or incidents) the map shows, how many not, and why."""
    forms = "units.incidents" if incidents else "units.reports"
    parts = []
    if left_out.no_point:
        text = f"{words('shown.no_point')} {number(left_out.no_point)}"
        if left_out.area_only:
            text += f" ({words('shown.area_only')}: {number(left_out.area_only)})"
        parts.append(text)
    if left_out.default_points:
        parts.append(f"{words('shown.default_points')} {number(left_out.default_points)}")
    why = " · ".join(parts) if parts else ""
    out = words.plural(forms, left_out.total) if left_out.total else words("shown.nothing_left_out")
    return (
        f'<div class="rd-shown"><span>{esc(words("shown.on_map"))}: '
        f'<b id="rd-shown-count">{esc(words.plural(forms, count))}</b></span>'
        f"<span>{esc(words('shown.left_out'))}: <b>{esc(out)}</b>"
        f"{' — ' + esc(why) if why else ''}</span></div>"
    )


def ranked_areas(words: Words, level: str, rows: Sequence[AreaRank]) -> str:
    """Areas by count; each line shows its area on the map. Those without reports have no rank."""
    heading = title(words(f"rank.{level}"))
    top = max([1, *(r.count for r in rows)])
    lines = "".join(
        f'<button class="rd-row" type="button" data-rasd="area" data-id="{row.id}">'
        f"<i>{i if row.count else '–'}</i><span><bdi>{esc(words.pick(row.name_ar, row.name_en))}</bdi></span>"
        f"<b>{number(row.count)}</b>"
        f"<em>{esc(words('units.rate', rate=short(row.rate_km2)))}</em>{bar(row.count / top)}</button>"
        for i, row in enumerate(rows, 1)
    )
    return f'{heading}<div class="rd-scroll"><div class="rd-list">{lines}</div></div>'


def ranked_cells(words: Words, heading: str, rows: Sequence[RankedCell]) -> str:
    """Hexagons or outlines, best first; each line shows its place on the map."""
    if not rows:
        return f"<p>{esc(words('rank.none'))}</p>"
    top = max([1e-9, *(row.weight for row in rows)])
    lines = "".join(
        f'<button class="rd-row" type="button" {_target(row)}>'
        f"<i>{i}</i><span><bdi>{esc(row.name)}</bdi></span><b><bdi>{esc(row.value)}</bdi></b>"
        f"<em><bdi>{esc(row.beside)}</bdi></em>{bar(row.weight / top)}</button>"
        for i, row in enumerate(rows, 1)
    )
    return f'{title(heading)}<div class="rd-scroll"><div class="rd-list">{lines}</div></div>'


def _target(row: RankedCell) -> str:
    if row.number is not None:
        return f'data-rasd="outline" data-id="{row.number}"'
    return f'data-rasd="cell" data-lat="{row.lat:.5f}" data-lng="{row.lng:.5f}" data-res="{row.resolution}"'


def parts(words: Words, title: str, rows: Sequence[tuple[str, int]], total: int) -> str:
    """The largest parts of a whole as bars, the others added up."""
    if not rows or not total:
        return ""
    head_rows, rest = list(rows[:TOP_PARTS]), sum(n for _, n in rows[TOP_PARTS:])
    if rest:
        head_rows.append((words("card.rest"), rest))
    body = "".join(
        f'<div class="rd-part"><span><bdi>{esc(name)}</bdi></span><b>{number(n)}</b>{bar(n / total)}</div>'
        for name, n in head_rows
    )
    return f"<h4>{esc(title)}</h4>{body}"


def named(words: Words, rows: Sequence[Part]) -> list[tuple[str, int]]:
    return [(words.pick(r.name_ar, r.name_en), r.count) for r in rows]


def _close(words: Words) -> str:
    label = esc(words("card.close"))
    return (
        f'<button class="rd-x" type="button" data-rasd="close" aria-label="{label}" title="{label}">'
        "✕</button>"
    )


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    """Labelled values, three in a line; a long one takes a line of its own."""
    wide = ' class="rd-long"'
    body = "".join(
        f"<div{wide if len(value) > LONG_FACT else ''}><span>{esc(label)}</span>"
        f"<b><bdi>{esc(value)}</bdi></b></div>"
        for label, value in rows
    )
    return f'<div class="rd-facts">{body}</div>'


def finding(words: Words, found: Finding | None) -> str:
    """What the method says of the picked place, on top of its card."""
    if found is None:
        return ""
    text = f'<p class="rd-verdict"><bdi>{esc(found.verdict)}</bdi></p>' if found.verdict else ""
    return text + (_facts(found.facts) if found.facts else "")


def history(words: Words, past: History) -> str:
    """A place through time as bars, with the steps that the method marks."""
    if len(past.values) < 2:
        return ""
    heading = past.title or words(f"history.{past.step}")
    ends = f"{words.date(past.starts[0], hijri=False)} – {words.date(past.starts[-1], hijri=False)}"
    keys = "".join(
        f'<span class="rd-key rd-{mark}">{esc(words(f"history.{mark}"))}</span>'
        for mark in ("hot", "cold")
        if mark in past.marks
    )
    return (
        f"<h4>{esc(heading)}</h4>{spark(past.values, 'rd-months', past.marks)}"
        f'<p class="rd-ends" dir="ltr"><bdi>{esc(ends)}</bdi></p>{keys}'
    )


def cell_card(words: Words, detail: CellDetail, found: Finding | None = None) -> str:
    """What one hexagon holds, and what the method says of it."""
    place = (
        words.pick(detail.municipality_ar, detail.municipality_en)
        if detail.municipality_ar or detail.municipality_en
        else words("map.no_area")
    )
    sub = (
        words.pick(detail.district_ar, detail.district_en) if detail.district_ar or detail.district_en else ""
    )
    still_open = sum(p.count for p in detail.by_status if p.key in OPEN)
    classified = sum(p.count for p in detail.by_element if p.key is not None)
    by_kind = (
        parts(words, words("card.elements"), named(words, detail.by_element), detail.count)
        if classified >= ENOUGH_CLASSIFIED * detail.count
        else parts(words, words("card.types"), named(words, detail.by_type), detail.count)
    )
    dates = ""
    if detail.first and detail.last:
        first, last = (words.date(day, hijri=False) for day in (detail.first, detail.last))
        between = first if first == last else words("card.dates", first=first, last=last)
        dates = f'<p class="rd-sub">{esc(between)}</p>'
    past = found.history if found and found.history else None
    if past is None:
        starts, counts = zip(*detail.by_month, strict=True) if detail.by_month else ((), ())
        past = History("month", starts, counts)
    body = (
        _facts(
            [
                (words("kpi.reports"), number(detail.count)),
                (words("card.open"), number(still_open)),
                (words("card.rate"), short(detail.rate)),
            ]
        )
        + dates
        + history(words, past)
        + by_kind
        + parts(
            words,
            words("card.statuses"),
            [(words.status(int(p.key or 0)), p.count) for p in detail.by_status],
            detail.count,
        )
        + parts(
            words,
            words("card.channels"),
            [(words.channel(int(p.key or 0)), p.count) for p in detail.by_channel],
            detail.count,
        )
        if detail.count
        else f"<p>{esc(words('card.empty'))}</p>"
    )
    return (
        f'<div class="rd-card" id="rd-cell" data-count="{detail.count}"><div class="rd-top"><div>'
        f'<p class="rd-sub">{esc(words("card.cell"))} · '
        f"<bdi>{esc(words('units.km2', km2=short(detail.km2)))}</bdi></p>"
        f"<h3><bdi>{esc(place)}</bdi></h3>"
        + (f'<p class="rd-sub"><bdi>{esc(sub)}</bdi></p>' if sub else "")
        + f"</div>{_close(words)}</div>{finding(words, found)}{body}"
        f'<h4>{esc(words("card.id"))}</h4><code dir="ltr">{detail.cell:x}</code></div>'
    )


def outline_card(words: Words, found: Finding) -> str:
    """What a method says of one of its outlines."""
    past = history(words, found.history) if found.history else ""
    return (
        '<div class="rd-card" id="rd-outline"><div class="rd-top"><div>'
        f"<h3><bdi>{esc(found.title)}</bdi></h3></div>{_close(words)}</div>"
        f"{finding(words, found)}{past}</div>"
    )


def both(counts: Sequence[tuple[str, int]]) -> str:
    """One place's reports on each of two maps."""
    top = max(1, *(n for _, n in counts))
    body = "".join(
        f'<div class="rd-part"><span><bdi>{esc(name)}</bdi></span><b>{number(n)}</b>{bar(n / top)}</div>'
        for name, n in counts
    )
    return f'<div class="rd-both">{body}</div>'


def report_list(words: Words, lines: Sequence[ReportLine]) -> str:
    """Reports as a table that scrolls sideways where it must."""
    keys = ["list.reference", "list.opened", "list.closed", "list.kind", "list.status", "list.channel"]
    known = any(line.same for line in lines)
    # A source that knows days only gives midnight for all.
    form = "%Y-%m-%d %H:%M" if any(line.opened.time() != dt.time() for line in lines) else "%Y-%m-%d"
    heads = "".join(f"<th>{esc(words(key))}</th>" for key in [*keys, *(["list.same"] if known else [])])
    body = "".join(f"<tr>{''.join(_report_cells(words, line, known, form))}</tr>" for line in lines)
    return f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _report_cells(words: Words, line: ReportLine, known: bool, form: str) -> list[str]:
    kind = words.pick(line.element_ar, line.element_en) if line.element_ar or line.element_en else line.type
    same = number(line.same) if line.same else "–"
    values = [
        line.reference,
        line.opened.strftime(form),
        f"{line.closed:%Y-%m-%d}" if line.closed else "–",
        kind or words("card.unknown"),
        words.status(line.status),
        words.channel(line.channel),
        *([same] if known else []),
    ]
    return [f"<td><bdi>{esc(value)}</bdi></td>" for value in values]


def area_card(
    words: Words,
    row: AreaRank,
    headline: Headline | None,
    months: Sequence[MonthCount],
    kinds: Sequence[Part],
) -> str:
    """What one area holds; ``headline`` is of its reports alone, None where that is not asked."""
    days = headline.median_days_to_close if headline else None
    facts = [
        (words("kpi.reports"), number(row.count)),
        (words("card.open"), number(row.open)),
        (words("card.rate"), short(row.rate_km2)),
        (words("card.size"), words("units.km2", km2=short(row.area_km2))),
    ]
    if headline and headline.closed_share is not None:
        facts.append(
            (words("kpi.closed_share"), words("units.percent", n=number(100 * headline.closed_share, 1)))
        )
    if days is not None:
        facts.append((words("card.median"), short(days)))
    chart = spark([m.count for m in months], "rd-months")
    return (
        f'<div class="rd-card" id="rd-area" data-count="{row.count}"><div class="rd-top"><div>'
        f'<p class="rd-sub">{esc(words("card.area"))}</p>'
        f"<h3><bdi>{esc(words.pick(row.name_ar, row.name_en))}</bdi></h3></div>{_close(words)}</div>"
        + _facts(facts)
        + parts(words, words("card.kinds"), named(words, kinds), row.count)
        + (f"<h4>{esc(words('card.months'))}</h4>{chart}" if chart else "")
        + "</div>"
    )
