"""Invitations, logins by other issuers, and the jobs that are trusted to act as a service."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_invitations()
    _make_logins()
    _make_rules()


def _key(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["users.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _make_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(96), nullable=False, server_default=""),
        sa.Column("user_id", sa.Integer()),
        sa.Column("organization_id", sa.Integer()),
        sa.Column("right", sa.String(8), nullable=False, server_default=""),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("digest", name="uq_invitations_digest"),
        _key("invitations", "user_id"),
        _key("invitations", "organization_id"),
        sqlite_autoincrement=True,
    )


def _make_logins() -> None:
    op.create_table(
        "external_logins",
        sa.Column("issuer", sa.String(300), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_external_logins"),
        _key("external_logins", "user_id"),
    )
    op.create_index("ix_external_logins_user_id", "external_logins", ["user_id"])


def _make_rules() -> None:
    op.create_table(
        "trust_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("service_id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(300), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("life_s", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trust_rules"),
        _key("trust_rules", "service_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_trust_rules_service_id", "trust_rules", ["service_id"])
