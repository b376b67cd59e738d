"""Who saved a plan, took it through its course and brought back a visit"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("campaign_version", "campaign_event", "visit")


def upgrade() -> None:
    for table in TABLES:
        # principal.id; NULL: a command, or before sign-in was there.
        op.add_column(table, sa.Column("actor_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "actor_id")
