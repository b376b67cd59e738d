"""Filing: one report a key, what somebody filed and follows, photos of a user a day"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "uq_report_filed",
        "report",
        ["territory_id", "content"],
        unique=True,
        postgresql_where=sa.text("batch_id IS NULL AND content <> 0"),
    )
    op.create_index(
        "ix_report_event_filed",
        "report_event",
        ["actor_id", "recorded_at"],
        unique=False,
        postgresql_where=sa.text("action = 1"),
    )
    op.create_index(
        op.f("ix_report_follower_principal_id"), "report_follower", ["principal_id"], unique=False
    )
    op.create_index("ix_photo_principal_id", "photo", ["principal_id", "stored_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_photo_principal_id", table_name="photo")
    op.drop_index(op.f("ix_report_follower_principal_id"), table_name="report_follower")
    op.drop_index("ix_report_event_filed", table_name="report_event")
    op.drop_index("uq_report_filed", table_name="report")
