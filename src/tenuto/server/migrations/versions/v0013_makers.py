"""Invitations know who made them, and end with that account's right to do so (decision 24)."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of the links that are there already, nobody knows who made them."""
    op.add_column("invitations", sa.Column("maker_id", sa.Integer()))
