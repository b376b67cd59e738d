"""The device's own position, asked for with a button in the page itself.

A component with its script inline: nothing is fetched, and no frame needs a permission of its
own. The browser asks the person; what it refuses comes back as a code that the page has words
for. Caveat: browsers give a position only on https, or on the machine itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.components import v2

from views.words import Words

NAME = "rasd_device_position"
#: What can go wrong (``devicefault.<code>`` in the catalogues).
FAULTS = ("denied", "unavailable", "timeout", "insecure", "unsupported")
_HTML = '<button type="button" class="here"><span class="sign" aria-hidden="true"></span><span class="said"></span></button>'
_CSS = """
.here{font:inherit;font-size:.95rem;width:100%;min-height:2.7rem;cursor:pointer;color:inherit;background:transparent;
 border:1px solid var(--st-border-color,#8884);border-radius:10px;padding:.45rem .9rem;display:flex;gap:.6rem;align-items:center;justify-content:center}
.here:hover{border-color:var(--st-primary-color,#0f6b52);color:var(--st-primary-color,#0f6b52)}
.here:focus-visible{outline:3px solid var(--st-primary-color,#0f6b52);outline-offset:2px}
.here[disabled]{opacity:.6;cursor:progress}
.sign{flex:none;width:14px;height:14px;border:2px solid currentColor;border-radius:50%;box-sizing:border-box;position:relative}
.sign::after{content:"";position:absolute;inset:2px;border-radius:50%;background:currentColor}
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const button = parentElement.querySelector('.here'), said = parentElement.querySelector('.said');
  button.dir = data.rtl ? 'rtl' : 'ltr'; said.textContent = data.ask; button.disabled = false;
  const fault = (code) => { said.textContent = data.ask; button.disabled = false; setTriggerValue('position', { fault: code, at: Date.now() }); };
  button.onclick = () => {
    if (!window.isSecureContext) return fault('insecure');
    if (!navigator.geolocation) return fault('unsupported');
    said.textContent = data.asking; button.disabled = true;
    navigator.geolocation.getCurrentPosition(
      (p) => { said.textContent = data.ask; button.disabled = false; setTriggerValue('position', { lon: p.coords.longitude, lat: p.coords.latitude, metres: p.coords.accuracy, at: Date.now() }); },
      (e) => fault({ 1: 'denied', 2: 'unavailable', 3: 'timeout' }[e.code] || 'unavailable'),
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 10000 });
  };
}
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the device is: decimal degrees, and its own estimate of the error in metres."""

    lon: float
    lat: float
    metres: float


@st.cache_resource
def _component() -> Any:
    """Registered once: a second component of this name would take the place of the first."""
    return v2.component(NAME, html=_HTML, css=_CSS, js=_JS)


def draw(words: Words, key: str) -> Position | str | None:
    """The button; a position or a code of FAULTS in the run after it was pressed."""
    out = _component()(
        key=key,
        data={"ask": words("filing.device"), "asking": words("filing.device_asking"), "rtl": words.rtl},
        on_position_change=lambda: None,
    )
    return read(getattr(out, "position", None))


def read(answer: object) -> Position | str | None:
    """What the browser sent, taken with care: anybody can send anything."""
    if answer is None:
        return None
    if not isinstance(answer, dict):
        return "unavailable"
    if "fault" in answer:
        return str(answer["fault"]) if answer["fault"] in FAULTS else "unavailable"
    numbers = [answer.get(name) for name in ("lon", "lat", "metres")]
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        return "unavailable"
    lon, lat, metres = (float(n) for n in numbers)  # type: ignore[arg-type]
    if abs(lon) > 180 or abs(lat) > 90 or not 0 <= metres <= 1e6:
        return "unavailable"
    return Position(lon, lat, metres)
