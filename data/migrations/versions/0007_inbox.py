"""The inbox: one index that holds all it reads of reports that wait, and who took a step on what"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INCLUDED = [
    "id", "severity", "opened_at", "element_id", "cell", "municipality_id", "district_id", "governorate_id",
    "amana_id", "region_id", "agency_id", "contractor_id",
]  # fmt: skip


def upgrade() -> None:
    op.create_index(
        "ix_report_waiting",
        "report",
        ["territory_id", "status", "due_at"],
        unique=False,
        postgresql_include=INCLUDED,
        postgresql_where=sa.text("status NOT IN (7, 8, 9)"),
    )
    op.drop_index("ix_report_open", table_name="report")
    op.create_index(
        "ix_report_event_actor_id",
        "report_event",
        ["actor_id", "report_id"],
        unique=False,
        postgresql_where=sa.text("actor_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_report_event_actor_id", table_name="report_event")
    op.create_index(
        "ix_report_open",
        "report",
        ["territory_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("status NOT IN (7, 8, 9, 10)"),
    )
    op.drop_index("ix_report_waiting", table_name="report")
