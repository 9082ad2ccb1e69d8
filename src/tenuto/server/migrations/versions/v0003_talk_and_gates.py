"""Gates and access requests, discussions, likes, old names of repos, device logins, purged objects, what searches look at."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.add_column("repos", sa.Column("gate", sa.String(8), nullable=False, server_default=""))
    _make_aliases()
    _make_access_requests()
    _make_discussions()
    _make_likes()
    _make_device_logins()
    _make_storage_and_search()


def _repo_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["repo_id"], ["repos.id"], name=f"fk_{table}_repo_id", ondelete="CASCADE")


def _user_key(table: str, column: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["users.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def _make_aliases() -> None:
    op.create_table(
        "repo_aliases",
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name_key", sa.String(193), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(193), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name_key", name="pk_repo_aliases"),
        _repo_key("repo_aliases"),
    )
    op.create_index("ix_repo_aliases_repo_id", "repo_aliases", ["repo_id"])


def _make_access_requests() -> None:
    op.create_table(
        "access_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("reviewed_ms", sa.BigInteger()),
        sa.Column("reviewer_id", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_access_requests"),
        sa.UniqueConstraint("repo_id", "user_id", name="uq_access_requests_repo_id_user_id"),
        _repo_key("access_requests"),
        _user_key("access_requests", "user_id", "CASCADE"),
        _user_key("access_requests", "reviewer_id", "SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_requests_user_id", "access_requests", ["user_id"])


def _make_discussions() -> None:
    op.create_table(
        "discussions",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("author_id", sa.Integer()),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("is_pull_request", sa.Boolean(), nullable=False),
        sa.Column("merge_oid", sa.String(40)),
        sa.PrimaryKeyConstraint("repo_id", "number", name="pk_discussions"),
        _repo_key("discussions"),
        _user_key("discussions", "author_id", "SET NULL"),
    )
    op.create_table(
        "discussion_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("author_id", sa.Integer()),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_discussion_events"),
        sa.ForeignKeyConstraint(
            ["repo_id", "number"],
            ["discussions.repo_id", "discussions.number"],
            name="fk_discussion_events_repo_id_number",
            ondelete="CASCADE",
        ),
        _user_key("discussion_events", "author_id", "SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_discussion_events_repo_id_number", "discussion_events", ["repo_id", "number"])


def _make_likes() -> None:
    op.create_table(
        "likes",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "user_id", name="pk_likes"),
        _repo_key("likes"),
        _user_key("likes", "user_id", "CASCADE"),
    )
    op.create_index("ix_likes_user_id", "likes", ["user_id"])


def _make_device_logins() -> None:
    op.create_table(
        "device_logins",
        sa.Column("device_digest", sa.String(64), nullable=False),
        sa.Column("user_digest", sa.String(64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("polled_ms", sa.BigInteger()),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("token_id", sa.Integer()),
        sa.PrimaryKeyConstraint("device_digest", name="pk_device_logins"),
        sa.UniqueConstraint("user_digest", name="uq_device_logins_user_digest"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_device_logins_token_id", ondelete="CASCADE"),
    )


def _make_storage_and_search() -> None:
    op.create_table(
        "purged_objects",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("purged_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "sha256", name="pk_purged_objects"),
        _repo_key("purged_objects"),
    )
    op.create_table(
        "repo_cards",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("commit_oid", sa.String(40), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", name="pk_repo_cards"),
        _repo_key("repo_cards"),
    )
    op.create_table(
        "repo_tags",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "tag", name="pk_repo_tags"),
        _repo_key("repo_tags"),
    )
    op.create_index("ix_repo_tags_tag", "repo_tags", ["tag"])
