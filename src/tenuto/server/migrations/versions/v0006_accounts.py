"""Organizations, services, passwords, fine-grained tokens, grants that expire, and terms that are agreed to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    _widen_accounts()
    _make_people()
    _make_scopes()
    _widen_gates()


def _widen_accounts() -> None:
    op.add_column("users", sa.Column("kind", sa.String(12), nullable=False, server_default="user"))
    op.add_column("users", sa.Column("full_name", sa.String(200), nullable=False, server_default=""))
    op.add_column("users", sa.Column("disabled_ms", sa.BigInteger()))
    op.add_column("tokens", sa.Column("expires_ms", sa.BigInteger()))
    op.add_column("tokens", sa.Column("reads_gated", sa.Boolean(), nullable=False, server_default="1"))


def _key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _make_people() -> None:
    op.create_table(
        "passwords",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(200), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_passwords"),
        _key("passwords", "user_id", "users"),
    )
    op.create_table(
        "memberships",
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("right", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name="pk_memberships"),
        _key("memberships", "organization_id", "users"),
        _key("memberships", "user_id", "users"),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])
    op.create_table(
        "services",
        sa.Column("service_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("right", sa.String(8), nullable=False),
        sa.PrimaryKeyConstraint("service_id", name="pk_services"),
        _key("services", "service_id", "users"),
        _key("services", "owner_id", "users"),
    )
    op.create_index("ix_services_owner_id", "services", ["owner_id"])


def _make_scopes() -> None:
    op.create_table(
        "token_scopes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer()),
        sa.Column("repo_id", sa.Integer()),
        sa.Column("right", sa.String(8), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_token_scopes"),
        _key("token_scopes", "token_id", "tokens"),
        _key("token_scopes", "account_id", "users"),
        _key("token_scopes", "repo_id", "repos"),
    )
    op.create_index("ix_token_scopes_token_id", "token_scopes", ["token_id"])


def _widen_gates() -> None:
    op.add_column("repos", sa.Column("takes_requests", sa.Boolean(), nullable=False, server_default="1"))
    op.add_column("repos", sa.Column("grant_days", sa.Integer()))
    op.add_column("repos", sa.Column("terms", sa.String(64), nullable=False, server_default=""))
    op.add_column("access_requests", sa.Column("expires_ms", sa.BigInteger()))
    op.add_column("access_requests", sa.Column("terms", sa.String(64)))
