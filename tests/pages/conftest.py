"""A hub with somebody's repos on it, for the tests of what browsers show."""

from tests.server.conftest import Owner, hub, make_owner, owner, speak

__all__ = ["Owner", "hub", "make_owner", "owner", "speak"]
