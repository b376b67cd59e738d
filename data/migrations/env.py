"""Alembic's environment: runs on the connection that data/schema.py hands over."""

from alembic import context
from geoalchemy2 import alembic_helpers

from data.models import Base

connection = context.config.attributes["connection"]


def include_object(obj, name, type_, reflected, compare_to):  # type: ignore[no-untyped-def]
    """Leave PostGIS's own tables alone when comparing."""
    if type_ == "table" and name in {"spatial_ref_sys", "topology", "layer"}:
        return False
    return bool(alembic_helpers.include_object(obj, name, type_, reflected, compare_to))


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_object=include_object,
    process_revision_directives=alembic_helpers.writer,
    render_item=alembic_helpers.render_item,
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
