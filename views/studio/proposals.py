"""Proposals as the page asks for them: a job each, kept and shared like every long answer.

A proposal is asked for with its data version, filters and terms, so whoever asks the same
gets the same plan; one that was asked for before comes at once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from data.analyses.axes import propose_axes
from data.analyses.campaigns import propose
from data.analyses.rounds import with_rounds
from data.analyses.rules import CampaignClash
from data.plan import AxisTerms, CampaignPlan, Terms
from data.query import ReportQuery
from views import jobs
from views.access import connection
from views.words import Words


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question with its terms and, once it is there, its plan."""

    version: int
    query: ReportQuery
    terms: Terms
    plan: CampaignPlan | None
    clash: CampaignClash | None = None

    @property
    def key(self) -> Hashable:
        return key(self.version, self.query, self.terms)


def key(version: int, query: ReportQuery, terms: Terms) -> Hashable:
    return ("campaign", version, query, terms)


def reports_of(query: ReportQuery) -> ReportQuery:
    """The filters as a campaign takes them: always of reports, one an incident being its matter."""
    return replace(query, incidents=False)


def ask(words: Words, version: int, query: ReportQuery, terms: Terms) -> Asked:
    """The plan, or the job's progress on the page."""

    def work(tick: jobs.Tick) -> CampaignPlan | CampaignClash:
        with connection() as conn:
            try:
                if isinstance(terms, AxisTerms):
                    return propose_axes(conn, query, terms, tick=tick)
                return propose(conn, query, terms, tick=tick)
            except CampaignClash as clash:  # an answer too: the page says which rules it is
                return clash

    title = words(f"solving.{terms.kind}")
    found = jobs.answer(words, key(version, query, terms), work, title, words("studio.meanwhile"))
    if isinstance(found, CampaignClash):
        return Asked(version, query, terms, None, found)
    return Asked(version, query, terms, found)


def routed(words: Words, asked: Asked) -> CampaignPlan | None:
    """The plan with its day plans; None while they are being made, which takes longer than the areas."""
    plan = asked.plan
    if plan is None or not plan.areas:
        return plan

    def work(tick: jobs.Tick) -> CampaignPlan:
        with connection() as conn:
            return with_rounds(conn, plan, tick=tick)

    return jobs.answer(words, ("rounds", asked.key), work, words("solving.rounds"))
