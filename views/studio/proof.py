"""How good a proposal is, in words a director understands, and where its rates come from.

Three questions: could another choice among the same areas be better (gap to the solver's
bound), what would other ways to spend the same hours find (rivals), and what was assumed
of a visit's chance to find something (prior, visits so far, what follows).
"""

from __future__ import annotations

import streamlit as st

from data.analyses import hits
from data.plan import CampaignPlan, CampaignTerms, Proof
from geo.hitrates import TYPES, HitRates
from views import cards
from views.access import connection
from views.cards import bar, esc, note, title
from views.words import Words, number, short

RATE_HEADS = ("target", "place", "prior", "visits", "found", "now")
OPTIMAL = 0.0005  # a gap below it is none


def draw(words: Words, version: int, territory_id: int, plan: CampaignPlan) -> None:
    """Proof, rivals, sensitivity and hit rates, one below the other."""
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        if plan.proof is not None:
            st.html(title(words("proof.title")) + cards.bullets(proved(words, plan.proof)))
        if plan.rivals:
            st.html(rivals(words, plan))
        if plan.what_if:
            st.html(what_if(words, plan))
    if isinstance(plan.terms, CampaignTerms):
        with right, st.container(border=True):
            st.html(rates(words, _rates(version, territory_id)))


@st.cache_data(max_entries=16, show_spinner=False)
def _rates(version: int, territory_id: int) -> HitRates:
    with connection() as conn:
        return hits.hit_rates(conn, territory_id)


def proved(words: Words, proof: Proof) -> list[str]:
    """What the solver knows, in sentences."""
    said = []
    if proof.complete and proof.gap <= OPTIMAL:
        said.append(words("proof.optimal"))
    elif proof.gap <= OPTIMAL:
        said.append(words("proof.best_of", n=number(proof.candidates)))
    else:
        more = proof.bound / proof.objective - 1 if proof.objective else 0.0
        said.append(words("proof.gap", gap=_percent(more), n=number(proof.candidates)))
    if proof.objective > 0:
        said.append(words("proof.free", gap=_percent(proof.free_bound / proof.objective - 1)))
    said.append(words("proof.seconds", seconds=short(proof.seconds)))
    return said


def _percent(share: float) -> str:
    value = max(100 * share, 0.0)
    return number(value, 1) if value < 10 else number(value)


def rivals(words: Words, plan: CampaignPlan) -> str:
    """Other ways to spend the same hours, as bars."""
    chosen = [stretch for stretch in plan.stretches if stretch.chosen]
    # By the evaluator of the rivals, so that the bars are as long as the percentages say.
    own = plan.rivals[0].plan if plan.rivals else None
    if own is None:
        own = sum(area.weighted for area in plan.areas) + sum(stretch.benefit for stretch in chosen)
    finds = plan.finds + sum(stretch.reports for stretch in chosen)
    said = words("rival.note_axes") if plan.kind == "axes" else words("rival.note")
    unit = words("rival.reports") if plan.kind == "axes" else words("rival.finds")
    rows = [(words("rival.plan"), own, finds, "")]
    for rival in plan.rivals:
        better = words("rival.better" if rival.better >= 0 else "rival.worse", n=_percent(abs(rival.better)))
        rows.append((words(f"rival.{rival.code}"), rival.weighted, rival.finds, better))
    top = max([1e-9, *(value for _, value, _, _ in rows)])
    body = "".join(
        f'<div class="rd-part"><span><bdi>{esc(name)}</bdi></span>'
        f"<b><bdi>{esc(unit.format(n=number(finds)))}</bdi></b>{bar(value / top)}"
        + (f'<em class="rd-em"><bdi>{esc(better)}</bdi></em>' if better else "")
        + "</div>"
        for name, value, finds, better in rows
    )
    return f"<h4>{esc(words('rival.title'))}</h4>{body}{note(said)}"


def what_if(words: Words, plan: CampaignPlan) -> str:
    """The sensitivity line: a fifth of the teams fewer or more."""
    return f"<h4>{esc(words('whatif.title'))}</h4>" + cards.bullets(sensitivity(words, plan))


def sensitivity(words: Words, plan: CampaignPlan) -> list[str]:
    said = []
    for one in plan.what_if:
        change = one.finds - plan.finds
        share = 100 * change / plan.finds if plan.finds else 0.0
        sign = "+" if change >= 0 else "\u2212"
        said.append(
            words(
                f"whatif.{one.code}",
                teams=number(one.teams),
                finds=number(one.finds),
                change=f"{sign}{number(abs(change))}",
                share=f"{sign}{number(abs(share))}",
            )
        )
    return said


def rates(words: Words, found: HitRates) -> str:
    """The Beta–binomial table: what was assumed, what visits found, what is expected now."""
    heads = "".join(f"<th>{esc(words(f'ratehead.{key}'))}</th>" for key in RATE_HEADS)
    body = ""
    visited = {row.target for row in found.rates if row.visits}
    for row in found.rates:
        if row.target not in visited and row.area_type != TYPES[0]:
            continue  # nothing was learnt: one line says it for all types of area
        everywhere = row.target not in visited
        strength = row.prior_a + row.prior_b
        cells = (
            words(f"target.{row.target}"),
            words("rates.everywhere") if everywhere else words(f"areatype.{row.area_type}"),
            words("rates.prior_of", mean=number(100 * row.prior_a / strength), n=f"{strength:g}"),
            number(row.visits),
            number(row.finds),
            words(
                "rates.range",
                mean=number(100 * row.mean),
                low=number(100 * row.low),
                high=number(100 * row.high),
            ),
        )
        body += "<tr>" + "".join(f"<td><bdi>{esc(cell)}</bdi></td>" for cell in cells) + "</tr>"
    table = f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    return title(words("rates.title")) + note(words("rates.how")) + table
