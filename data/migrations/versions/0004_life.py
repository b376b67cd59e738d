"""The life of a report: steps, parties, routing, access, audit, photos, packs"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=True),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_table(
        "photo",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("principal_id", sa.Integer(), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("digest", "report_id", name=op.f("pk_photo")),
    )
    op.create_index("ix_photo_report_id", "photo", ["report_id"], unique=False)
    op.create_table(
        "report_contact",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("given_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_report_contact")),
    )
    op.create_table(
        "sign_in_try",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_try")),
    )
    op.create_index("ix_sign_in_try_address", "sign_in_try", ["address", "at"], unique=False)
    op.create_index("ix_sign_in_try_login", "sign_in_try", ["login", "at"], unique=False)
    op.create_table(
        "transition",
        sa.Column("action", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.SmallInteger(), nullable=True),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("needs", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("offers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("action", "source", name=op.f("pk_transition")),
    )
    op.create_table(
        "pack",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["territory_id"], ["territory.id"], name=op.f("fk_pack_territory_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pack")),
        sa.UniqueConstraint("territory_id", "digest", name=op.f("uq_pack_territory_id_digest")),
    )
    op.create_index(op.f("ix_pack_territory_id"), "pack", ["territory_id"], unique=False)
    op.create_table(
        "party",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name_ar", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('municipality', 'department', 'entity', 'contractor', 'unsorted')",
            name=op.f("ck_party_kind"),
        ),
        sa.ForeignKeyConstraint(["territory_id"], ["territory.id"], name=op.f("fk_party_territory_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party")),
        sa.UniqueConstraint("territory_id", "code", name=op.f("uq_party_territory_id_code")),
    )
    op.create_table(
        "open311_pull",
        sa.Column("source_id", sa.SmallInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=True),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("fk_open311_pull_source_id")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_open311_pull")),
    )
    op.create_table(
        "party_name",
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("col", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_party_name_party_id")),
        sa.ForeignKeyConstraint(["territory_id"], ["territory.id"], name=op.f("fk_party_name_territory_id")),
        sa.PrimaryKeyConstraint("territory_id", "col", "folded", name=op.f("pk_party_name")),
    )
    op.create_index(op.f("ix_party_name_party_id"), "party_name", ["party_id"], unique=False)
    op.create_table(
        "party_works",
        sa.Column("party_id", sa.Integer(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("km", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_party_works_party_id")),
        sa.PrimaryKeyConstraint("party_id", "month", name=op.f("pk_party_works")),
    )
    op.create_table(
        "principal",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("simulated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "role <> 'contractor' OR party_id IS NOT NULL", name=op.f("ck_principal_contractor_has_party")
        ),
        sa.CheckConstraint(
            "role IN ('viewer', 'call_centre', 'inspector', 'supervisor', 'contractor', 'quality', 'director', 'analyst', 'administrator')",
            name=op.f("ck_principal_role"),
        ),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_principal_party_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("login", name=op.f("uq_principal_login")),
    )
    op.create_table(
        "api_key",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_api_key_principal_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_api_key")),
    )
    op.create_table(
        "app_session",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=op.f("fk_app_session_principal_id")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_app_session")),
    )
    op.create_index(op.f("ix_app_session_principal_id"), "app_session", ["principal_id"], unique=False)
    op.create_table(
        "principal_area",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("area", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(level IS NULL) = (area IS NULL)", name=op.f("ck_principal_area_level_with_area")
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principal.id"], name=op.f("fk_principal_area_principal_id")
        ),
        sa.ForeignKeyConstraint(
            ["territory_id"], ["territory.id"], name=op.f("fk_principal_area_territory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal_area")),
        sa.UniqueConstraint(
            "principal_id",
            "territory_id",
            "level",
            "area",
            name=op.f("uq_principal_area_principal_id_territory_id_level_area"),
        ),
    )
    op.create_index(op.f("ix_principal_area_principal_id"), "principal_area", ["principal_id"], unique=False)
    op.create_table(
        "report_follower",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("principal_id", sa.Integer(), nullable=False),
        sa.Column("first_report_id", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principal.id"], name=op.f("fk_report_follower_principal_id")
        ),
        sa.PrimaryKeyConstraint("report_id", "principal_id", name=op.f("pk_report_follower")),
    )
    op.create_table(
        "routing_rule",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("element_id", sa.SmallInteger(), nullable=True),
        sa.Column("group_code", sa.Text(), nullable=True),
        sa.Column("area_id", sa.Integer(), nullable=True),
        sa.Column("party_id", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_hours", sa.Double(), nullable=True),
        sa.Column("assumed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("principal_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "element_id IS NULL OR group_code IS NULL", name=op.f("ck_routing_rule_element_or_group")
        ),
        sa.CheckConstraint(
            "valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_routing_rule_validity")
        ),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_routing_rule_area_id")),
        sa.ForeignKeyConstraint(["element_id"], ["element.id"], name=op.f("fk_routing_rule_element_id")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_routing_rule_party_id")),
        sa.ForeignKeyConstraint(
            ["territory_id"], ["territory.id"], name=op.f("fk_routing_rule_territory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_rule")),
    )
    op.create_index(
        "ix_routing_rule_territory_id", "routing_rule", ["territory_id", "element_id"], unique=False
    )
    op.create_table(
        "target",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("territory_id", sa.SmallInteger(), nullable=False),
        sa.Column("indicator", sa.Text(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=True),
        sa.Column("group_code", sa.Text(), nullable=True),
        sa.Column("party_id", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("assumed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("principal_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_target_area_id")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_target_party_id")),
        sa.ForeignKeyConstraint(["territory_id"], ["territory.id"], name=op.f("fk_target_territory_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target")),
    )
    op.create_index(op.f("ix_target_territory_id"), "target", ["territory_id"], unique=False)
    op.add_column("report", sa.Column("agency_id", sa.Integer(), nullable=True))
    op.add_column("report", sa.Column("contractor_id", sa.Integer(), nullable=True))
    op.add_column("report", sa.Column("rule_id", sa.Integer(), nullable=True))
    op.add_column("report", sa.Column("duplicate_of", sa.BigInteger(), nullable=True))
    op.alter_column("report", "batch_id", existing_type=sa.INTEGER(), nullable=True)
    op.alter_column("report", "line", existing_type=sa.INTEGER(), nullable=True)
    op.create_index(
        "ix_report_contractor_id",
        "report",
        ["contractor_id"],
        unique=False,
        postgresql_where=sa.text("contractor_id IS NOT NULL"),
    )
    op.create_index(
        "ix_report_duplicate_of",
        "report",
        ["duplicate_of"],
        unique=False,
        postgresql_where=sa.text("duplicate_of IS NOT NULL"),
    )
    op.create_index(
        "ix_report_referred", "report", ["agency_id"], unique=False, postgresql_where=sa.text("status = 10")
    )
    op.create_index(
        "ix_report_open",
        "report",
        ["territory_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("status NOT IN (7, 8, 9, 10)"),
    )
    op.add_column(
        "report_column",
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column(
        "report_event", sa.Column("action", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("report_event", sa.Column("actor_id", sa.Integer(), nullable=True))
    op.add_column(
        "report_event",
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("report_event", sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.alter_column("report_event", "batch_id", existing_type=sa.INTEGER(), nullable=True)
    # What is there was known when its batch ran.
    op.execute("UPDATE report_event e SET recorded_at = b.started_at FROM batch b WHERE b.id = e.batch_id")
    op.create_index(
        "ix_report_event_recorded",
        "report_event",
        ["recorded_at"],
        unique=False,
        postgresql_where=sa.text("batch_id IS NULL"),
    )


def downgrade() -> None:
    # Reports and events that were made here have no batch, which the older schema asks for.
    op.execute("DELETE FROM report_event WHERE batch_id IS NULL")
    op.execute("DELETE FROM report WHERE batch_id IS NULL")
    op.drop_index(
        "ix_report_event_recorded", table_name="report_event", postgresql_where=sa.text("batch_id IS NULL")
    )
    op.alter_column("report_event", "batch_id", existing_type=sa.INTEGER(), nullable=False)
    op.drop_column("report_event", "detail")
    op.drop_column("report_event", "recorded_at")
    op.drop_column("report_event", "actor_id")
    op.drop_column("report_event", "action")
    op.drop_column("report_column", "made_at")
    op.drop_index("ix_report_referred", table_name="report")
    op.drop_index(
        "ix_report_open", table_name="report", postgresql_where=sa.text("status NOT IN (7, 8, 9, 10)")
    )
    op.drop_index(
        "ix_report_duplicate_of", table_name="report", postgresql_where=sa.text("duplicate_of IS NOT NULL")
    )
    op.drop_index(
        "ix_report_contractor_id", table_name="report", postgresql_where=sa.text("contractor_id IS NOT NULL")
    )
    op.alter_column("report", "line", existing_type=sa.INTEGER(), nullable=False)
    op.alter_column("report", "batch_id", existing_type=sa.INTEGER(), nullable=False)
    op.drop_column("report", "duplicate_of")
    op.drop_column("report", "rule_id")
    op.drop_column("report", "contractor_id")
    op.drop_column("report", "agency_id")
    op.drop_index(op.f("ix_target_territory_id"), table_name="target")
    op.drop_table("target")
    op.drop_index("ix_routing_rule_territory_id", table_name="routing_rule")
    op.drop_table("routing_rule")
    op.drop_table("report_follower")
    op.drop_index(op.f("ix_principal_area_principal_id"), table_name="principal_area")
    op.drop_table("principal_area")
    op.drop_index(op.f("ix_app_session_principal_id"), table_name="app_session")
    op.drop_table("app_session")
    op.drop_table("api_key")
    op.drop_table("principal")
    op.drop_table("party_works")
    op.drop_index(op.f("ix_party_name_party_id"), table_name="party_name")
    op.drop_table("party_name")
    op.drop_table("open311_pull")
    op.drop_table("party")
    op.drop_index(op.f("ix_pack_territory_id"), table_name="pack")
    op.drop_table("pack")
    op.drop_table("transition")
    op.drop_index("ix_sign_in_try_login", table_name="sign_in_try")
    op.drop_index("ix_sign_in_try_address", table_name="sign_in_try")
    op.drop_table("sign_in_try")
    op.drop_table("report_contact")
    op.drop_index("ix_photo_report_id", table_name="photo")
    op.drop_table("photo")
    op.drop_index("ix_audit_at", table_name="audit")
    op.drop_table("audit")
