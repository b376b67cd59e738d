"""The science: exposure, incidents, kept analyses, and a digest of who reported"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("element_id", sa.SmallInteger(), nullable=True),
        sa.Column("type_id", sa.Integer(), nullable=True),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_table(
        "report_incident",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("place_id", sa.BigInteger(), nullable=False),
        sa.Column("lead", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_report_incident")),
    )
    op.create_index(
        "ix_report_incident_incident_id",
        "report_incident",
        ["incident_id"],
        unique=False,
        postgresql_where=sa.text("NOT lead"),
    )
    op.create_table(
        "analysis",
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["territory_id"], ["territory.id"], name=op.f("fk_analysis_territory_id")),
        sa.PrimaryKeyConstraint("territory_id", "kind", "key", name=op.f("pk_analysis")),
    )
    op.create_table(
        "exposure_set",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_digest", sa.Text(), nullable=False),
        sa.Column("resolution", sa.SmallInteger(), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("notes", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["territory_id"], ["territory.id"], name=op.f("fk_exposure_set_territory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exposure_set")),
    )
    op.create_index(
        "ix_exposure_set_current",
        "exposure_set",
        ["territory_id", "kind"],
        unique=True,
        postgresql_where=sa.text("valid_to IS NULL"),
    )
    op.create_table(
        "incident_run",
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["territory_id"], ["territory.id"], name=op.f("fk_incident_run_territory_id")
        ),
        sa.PrimaryKeyConstraint("territory_id", name=op.f("pk_incident_run")),
    )
    op.create_table(
        "exposure_cell",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["set_id"], ["exposure_set.id"], name=op.f("fk_exposure_cell_set_id")),
        sa.PrimaryKeyConstraint("set_id", "cell", name=op.f("pk_exposure_cell")),
    )
    op.add_column("report", sa.Column("reporter", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("report", "reporter")
    op.drop_table("exposure_cell")
    op.drop_table("incident_run")
    op.drop_index(
        "ix_exposure_set_current", table_name="exposure_set", postgresql_where=sa.text("valid_to IS NULL")
    )
    op.drop_table("exposure_set")
    op.drop_table("analysis")
    op.drop_index(
        "ix_report_incident_incident_id",
        table_name="report_incident",
        postgresql_where=sa.text("NOT lead"),
    )
    op.drop_table("report_incident")
    op.drop_table("incident")
