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
    Column("kind", String(12), nullable=False, server_default="user"),  # user, organization or service
    Column("full_name", String(200), nullable=False, server_default=""),
    Column("disabled_ms", BigInteger),  # since then no token of it is good; its name stays taken
    Column("is_held", Boolean, nullable=False, server_default="0"),  # only whoever administers the hub enables it again
    UniqueConstraint("name_key"),
    sqlite_autoincrement=True,
)

# How a user proves who it is in a browser: the argon2 text of a password. A user without a row signs in another way, or not at all.
passwords = Table(
    "passwords",
    metadata,
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", String(200), nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

# Who belongs to an organization, and how far its right goes there: read, write or admin.
memberships = Table(
    "memberships",
    metadata,
    Column("organization_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("right", String(8), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "user_id"),
)

# For whom a service acts (a user or an organization), and how far its right goes in the namespace of that account.
services = Table(
    "services",
    metadata,
    Column("service_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("owner_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("right", String(8), nullable=False),
    Index(None, "owner_id"),
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
    Column("expires_ms", BigInteger),
    Column(
        "reads_gated", Boolean, nullable=False, server_default="1"
    ),  # whether a fine-grained one opens gates of others
    UniqueConstraint("digest"),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)

# What a fine-grained token is good for: a right in the namespace of an account, or on one repo.
token_scopes = Table(
    "token_scopes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_id", Integer, ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", Integer, ForeignKey("users.id", ondelete="CASCADE")),
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE")),
    Column("right", String(8), nullable=False),
    Index(None, "token_id"),
)

# Links by which somebody makes an account, or with `user_id` sets a new password for the one that is there. Each is good once.
invitations = Table(
    "invitations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column(
        "name", String(96), nullable=False, server_default=""
    ),  # the name that the account will have, if that is settled
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE")),
    Column(
        "organization_id", Integer, ForeignKey("users.id", ondelete="CASCADE")
    ),  # where the account becomes a member
    Column("right", String(8), nullable=False, server_default=""),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("maker_id", Integer),  # the account that made it; null: the command line of the hub
    UniqueConstraint("digest"),
    sqlite_autoincrement=True,
)

# Who somebody is elsewhere. An issuer never gives a subject to somebody else; names and addresses it may.
external_logins = Table(
    "external_logins",
    metadata,
    Column("issuer", String(300), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "user_id"),
)

# Whose jobs may act as a service: what an issuer must say of a job before it gets a token for a while.
trust_rules = Table(
    "trust_rules",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("service_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("issuer", String(300), nullable=False),
    Column("claims", Text, nullable=False),  # JSON: the claims that must be so, each with its value
    Column("life_s", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "service_id"),
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
    Column("gate", String(8), nullable=False, server_default=""),  # empty, auto or manual
    Column("takes_requests", Boolean, nullable=False, server_default="1"),
    Column("grant_days", Integer),  # how long whoever is let in stays so, unless it is said for the one
    Column(
        "terms", String(64), nullable=False, server_default=""
    ),  # sha256 of what whoever asks agrees to; empty: of nothing
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

# All parents of each commit, by place, so that the graph of a repo is walked without reading its objects.
git_parents = Table(
    "git_parents",
    metadata,
    Column("repo_id", Integer, primary_key=True),
    Column("oid", String(40), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("parent_oid", String(40), nullable=False),
    ForeignKeyConstraint(["repo_id", "oid"], ["git_commits.repo_id", "git_commits.oid"], ondelete="CASCADE"),
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
    Index(None, "sha256"),
)

# Generations of the address under which clients remember what a repo holds as chunks; a repo without a row has the first one.
xet_scopes = Table(
    "xet_scopes",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("generation", Integer, nullable=False),
)

# A stored xorb and its packed table of chunks (docs/formats/xet.md), the same for all repos that hold it. One with a source has no file of
# its own: its chunks are the bytes of that whole object from `source_start` on.
xorbs = Table(
    "xorbs",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("raw_bytes", BigInteger, nullable=False),
    Column("chunks", LargeBinary, nullable=False),
    Column("source_sha256", String(64)),
    Column("source_size", BigInteger),
    Column("source_start", BigInteger),
    Index(None, "source_sha256"),
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

# Names that repos had before they were moved; a repo made under such a name takes it away.
repo_aliases = Table(
    "repo_aliases",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("name_key", String(193), primary_key=True),
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(193), nullable=False),
    Index(None, "repo_id"),
)

# Who asked to get through the gate of a repo, and what became of it.
access_requests = Table(
    "access_requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("status", String(8), nullable=False),
    Column("fields", Text, nullable=False),  # what the user filled in, as JSON
    Column("created_ms", BigInteger, nullable=False),
    Column("reviewed_ms", BigInteger),
    Column("reviewer_id", Integer, ForeignKey("users.id", ondelete="SET NULL")),
    Column("reason", Text),
    Column("expires_ms", BigInteger),
    Column("terms", String(64)),  # what was agreed to; null: nothing had to be, an owner let the account in
    UniqueConstraint("repo_id", "user_id"),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)

# Talk about a repo. A pull request is a discussion with the ref refs/pr/<number>.
discussions = Table(
    "discussions",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("title", String(300), nullable=False),
    Column("author_id", Integer, ForeignKey("users.id", ondelete="SET NULL")),
    Column("created_ms", BigInteger, nullable=False),
    Column("status", String(8), nullable=False),
    Column("is_pull_request", Boolean, nullable=False),
    Column("merge_oid", String(40)),
)

discussion_events = Table(
    "discussion_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("repo_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("author_id", Integer, ForeignKey("users.id", ondelete="SET NULL")),
    Column("created_ms", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON, by kind
    ForeignKeyConstraint(["repo_id", "number"], ["discussions.repo_id", "discussions.number"], ondelete="CASCADE"),
    Index(None, "repo_id", "number"),
    sqlite_autoincrement=True,
)

likes = Table(
    "likes",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "user_id"),
)

# Logins that began on a device without a browser. Neither code is kept, only their sha256.
device_logins = Table(
    "device_logins",
    metadata,
    Column("device_digest", String(64), primary_key=True),
    Column("user_digest", String(64), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("polled_ms", BigInteger),
    Column("status", String(8), nullable=False),
    Column("token_id", Integer, ForeignKey("tokens.id", ondelete="CASCADE")),  # the token by which it was approved
    UniqueConstraint("user_digest"),
)

# Large objects that an owner deleted for good, where the history was left as it is: their pointers lead nowhere on purpose.
purged_objects = Table(
    "purged_objects",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("purged_ms", BigInteger, nullable=False),
)

# What a repo holds, in bytes. Triggers keep it (migration 10); nothing else writes here.
repo_usage = Table(
    "repo_usage",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("file_bytes", BigInteger, nullable=False, server_default="0"),
    Column("object_bytes", BigInteger, nullable=False, server_default="0"),
    Column("xorb_bytes", BigInteger, nullable=False, server_default="0"),
    Column("history_bytes", BigInteger, nullable=False, server_default="0"),
)

# The same at the end of each day, counted from 1970 UTC, on which it changed.
usage_days = Table(
    "usage_days",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("file_bytes", BigInteger, nullable=False, server_default="0"),
    Column("object_bytes", BigInteger, nullable=False, server_default="0"),
    Column("xorb_bytes", BigInteger, nullable=False, server_default="0"),
    Column("history_bytes", BigInteger, nullable=False, server_default="0"),
)

# How many bytes a repo may hold; without a row, as many as it likes. The same for all repos of an account together.
repo_quotas = Table(
    "repo_quotas",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

account_quotas = Table(
    "account_quotas",
    metadata,
    Column("account_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

# What a search looks at, read from the README of the head of `main`; rows of another head are read anew when a search meets them.
repo_cards = Table(
    "repo_cards",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("commit_oid", String(40), nullable=False),
    Column("card", Text, nullable=False),  # front matter as JSON, or null
)

repo_tags = Table(
    "repo_tags",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(200), primary_key=True),
    Index(None, "tag"),
)

# Files that somebody works on, as git-lfs tells others.
file_locks = Table(
    "file_locks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("repo_id", "path"),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)

# Who did what (decision 21): a chain of rows that triggers keep from being changed or removed. It outlives the accounts and repos that it names.
audit_log = Table(
    "audit_log",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, without a gap
    Column("time_ms", BigInteger, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("actor_id", Integer, nullable=False),
    Column("actor", String(96), nullable=False),
    Column("token_id", Integer, nullable=False),
    Column("deed", String(32), nullable=False),
    Column("repo_id", Integer, nullable=False),
    Column("repo", String(220), nullable=False),  # its address at that time
    Column("subject", String(300), nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("hash", String(64), nullable=False),  # sha256 over all of this and the hash of the row before
    Index(None, "repo_id"),
    Index(None, "actor_id"),
)

# What no ref of a repo needs any more, and since when that is known: git ids, sha256s of large objects, hashes of xorbs.
unneeded = Table(
    "unneeded",
    metadata,
    Column("repo_id", Integer, ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)

# Large objects that came whole and are not cut into chunks yet.
uncut_objects = Table(
    "uncut_objects",
    metadata,
    Column("repo_id", Integer, primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("queued_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["repo_id", "sha256"], ["lfs_objects.repo_id", "lfs_objects.sha256"], ondelete="CASCADE"),
    Index(None, "queued_ms"),
)
