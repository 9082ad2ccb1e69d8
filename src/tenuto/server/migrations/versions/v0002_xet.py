"""Xorbs, files made of chunks, and what clients ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the chunk store."""
    op.create_table(
        "xorbs",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("raw_bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_xorbs"),
    )
    _make_repo_table("xet_scopes", [], sa.Column("generation", sa.Integer(), nullable=False))
    _make_repo_table(
        "repo_xorbs",
        ["hash"],
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["xorbs.hash"], name="fk_repo_xorbs_hash"),
    )
    op.create_index("ix_repo_xorbs_hash", "repo_xorbs", ["hash"])
    _make_repo_table(
        "xet_files",
        ["hash"],
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_xet_files_repo_id_sha256", "xet_files", ["repo_id", "sha256"])
    _make_hints()


def _make_hints() -> None:
    op.create_table(
        "xet_hints",
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.String(64), nullable=False),
        sa.Column("file_hash", sa.String(64), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("repo_id", "chunk", name="pk_xet_hints"),
        sa.ForeignKeyConstraint(
            ["repo_id", "file_hash"],
            ["xet_files.repo_id", "xet_files.hash"],
            name="fk_xet_hints_repo_id_file_hash",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_xet_hints_repo_id_file_hash", "xet_hints", ["repo_id", "file_hash"])


def _make_repo_table(name: str, keys: list[str], *columns: "sa.schema.SchemaItem") -> None:
    op.create_table(
        name,
        sa.Column("repo_id", sa.Integer(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("repo_id", *keys, name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["repo_id"], ["repos.id"], name=f"fk_{name}_repo_id", ondelete="CASCADE"),
    )
