"""The audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_REFUSAL = "BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END"
_RULES = {
    "keeps_values": "BEFORE UPDATE ON audit_log",
    "keeps_rows": "BEFORE DELETE ON audit_log",
    # REPLACE removes rows unseen by triggers: it must not meet one.
    "keeps_order": "BEFORE INSERT ON audit_log WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit_log)",
}


def upgrade() -> None:
    """Make the table and the rules that keep it."""
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(96), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("deed", sa.String(32), nullable=False),
        sa.Column("repo_id", sa.Integer(), nullable=False),
        sa.Column("repo", sa.String(220), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_repo_id", "audit_log", ["repo_id"])
    op.create_index("ix_audit_log_actor_id", "audit_log", ["actor_id"])
    for name, rule in _RULES.items():
        op.execute(f"CREATE TRIGGER audit_log_{name} {rule} {_REFUSAL}")
