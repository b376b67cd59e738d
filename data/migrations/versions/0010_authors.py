"""Who made a plan: somebody with a part of a territory has their own plans and visits only"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaign", sa.Column("actor_id", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE campaign c SET actor_id = v.actor_id FROM campaign_version v"
        " WHERE v.campaign_id = c.id AND v.version = 1"
    )


def downgrade() -> None:
    op.drop_column("campaign", "actor_id")
