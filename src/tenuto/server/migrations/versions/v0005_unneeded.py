"""What no ref of a repo needs any more."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "unneeded",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "name", name="pk_unneeded"),
        sa.ForeignKeyConstraint(["repo_id"], ["repos.id"], name="fk_unneeded_repo_id", ondelete="CASCADE"),
    )
