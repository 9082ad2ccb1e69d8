"""The account that a path names, and the namespace in which the policy is asked about it."""

from sqlalchemy import Connection

from tenuto.core.errors import AccessDeniedError, NotFoundError
from tenuto.server.access import Repo, any_in, may_issue
from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import Account, Kind, find_account
from tenuto.server.people.services import owner_of


def of_organization(parts: Parts, connection: Connection, call: Call) -> Repo:
    """The namespace of the organization in the path; raises NotFoundError (UserNotFound)."""
    return any_in(find_account(connection, call.params["organization"], Kind.ORGANIZATION).name)


def of_account(parts: Parts, connection: Connection, call: Call) -> Repo:
    """The namespace of the account in the path, for a service that of its owner; raises NotFoundError (UserNotFound)."""
    account = find_account(connection, call.params["account"])
    return any_in((owner_of(connection, account) if account.kind is Kind.SERVICE else account).name)


def find_issuing(connection: Connection, call: Call, name: str) -> Account:
    """The account of that name, if the caller may make tokens of it; raises NotFoundError, AccessDeniedError (Forbidden)."""
    account = find_account(connection, name)
    owner = any_in(owner_of(connection, account).name) if account.kind is Kind.SERVICE else None
    if not may_issue(call.actor, account.id, owner):
        raise AccessDeniedError(
            f"{call.actor.name} may not deal with tokens of {account.name} by this token",
            hint="sign in with a browser, or use a token with the role `write`; tokens of others are theirs alone",
        )
    return account


def service_of(connection: Connection, owner: Account, name: str) -> Account:
    """The service of that name, if it acts for `owner`: that is the one that the policy was asked about.

    Raises NotFoundError (UserNotFound).
    """
    service = find_account(connection, name, Kind.SERVICE)
    if owner_of(connection, service).id != owner.id:
        raise NotFoundError(f"{owner.name} has no service {service.name}", code="UserNotFound")
    return service
