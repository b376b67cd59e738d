"""Cards of a campaign's areas and stretches: the numbers, and in words what drives them.

HTML text for ``st.html``, everything from data or a person escaped, as in ``views/cards.py``.
A card's head carries ``data-rasd``: it shows its place on the map, and a click on the map
opens the same card.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.plan import CampaignPlan, Name, Part, PlannedArea, Site, Stretch
from views.cards import bar, esc, note, title
from views.studio import drawing, usual
from views.words import Words, number, short

TOP_ELEMENTS = 3
TOP_SITES = 12
TOP_DISTRICTS = 3
SITE_HEADS = ("day", "what", "why", "late", "chance", "reference")
RUN_HEADS = ("axis", "stretches", "km", "reports", "expected", "excess")
TOP_RUNS = 12
AXIS_HEADS = ("rank", "axis", "municipality", "km", "reports", "rate", "severity", "work", "cost", "chosen")


def named(words: Words, name: Name) -> str:
    return words.pick(name.ar, name.en)


def interval(words: Words, low: float, high: float) -> str:
    return words("studio.interval", low=number(max(low, 0.0)), high=number(high))


def _facts(rows: Sequence[tuple[str, str, str]]) -> str:
    """(label, value, small line below it)."""
    body = "".join(
        f"<div><span>{esc(label)}</span><b><bdi>{esc(value)}</bdi></b>"
        + (f"<small><bdi>{esc(small)}</bdi></small>" if small else "")
        + "</div>"
        for label, value, small in rows
    )
    return f'<div class="rd-facts rd-trio">{body}</div>'


def place(words: Words, area: PlannedArea) -> str:
    """The districts that an area lies in, the first few by name."""
    names = [named(words, d) for d in area.districts[:TOP_DISTRICTS]]
    more = len(area.districts) - len(names)
    text = words("studio.comma").join(names)
    return words("studio.and_more", names=text, n=number(more)) if more > 0 else text


def drivers(words: Words, area: PlannedArea) -> str:
    """What makes an area worth going, as short words with their numbers."""
    sites = {part.code: part.sites for part in area.targets}
    chips = []
    for code in area.drivers:
        text = words(f"driver.{code}")
        if sites.get(code):
            text = words("studio.driver_sites", driver=text, n=number(sites[code]))
        elif code == "growing" and area.growth:
            text = words("studio.driver_growth", driver=text, times=short(area.growth))
        chips.append(f'<span class="rd-chip"><bdi>{esc(text)}</bdi></span>')
    return f'<p class="rd-chips">{"".join(chips)}</p>' if chips else ""


def _parts(words: Words, heading: str, rows: Sequence[tuple[str, Part]]) -> str:
    top = max([1e-9, *(part.finds for _, part in rows)])
    body = "".join(
        f'<div class="rd-part"><span><bdi>{esc(name)}</bdi></span>'
        f"<b><bdi>{esc(_amount(part.finds))}</bdi></b>{bar(part.finds / top)}</div>"
        for name, part in rows
    )
    return f"<h4>{esc(heading)}</h4>{body}" if rows else ""


def _amount(value: float) -> str:
    return number(value) if value >= 10 else number(value, 1)


def _numbers(words: Words, area: PlannedArea) -> str:
    used = words("studio.of_hours", n=_amount(area.capacity))
    return _facts(
        [
            (words("studio.finds"), _amount(area.finds), interval(words, area.low, area.high)),
            (words("studio.hours"), _amount(area.hours), used),
            (words("studio.size"), words("units.km2", km2=short(area.km2)), ""),
        ]
    )


def _head(words: Words, area: PlannedArea, *, close: bool) -> str:
    pinned = f' <i class="rd-pin">{esc(words("studio.pinned"))}</i>' if area.pinned else ""
    where = place(words, area)
    button = (
        f'<button class="rd-x" type="button" data-rasd="close" aria-label="{esc(words("card.close"))}">✕</button>'
        if close
        else f'<button class="rd-btn" type="button" data-rasd="outline" data-id="{area.number}">'
        f"{esc(words('studio.show'))}</button>"
    )
    return (
        f'<div class="rd-top"><div class="rd-named"><b class="rd-disc">{area.number}</b><div>'
        f"<h3><bdi>{esc(named(words, area.municipality))}</bdi>{pinned}</h3>"
        + (f'<p class="rd-sub"><bdi>{esc(where)}</bdi></p>' if where else "")
        + f"</div></div>{button}</div>"
    )


def small(words: Words, area: PlannedArea) -> str:
    """An area's card among the others."""
    elements = sorted(area.elements, key=lambda p: -p.finds)[:TOP_ELEMENTS]
    names = words("studio.comma").join(named(words, p.name) for p in elements)
    return (
        f'<div class="rd-tile" id="rd-area-{area.number}">{_head(words, area, close=False)}'
        f"{_numbers(words, area)}{drivers(words, area)}"
        + (
            f'<p class="rd-sub"><span>{esc(words("studio.mostly"))}</span> <bdi>{esc(names)}</bdi></p>'
            if names
            else ""
        )
        + "</div>"
    )


