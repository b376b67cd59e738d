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
from data.database import connection
from data.plan import AxisTerms, CampaignPlan, Terms
from data.query import ReportQuery
from views import jobs
from views.words import Words

PLANNED = 0.9  # of the bar: what is left are the rounds


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
                plan = propose(conn, query, terms, tick=lambda share: tick(PLANNED * share))
            except CampaignClash as clash:  # an answer too: the page says which rules it is
                return clash
            return with_rounds(conn, plan, tick=lambda share: tick(PLANNED + (1 - PLANNED) * share))

    title = words(f"solving.{terms.kind}")
    found = jobs.answer(words, key(version, query, terms), work, title, words("studio.meanwhile"))
    if isinstance(found, CampaignClash):
        return Asked(version, query, terms, None, found)
    return Asked(version, query, terms, found)
