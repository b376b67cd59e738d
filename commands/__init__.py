"""The commands of ``./rasd``: one module each, with ``register``."""

from commands import density, export, exposure, hotspots, incidents, ingest, quarantine, scan, store, trends

MODULES = (
    store,
    ingest,
    quarantine,
    export,
    hotspots,
    trends,
    scan,
    incidents,
    density,
    exposure,
)