def grid(words: Words, plan: CampaignPlan) -> str:
    """All areas, side by side where there is room."""
    return f'<div class="rd-tiles">{"".join(small(words, area) for area in plan.areas)}</div>'


def full(words: Words, area: PlannedArea) -> str:
    """The picked area's card, with everything that is known of it."""
    targets = [(words(f"target.{p.code}"), p) for p in area.targets if p.finds > 0]
    elements = [
        (named(words, p.name), p) for p in sorted(area.elements, key=lambda p: -p.finds)[: 2 * TOP_ELEMENTS]
    ]
    rows = []
    if area.team is not None and area.days:
        text = words("studio.team", team=number(area.team), days=number(len(area.days)))
        rows.append(f"{text} · {words('studio.travel', km=number(sum(day.km for day in area.days)))}")
    if area.growth is not None:
        rows.append(words("studio.growth", times=short(area.growth)))
    if area.people is not None:
        rows.append(words("studio.people", n=number(area.people)))
    if area.base is not None:
        rows.append(words("studio.base_of", name=area.base.name))
    rows.append(words("studio.compact", n=number(100 * area.compactness)))
    lines = "".join(f"<li><bdi>{esc(text)}</bdi></li>" for text in rows)
    return (
        f'<div class="rd-card rd-sized" id="rd-area-card" data-number="{area.number}">'
        f"{_head(words, area, close=True)}{_numbers(words, area)}{drivers(words, area)}"
        + _parts(words, words("studio.by_target"), targets)
        + _parts(words, words("studio.by_element"), elements)
        + material(words, area.material)
        + f'<ul class="rd-lines">{lines}</ul></div>'
    )


def material(words: Words, rows: Sequence[tuple[str, float]]) -> str:
    """What volunteers bring."""
    if not rows:
        return ""
    body = "".join(
        f'<div class="rd-part"><span>{esc(words(f"material.{code}"))}</span><b>{_amount(amount)}</b></div>'
        for code, amount in rows
    )
    return f"<h4>{esc(words('studio.material'))}</h4>{body}"


