"""The words of the audit log. They are stable: a word is added, and never changed."""

from enum import StrEnum


class Deed(StrEnum):
    """What somebody did."""

    REPO_CREATE = "repo.create"
    REPO_MOVE = "repo.move"
    REPO_DELETE = "repo.delete"
    REPO_SETTINGS = "repo.settings"

    COMMIT = "commit"  # a ref moved to a commit that was made, pushed or merged
    REF_CREATE = "ref.create"
    REF_DELETE = "ref.delete"
    SQUASH = "squash"
    PURGE = "purge"  # large objects were deleted for good
    OBJECTS_SHARE = "objects.share"  # another repo holds large objects of this one, too

    ACCESS_REQUEST = "access.request"
    ACCESS_WITHDRAW = "access.withdraw"
    ACCESS_ACCEPT = "access.accept"
    ACCESS_REJECT = "access.reject"
    ACCESS_REOPEN = "access.reopen"  # a request that was decided waits again
    ACCESS_GRANT = "access.grant"
    ACCESS_REVOKE = "access.revoke"

    SIGN_IN = "sign-in.ok"
    SIGN_IN_REFUSED = "sign-in.refused"
    SIGN_OUT = "sign-out"
    TOKEN_CREATE = "token.create"  # noqa: S105  # a word, no token
    TOKEN_REVOKE = "token.revoke"  # noqa: S105
    PASSWORD_SET = "password.set"  # noqa: S105

    USER_ADD = "user.add"
    USER_CHANGE = "user.change"
    ORGANIZATION_ADD = "organization.add"
    ORGANIZATION_CHANGE = "organization.change"
    MEMBER_SET = "member.set"
    MEMBER_REMOVE = "member.remove"
    SERVICE_ADD = "service.add"
    SERVICE_CHANGE = "service.change"

    LOCK_BREAK = "lock.break"
    QUOTA_CHANGE = "quota.change"
    HUB_GC = "hub.gc"
    HUB_SWEEP = "hub.sweep"  # tokens, links and logins that ended long ago are gone
    HUB_SET_ASIDE = "hub.set-aside"  # a damaged file of the store went to the trash
    HUB_RESTORE = "hub.restore"


FACTS = frozenset(
    (
        "bytes",
        "commits",
        "days",
        "expires_ms",
        "gate",
        "git_objects",
        "kind",
        "links",
        "logins",
        "name",
        "names",
        "new",
        "objects",
        "old",
        "private",
        "requests",
        "right",
        "role",
        "service",
        "snapshot",
        "status",
        "target",
        "terms",
        "token_id",
        "tokens",
        "until_ms",
        "xorbs",
    )
)
"""What may be said of a deed beside its subject. None of it is a secret, a form field, or the content of a file."""
