"""When something was learned is when it was written, not when its transaction began"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A load reads its file for minutes before it writes under the territory's lock: with the time
# of its transaction it would tell, after the fact, of something learned before.
COLUMNS = (("report", "recorded_at"), ("report_event", "recorded_at"), ("visit", "created_at"))


def upgrade() -> None:
    for table, column in COLUMNS:
        op.alter_column(table, column, server_default=sa.text("statement_timestamp()"))


def downgrade() -> None:
    for table, column in COLUMNS:
        op.alter_column(table, column, server_default=sa.text("now()"))