def site_table(words: Words, sites: Sequence[Site], *, whole: bool = False) -> str:
    """Where a team goes first: by day and order, else by chance; ``whole`` leaves none out."""
    ordered = sorted(sites, key=lambda s: (s.day or 9999, s.order or 9999, -s.chance * s.weight))
    order = ordered if whole else ordered[:TOP_SITES]
    heads = "".join(f"<th>{esc(words(f'sitehead.{key}'))}</th>" for key in SITE_HEADS)
    body = ""
    for site in order:
        day = f"{site.day}·{site.order}" if site.day is not None else "–"
        late = number(site.late_days) if site.late_days is not None and site.late_days > 0 else "–"
        cells = (
            day,
            drawing.site_name(words, site),
            words(f"target.{site.target}"),
            late,
            words("units.percent", n=number(100 * site.chance)),
            site.reference or "–",
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    more = len(sites) - len(order)
    below = note(words("studio.more_sites", n=number(more))) if more > 0 else ""
    return (
        f'{title(words("studio.sites_title", n=number(len(sites))))}<div class="rd-wide"><table><thead><tr>{heads}'
        f"</tr></thead><tbody>{body}</tbody></table></div>{below}"
    )


def ranked(words: Words, plan: CampaignPlan) -> str:
    """Areas as a list beside the map, in the order of their numbers."""
    top = max([1e-9, *(area.finds for area in plan.areas)])
    lines = "".join(
        f'<button class="rd-row" type="button" data-rasd="outline" data-id="{area.number}">'
        f"<i>{area.number}</i><span><bdi>{esc(named(words, area.municipality))}</bdi></span>"
        f"<b>{_amount(area.finds)}</b><em><bdi>{esc(_beside(words, area))}</bdi></em>{bar(area.finds / top)}</button>"
        for area in plan.areas
    )
    heading = title(words("studio.areas_title"))
    return f'{heading}<div class="rd-scroll"><div class="rd-list">{lines}</div></div>'


def _beside(words: Words, area: PlannedArea) -> str:
    hours = words("studio.hours_short", n=_amount(area.hours))
    where = place(words, area)
    return f"{where} · {hours}" if where else hours


# ---- stretches of axes ----


def ranked_stretches(words: Words, plan: CampaignPlan, most: int = 40) -> str:
    """Stretches as a list beside the map: the chosen ones first, by rank."""
    rows = sorted(plan.stretches, key=lambda s: (not s.chosen, s.rank))[:most]
    top = max([1e-9, *(row.shrunk for row in rows)])
    lines = "".join(
        f'<button class="rd-row" type="button" data-rasd="line" data-id="{row.rank}">'
        f"<i>{row.rank}</i><span><bdi>{esc(named(words, row.axis))}</bdi></span>"
        f"<b>{esc(short(row.shrunk))}</b><em><bdi>{esc(_cost(words, row))}</bdi></em>"
        f"{bar(row.shrunk / top)}</button>"
        for row in rows
    )
    return f'{title(words("studio.stretches_title"))}<div class="rd-scroll"><div class="rd-list">{lines}</div></div>'


def work(words: Words, code: str) -> str:
    """The name of a class of work; its code where the reference table has it no more."""
    return words(f"work.{code}") if code in usual.work_costs() else code


def _cost(words: Words, row: Stretch) -> str:
    text = words("studio.stretch_cost", km=short(row.km), cost=number(row.cost / 1e6, 2))
    return f"{words('studio.chosen')} · {text}" if row.chosen else text


def stretch(words: Words, row: Stretch) -> str:
    """The picked stretch's card."""
    elements = [
        (named(words, p.name), p) for p in sorted(row.elements, key=lambda p: -p.finds)[: 2 * TOP_ELEMENTS]
    ]
    facts = _facts(
        [
            (
                words("studio.rate_km"),
                short(row.shrunk),
                words("studio.raw_rate", rate=short(row.per_km), low=short(row.low), high=short(row.high)),
            ),
            (words("studio.reports_on"), number(row.reports), words("studio.km", km=short(row.km))),
            (
                words("studio.cost_million"),
                number(row.cost / 1e6, 2),
                work(words, row.work),
            ),
        ]
    )
    rows = [words(f"road.{row.road_class}"), words("studio.severity", n=short(row.severity))]
    if row.trend is not None:
        rows.append(words("studio.trend", times=short(row.trend)))
    lines = "".join(f"<li><bdi>{esc(text)}</bdi></li>" for text in rows)
    chosen = words("studio.chosen") if row.chosen else words("studio.not_chosen")
    return (
        f'<div class="rd-card rd-sized" id="rd-stretch-card" data-rank="{row.rank}"><div class="rd-top">'
        f'<div class="rd-named"><b class="rd-disc">{row.rank}</b><div><h3><bdi>{esc(named(words, row.axis))}</bdi></h3>'
        f'<p class="rd-sub"><bdi>{esc(named(words, row.municipality))}</bdi> · {esc(chosen)}</p></div></div>'
        f'<button class="rd-x" type="button" data-rasd="close" aria-label="{esc(words("card.close"))}">✕</button></div>'
        f"{facts}{_parts(words, words('studio.reports_by'), elements)}"
        f'<ul class="rd-lines">{lines}</ul></div>'
    )


def stretch_table(words: Words, plan: CampaignPlan, most: int = 60) -> str:
    """The portfolio, and what would come next, as a table."""
    rows = sorted(plan.stretches, key=lambda s: (not s.chosen, s.rank))[:most]
    heads = "".join(f"<th>{esc(words(f'axishead.{key}'))}</th>" for key in AXIS_HEADS)
    body = ""
    for row in rows:
        cells = (
            number(row.rank),
            named(words, row.axis),
            named(words, row.municipality),
            short(row.km),
            number(row.reports),
            words("studio.with_range", value=short(row.shrunk), low=short(row.low), high=short(row.high)),
            short(row.severity),
            work(words, row.work),
            words("studio.million", n=number(row.cost / 1e6, 2)),
            "✓" if row.chosen else "–",
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    return (
        f'<div class="rd-wide rd-tall" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def runs(words: Words, plan: CampaignPlan) -> str:
    """Neighbouring stretches of one axis that together stand out; "" where none do."""
    if not plan.runs:
        return ""
    heads = "".join(f"<th>{esc(words(f'runhead.{key}'))}</th>" for key in RUN_HEADS)
    body = ""
    for run in plan.runs[:TOP_RUNS]:
        cells = (
            named(words, run.axis),
            number(len(run.keys)),
            short(run.km),
            number(run.reports),
            number(run.expected),
            number(run.excess),
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    return (
        f"{title(words('studio.runs_title'))}{note(words('studio.runs_note'))}"
        f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )
