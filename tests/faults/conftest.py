"""A live hub for each of these modules, and plain callers."""

from tests.server.conftest import Owner, hub, make_owner, owner, speak

__all__ = ["Owner", "hub", "make_owner", "owner", "speak"]
