"""The commands of ``./rasd``: one module each, with ``register``."""

from commands import (
    campaign,
    density,
    export,
    exposure,
    forecast,
    hotspots,
    incidents,
    ingest,
    quarantine,
    scan,
    store,
    trends,
)

MODULES = (
    store,
    ingest,
    quarantine,
    export,
    hotspots,
    trends,
    forecast,
    scan,
    incidents,
    density,
    exposure,
    campaign,
)
