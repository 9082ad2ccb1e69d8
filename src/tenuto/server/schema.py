"""The tables of a hub. Times are milliseconds since 1970 UTC, hashes lowercase hex. `migrations/` brings a database here."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids are never given out twice (AUTOINCREMENT): signed links, caches and grants hold ids, not names.
users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(96), nullable=False),
    Column("name_key", String(96), nullable=False),  # lower case: no two names differ by case alone
    Column("is_admin", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("name_key"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("digest", String(64), nullable=False),  # sha256 of the token; the token itself is nowhere
    Column("role", String(8), nullable=False),
    Column("name", String(96), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("last_used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    UniqueConstraint("digest"),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)

repos = Table(
    "repos",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("namespace", String(96), nullable=False),
    Column("name", String(96), nullable=False),
    Column("name_key", String(193), nullable=False),
    Column("private", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    UniqueConstraint("kind", "name_key"),
    sqlite_autoincrement=True,
)

# `body` comes last, so that listings read sizes without touching the pages of large bodies.
git_objects = Table(
    "git_objects",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String(40), primary_key=True),
    Column("kind", String(6), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("lfs_sha256", String(64)),  # what a blob points to, if it is an LFS pointer
    Column("lfs_size", BigInteger),
    Column("body", LargeBinary, nullable=False),
)

# Facts of commit objects, so that history is walked without reading them.
git_commits = Table(
    "git_commits",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String(40), primary_key=True),
    Column("parent_oid", String(40)),
    Column("tree_oid", String(40), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("author", String(200), nullable=False),
    Column("message", Text, nullable=False),
)

git_refs = Table(
    "git_refs",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(260), primary_key=True),
    Column("target_oid", String(40), nullable=False),  # a commit, or the tag object of an annotated tag
    Column("commit_oid", String(40), nullable=False),
)

# Which large objects a repo holds. That the store has an object gives nobody a right to it; a row here does.
lfs_objects = Table(
    "lfs_objects",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# Generations of the address under which clients remember what a repo holds as chunks; a repo without a row has the first one.
xet_scopes = Table(
    "xet_scopes",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("generation", Integer, nullable=False),
)

# A stored xorb and its packed table of chunks (docs/formats/xet.md), the same for all repos that hold it.
xorbs = Table(
    "xorbs",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("raw_bytes", BigInteger, nullable=False),
    Column("chunks", LargeBinary, nullable=False),
)

# Which xorbs a repo holds; as with large objects, only a row here gives a right to the bytes.
repo_xorbs = Table(
    "repo_xorbs",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", String(64), ForeignKey("xorbs.hash"), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "hash"),
)

# Files that are stored as chunks: sha256 computed by the hub, and the packed terms (docs/formats/xet.md).
xet_files = Table(
    "xet_files",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("terms", LargeBinary, nullable=False),
    Index(None, "repo_id", "sha256"),
)

# The few chunks that clients ask for, and the term of a file that begins with them or holds them.
xet_hints = Table(
    "xet_hints",
    metadata,
    Column("repo_id", Integer, primary_key=True),
    Column("chunk", String(64), primary_key=True),
    Column("file_hash", String(64), nullable=False),
    Column("term", Integer, nullable=False),
    ForeignKeyConstraint(["repo_id", "file_hash"], ["xet_files.repo_id", "xet_files.hash"], ondelete="CASCADE"),
    Index(None, "repo_id", "file_hash"),
)
