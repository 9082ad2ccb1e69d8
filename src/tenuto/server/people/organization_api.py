"""Organizations over HTTP: found one, list its members, let users in and out (docs/accounts.md)."""

from typing import Literal

import msgspec

from tenuto.core.wire import timestamp_text
from tenuto.server.http.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import Kind, find_account, right_named, right_text, set_full_name
from tenuto.server.people.change import changing
from tenuto.server.people.organizations import add_organization, list_members, remove_member, set_member

_PAGE = 100
_MAX_PAGE = 1000


class OrganizationRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An organization to make."""

    name: str
    full_name: str = ""


class OrganizationChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What people shall call an organization; empty: by its name."""

    full_name: str


class MemberRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a member may go."""

    role: Literal["read", "write", "admin"]


def found(parts: Parts, call: Call) -> Answer:
    """Make an organization, which the caller administers. Raises UsageError (BadAddress), ConflictError (Exists)."""
    wanted = call.json(OrganizationRequest)
    with changing(parts, call.origin) as change:
        admin = find_account(change.connection, call.actor.name)
        made = add_organization(change, wanted.name, admin, wanted.full_name)
    return json_answer({"name": made.name, "fullname": made.shown_name, "url": f"{call.base_url}/{made.name}"})


def members(parts: Parts, call: Call) -> Answer:
    """A page of the members of an organization."""
    limit, after = call.number("limit", _PAGE, _MAX_PAGE), call.number("cursor", 0, 2**62)
    with parts.database.read() as connection:
        organization = find_account(connection, call.params["organization"], Kind.ORGANIZATION)
        listed = list_members(connection, organization, after, limit + 1)
    answer = [
        {
            "user": one.account.name,
            "fullname": one.account.shown_name,
            "avatarUrl": "",
            "type": "user",
            "isPro": False,
            "role": right_text(one.right),
            "createdAt": timestamp_text(one.since_ms),
        }
        for one in listed[:limit]
    ]
    headers = next_page(call, listed[limit - 1].account.id) if len(listed) > limit else None
    return json_answer(answer, headers=headers)


def put_member(parts: Parts, call: Call) -> Answer:
    """A user belongs to the organization, with that right from now on."""
    right = right_named(call.json(MemberRequest).role)
    with changing(parts, call.origin) as change:
        organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
        user = find_account(change.connection, call.params["user"], Kind.USER)
        set_member(change, organization, user, right)
    return json_answer({"user": user.name, "role": right_text(right)})


def drop_member(parts: Parts, call: Call) -> Answer:
    """A user belongs to the organization no longer."""
    with changing(parts, call.origin) as change:
        organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
        remove_member(change, organization, find_account(change.connection, call.params["user"], Kind.USER))
    return json_answer({})


def leave(parts: Parts, call: Call) -> Answer:
    """The caller belongs to the organization no longer."""
    with changing(parts, call.origin) as change:
        organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
        remove_member(change, organization, find_account(change.connection, call.actor.name))
    return json_answer({})


def rename(parts: Parts, call: Call) -> Answer:
    """Change what people call the organization."""
    wanted = call.json(OrganizationChange)
    with changing(parts, call.origin) as change:
        organization = find_account(change.connection, call.params["organization"], Kind.ORGANIZATION)
        set_full_name(change, organization, wanted.full_name)
    return json_answer({"name": organization.name, "fullname": wanted.full_name or organization.name})
