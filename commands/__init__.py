"""The commands of ``./rasd``: one module each, with ``register``."""

from commands import export, ingest, quarantine, store

MODULES = (
    store,
    ingest,
    quarantine,
    export,
)
