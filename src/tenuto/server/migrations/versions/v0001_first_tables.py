"""Users, tokens, repos, git objects, refs and large objects."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    _make_accounts()
    _make_repos()
    _make_git()


def _make_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("name_key", sa.String(96), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger()),
        sa.Column("revoked_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id", ondelete="CASCADE"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])


def _make_repos() -> None:
    op.create_table(
        "repos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("namespace", sa.String(96), nullable=False),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("name_key", sa.String(193), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repos"),
        sa.UniqueConstraint("kind", "name_key", name="uq_repos_kind_name_key"),
        sqlite_autoincrement=True,
    )


def _make_git() -> None:
    _make_repo_table(
        "git_objects",
        "oid",
        sa.Column("oid", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(6), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("lfs_sha256", sa.String(64)),
        sa.Column("lfs_size", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    _make_repo_table(
        "git_commits",
        "oid",
        sa.Column("oid", sa.String(40), nullable=False),
        sa.Column("parent_oid", sa.String(40)),
        sa.Column("tree_oid", sa.String(40), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
    )
    _make_repo_table(
        "git_refs",
        "name",
        sa.Column("name", sa.String(260), nullable=False),
        sa.Column("target_oid", sa.String(40), nullable=False),
        sa.Column("commit_oid", sa.String(40), nullable=False),
    )
    _make_repo_table(
        "lfs_objects",
        "sha256",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )


def _make_repo_table(name: str, key: str, *columns: "sa.Column[object]") -> None:
    op.create_table(
        name,
        sa.Column("repo_id", sa.Integer(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("repo_id", key, name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["repo_id"], ["repos.id"], name=f"fk_{name}_repo_id", ondelete="CASCADE"),
    )
