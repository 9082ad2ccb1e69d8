"""All parents of commits, and locks of files."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables; the commits that are there have one parent at most."""
    op.create_table(
        "git_parents",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("oid", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("parent_oid", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "oid", "position", name="pk_git_parents"),
        sa.ForeignKeyConstraint(
            ["repo_id", "oid"],
            ["git_commits.repo_id", "git_commits.oid"],
            name="fk_git_parents_repo_id_oid",
            ondelete="CASCADE",
        ),
    )
    op.execute(
        "INSERT INTO git_parents (repo_id, oid, position, parent_oid) "
        "SELECT repo_id, oid, 0, parent_oid FROM git_commits WHERE parent_oid IS NOT NULL"
    )
    op.create_table(
        "file_locks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_file_locks"),
        sa.ForeignKeyConstraint(["repo_id"], ["repos.id"], name="fk_file_locks_repo_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_file_locks_user_id", ondelete="CASCADE"),
        sa.UniqueConstraint("repo_id", "path", name="uq_file_locks_repo_id_path"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_file_locks_user_id", "file_locks", ["user_id"])
