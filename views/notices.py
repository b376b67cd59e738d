"""What the page says in sentences: answers, warnings, decisions, errors and empty states.

As in ``views/cards.py``: HTML text for ``st.html``, everything from data or a person escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from views.cards import esc
from views.words import Words

TOP_CAUTIONS = 2  # shown; the others are folded
COMMANDS = {
    "demo": "./rasd demo",
    "areas": "./rasd ingest areas FILE --level municipality",
    "reports": "./rasd ingest reports FILE",
    "status": "./rasd status",
}


def simulated(words: Words, *, illustrative: bool) -> str:
    more = f"<span>{esc(words('illustrative.text'))}</span>" if illustrative else ""
    return (
        f'<div class="rd-sim" role="note"><b>{esc(words("simulated.badge"))}</b>'
        f"<span>{esc(words('simulated.text'))}</span>{more}</div>"
    )


def empty_store(words: Words) -> str:
    rows = "".join(
        f'<dt>{esc(words(f"empty.{key}"))}</dt><dd><code dir="ltr">{esc(COMMANDS[key])}</code></dd>'
        for key in ("demo", "areas", "reports")
    )
    return (
        f'<div class="rd-empty"><h2>{esc(words("empty.store_title"))}</h2>'
        f"<p>{esc(words('empty.store_text'))}</p><dl>{rows}</dl></div>"
    )


def empty_territory(words: Words) -> str:
    return (
        f'<div class="rd-empty"><h2>{esc(words("empty.territory_title"))}</h2>'
        f'<p>{esc(words("empty.territory_text"))}</p><code dir="ltr">{esc(COMMANDS["reports"])}</code></div>'
    )


def empty_result(words: Words) -> str:
    return (
        f'<div class="rd-empty"><h2>{esc(words("empty.result_title"))}</h2>'
        f"<p>{esc(words('empty.result_text'))}</p></div>"
    )


def command(text: str, line: str) -> str:
    """A sentence and the command that it speaks of."""
    return f'<div class="rd-empty"><p>{esc(text)}</p><code dir="ltr">{esc(line)}</code></div>'


def failure(words: Words, message: str, *, store: bool = True) -> str:
    """An error of ours as a sentence; with ``store`` the command that tells more."""
    more = f'<p>{esc(words("error.store"))}</p><code dir="ltr">{esc(COMMANDS["status"])}</code>'
    return (
        f'<div class="rd-empty" role="alert"><h2>{esc(words("error.title"))}</h2>'
        f'<p dir="auto">{esc(message)}</p>{more if store else ""}</div>'
    )


def about(text: str) -> str:
    """What a method answers, in a line under its question."""
    return f'<p class="rd-about">{esc(text)}</p>'


def answer(text: str) -> str:
    """A method's answer in one sentence."""
    return f'<p class="rd-answer"><bdi>{esc(text)}</bdi></p>' if text else ""


def cautions(words: Words, sentences: Sequence[str]) -> str:
    """What a reader must know before trusting the map; those beyond the first few are folded."""
    if not sentences:
        return ""
    lines = [f"<li>{esc(text)}</li>" for text in sentences]
    rest = lines[TOP_CAUTIONS:]
    more = ""
    if rest:
        label = esc(words.plural("units.cautions", len(rest)))
        more = f"<details class='rd-decisions'><summary>{label}</summary>"
        more += f'<ul class="rd-cautions">{"".join(rest)}</ul></details>'
    return f'<ul class="rd-cautions" role="note">{"".join(lines[:TOP_CAUTIONS])}</ul>{more}'


def decisions(title: str, sentences: Sequence[str]) -> str:
    """What was decided automatically, folded away until it is asked for."""
    lines = "".join(f"<li>{esc(text)}</li>" for text in sentences)
    return f'<details class="rd-decisions"><summary>{esc(title)}</summary><ul>{lines}</ul></details>'
