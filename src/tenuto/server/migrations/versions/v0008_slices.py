"""Xorbs that are slices of whole objects, and which objects are to be cut into such."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make columns and table; what came whole so far is to be cut, too."""
    op.add_column("xorbs", sa.Column("source_sha256", sa.String(64)))
    op.add_column("xorbs", sa.Column("source_size", sa.BigInteger()))
    op.add_column("xorbs", sa.Column("source_start", sa.BigInteger()))
    op.create_index("ix_xorbs_source_sha256", "xorbs", ["source_sha256"])
    op.create_table(
        "uncut_objects",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("queued_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "sha256", name="pk_uncut_objects"),
        sa.ForeignKeyConstraint(
            ["repo_id", "sha256"],
            ["lfs_objects.repo_id", "lfs_objects.sha256"],
            name="fk_uncut_objects_repo_id_sha256",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_uncut_objects_queued_ms", "uncut_objects", ["queued_ms"])
    op.execute(
        "INSERT INTO uncut_objects (repo_id, sha256, queued_ms) SELECT repo_id, sha256, created_ms FROM lfs_objects AS o "
        "WHERE size >= 8388608 AND NOT EXISTS "
        "(SELECT 1 FROM xet_files AS f WHERE f.repo_id = o.repo_id AND f.sha256 = o.sha256)"
    )
