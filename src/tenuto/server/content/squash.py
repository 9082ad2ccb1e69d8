"""Make one commit of a branch and forget how it came about (hub-protocol section 7.6)."""

import msgspec

from tenuto.core.errors import ConflictError, UsageError
from tenuto.server.access import Action
from tenuto.server.audit import Deed, record
from tenuto.server.content.commits import MESSAGE_BYTES, find_branch, new_commit
from tenuto.server.gates.terms import note_change
from tenuto.server.git.objects import GitReader, add_commit, add_objects, move_ref
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.permit import check_again


class SquashRequest(msgspec.Struct, frozen=True):
    """The message of the one commit."""

    message: str | None = None


def super_squash(parts: Parts, call: Call) -> Answer:
    """The branch is one commit without parents, of the same tree. Other branches and tags keep what they have."""
    message = call.json(SquashRequest).message or "Super-squash branch"
    if len(message) > MESSAGE_BYTES:
        raise UsageError("the message of the commit is too long", code="TooLarge")
    with parts.database.write() as connection:
        check_again(parts, connection, call, Action.WRITE)
        git = GitReader(connection, call.repo.key, parts.cache)
        ref, head = find_branch(git, call.params["branch"])
        facts, row = new_commit(parts, call.repo, call.actor, head.tree, (), message)
        add_objects(parts.database, connection, [row])
        add_commit(parts.database, connection, call.repo.key, facts)
        if not move_ref(connection, call.repo.key, ref, head.oid, facts.oid):
            raise ConflictError(f"{ref} moved meanwhile", hint="try again")
        note_change(parts, connection, call.repo.key)
        moved = {"old": head.oid, "new": facts.oid}
        record(connection, call.origin, Deed.SQUASH, parts.now_ms(), repo=call.repo, subject=ref, facts=moved)
    return json_answer({"commitOid": facts.oid})
