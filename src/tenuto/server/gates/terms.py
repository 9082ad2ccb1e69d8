"""What the card of a repo says to whoever asks for access, kept in step with the head of `main`, however that moved."""

import contextlib

from sqlalchemy import Connection, update

from tenuto.core.errors import IntegrityError
from tenuto.server.gates.form import Form, read_form
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, GitReader
from tenuto.server.hub import Parts
from tenuto.server.repos.card import CardError, read_card
from tenuto.server.repos.cards import readme_of
from tenuto.server.schema import repos

_MARK = b"extra_gated_"


def form_of(git: GitReader) -> Form:
    """The form of a repo as it stands; raises IntegrityError if the repo is damaged."""
    oid = git.branch_head(HEADS + DEFAULT_BRANCH)
    commit = git.find_commit(oid) if oid else None
    return form_in(readme_of(git, commit) if commit else None)


def form_in(readme: bytes | None) -> Form:
    """The form that a README describes."""
    if readme is None or _MARK not in readme:  # few cards say something, and to read YAML takes its time
        return Form()
    try:
        return read_form(read_card(readme.decode(errors="replace")))
    except CardError as error:
        return Form(fault=str(error))


def keep_terms(parts: Parts, connection: Connection, repo_key: int) -> Form:
    """The form of a repo, after its terms were noted in the row of the repo, unless they cannot be read."""
    form = form_of(GitReader(connection, repo_key, parts.cache))
    if not form.fault:
        connection.execute(update(repos).where(repos.c.id == repo_key).values(terms=form.terms))
    return form


def note_change(parts: Parts, connection: Connection, repo_key: int) -> None:
    """A ref of a repo moved: remember when, and what is agreed to from now on. Terms that cannot be read stay what they were."""
    values: dict[str, object] = {"modified_ms": parts.now_ms()}
    with contextlib.suppress(IntegrityError):  # whoever repairs the repo moves a ref of it
        form = form_of(GitReader(connection, repo_key, parts.cache))
        if not form.fault:
            values["terms"] = form.terms
    connection.execute(update(repos).where(repos.c.id == repo_key).values(values))
