"""Accounts that whoever administers the hub disabled are told apart: nobody else enables them again (decision 20)."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("users", sa.Column("is_held", sa.Boolean(), nullable=False, server_default="0"))
