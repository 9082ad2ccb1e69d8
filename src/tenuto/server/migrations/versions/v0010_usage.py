"""What each repo holds, counted by the database itself, and day by day; and how much repos and accounts may hold (decision 22)."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BYTES = ("file_bytes", "object_bytes", "xorb_bytes", "history_bytes")
# Files are blobs but for pointers; the rest of git is history. An object that lies in chunks is counted by its xorbs, and a xorb that is a
# slice of an object by the bytes of that slice.
_COUNT = """
INSERT INTO repo_usage (repo_id, file_bytes, object_bytes, xorb_bytes, history_bytes) SELECT id,
  (SELECT coalesce(sum(size), 0) FROM git_objects WHERE repo_id = repos.id AND kind = 'blob' AND lfs_sha256 IS NULL),
  (SELECT coalesce(sum(size), 0) FROM lfs_objects AS o WHERE repo_id = repos.id AND NOT EXISTS
    (SELECT 1 FROM xet_files AS f WHERE f.repo_id = o.repo_id AND f.sha256 = o.sha256)),
  (SELECT coalesce(sum(iif(source_sha256 IS NULL, stored_bytes, raw_bytes)), 0)
    FROM repo_xorbs JOIN xorbs USING (hash) WHERE repo_id = repos.id),
  (SELECT coalesce(sum(size), 0) FROM git_objects WHERE repo_id = repos.id AND NOT (kind = 'blob' AND lfs_sha256 IS NULL))
FROM repos
"""
_FILE = "{row}.kind = 'blob' AND {row}.lfs_sha256 IS NULL"
_FILES_OF = "(SELECT count(*) FROM xet_files WHERE repo_id = {row}.repo_id AND sha256 = {row}.sha256)"
_SIZE_OF = "coalesce((SELECT size FROM lfs_objects WHERE repo_id = {row}.repo_id AND sha256 = {row}.sha256), 0)"
_SIZE = "iif({row}source_sha256 IS NULL, {row}stored_bytes, {row}raw_bytes)"
_STORED = f"(SELECT {_SIZE.format(row='')} FROM xorbs WHERE hash = {{row}}.hash)"  # noqa: S608
_HOLDERS = "repo_id IN (SELECT repo_id FROM repo_xorbs WHERE hash = NEW.hash)"


def upgrade() -> None:
    """Make the tables, count what is there, and let triggers go on counting."""
    _make_table("repo_usage", "repos", "repo_id", *(_count(name) for name in _BYTES))
    day = sa.Column("day", sa.Integer(), nullable=False)
    _make_table("usage_days", "repos", "repo_id", day, *(_count(name) for name in _BYTES), key=["repo_id", "day"])
    _make_table("repo_quotas", "repos", "repo_id", sa.Column("bytes", sa.BigInteger(), nullable=False))
    _make_table("account_quotas", "users", "account_id", sa.Column("bytes", sa.BigInteger(), nullable=False))
    op.execute(_COUNT)
    for name, rule in {**_git_rules(), **_object_rules(), **_xorb_rules()}.items():
        op.execute(f"CREATE TRIGGER usage_{name} AFTER {rule}; END")


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _make_table(name: str, parent: str, column: str, *columns: "sa.Column[int]", key: list[str] | None = None) -> None:
    op.create_table(
        name,
        sa.Column(column, sa.Integer(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(*(key or [column]), name=f"pk_{name}"),
        sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{name}_{column}", ondelete="CASCADE"),
    )


def _add(column: str, size: str) -> str:
    """A row came. The first one of a repo brings that of its usage."""
    row = f"INSERT INTO repo_usage (repo_id, {column}) VALUES (NEW.repo_id, {size.format(row='NEW')})"  # noqa: S608
    return f"{row} ON CONFLICT (repo_id) DO UPDATE SET {column} = {column} + excluded.{column}"


def _change(row: str, column: str, sign: str, size: str) -> str:
    """Never brings a row: the repo may be going, and that of its usage be gone."""
    change = f"{column} = {column} {sign} {size.format(row=row)}"
    return f"UPDATE repo_usage SET {change} WHERE repo_id = {row}.repo_id"  # noqa: S608


def _git_rules() -> dict[str, str]:
    rules = {}
    for name, is_file in (("file", _FILE), ("history", f"NOT ({_FILE})")):
        column, new, old = f"{name}_bytes", is_file.format(row="NEW"), is_file.format(row="OLD")
        rules[f"{name}_comes"] = f"INSERT ON git_objects WHEN {new} BEGIN {_add(column, 'NEW.size')}"
        rules[f"{name}_goes"] = f"DELETE ON git_objects WHEN {old} BEGIN {_change('OLD', column, '-', 'OLD.size')}"
    return rules


def _object_rules() -> dict[str, str]:
    whole = f"CASE {_FILES_OF} WHEN 0 THEN {{row}}.size ELSE 0 END"
    is_first, is_last = f"{_FILES_OF} = 1".format(row="NEW"), f"{_FILES_OF} = 0".format(row="OLD")
    return {
        "object_comes": f"INSERT ON lfs_objects BEGIN {_add('object_bytes', whole)}",
        "object_goes": f"DELETE ON lfs_objects BEGIN {_change('OLD', 'object_bytes', '-', whole)}",
        "object_is_cut": f"INSERT ON xet_files WHEN {is_first} BEGIN {_change('NEW', 'object_bytes', '-', _SIZE_OF)}",
        "object_is_whole": f"DELETE ON xet_files WHEN {is_last} BEGIN {_change('OLD', 'object_bytes', '+', _SIZE_OF)}",
    }


def _xorb_rules() -> dict[str, str]:
    difference = f"SET xorb_bytes = xorb_bytes + {_SIZE.format(row='NEW.')} - {_SIZE.format(row='OLD.')}"
    return {
        "xorb_comes": f"INSERT ON repo_xorbs BEGIN {_add('xorb_bytes', _STORED)}",
        "xorb_goes": f"DELETE ON repo_xorbs BEGIN {_change('OLD', 'xorb_bytes', '-', _STORED)}",
        "xorb_changes": f"UPDATE ON xorbs BEGIN UPDATE repo_usage {difference} WHERE {_HOLDERS}",
    }
