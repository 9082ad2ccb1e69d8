"""Who else holds a large object is found without reading all of them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_lfs_objects_sha256", "lfs_objects", ["sha256"])
