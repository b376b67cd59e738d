"""When the store learned of a report, for answers as of a past moment"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In two steps: reports that are there already stay NULL, and the table is not written anew.
    op.add_column("report", sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("report", "recorded_at", server_default=sa.text("now()"))


def downgrade() -> None:
    op.drop_column("report", "recorded_at")
