"""`tenuto login | logout | whoami`."""

import sys
from typing import TYPE_CHECKING

import click

from tenuto.cli.frame import command, invocation

if TYPE_CHECKING:
    from tenuto.core.wire import AccessToken

_ENDPOINT_HELP = "The hub, if not the project's or the default one."


@command("login", example="tenuto login\ntenuto login --endpoint http://127.0.0.1:8010 --token hf_…", exits=(3, 6, 7))
@click.option("--endpoint", help=_ENDPOINT_HELP)
@click.option("--token", help="The token; asked for if not given, or read from standard input if that is no terminal.")
def login(endpoint: str | None, token: str | None) -> None:
    """Keep a token for a hub, after the hub has accepted it."""
    from tenuto.core.errors import AuthenticationError
    from tenuto.hub.remote import Remote
    from tenuto.hub.session import Session
    from tenuto.hub.tokens import save_login

    run = invocation()
    settings = run.project_settings(endpoint=endpoint)
    run.token_is_own = True
    if token is None:
        token = (
            click.prompt(f"Token for {settings.endpoint}", hide_input=True, err=True)
            if sys.stdin.isatty()
            else sys.stdin.readline()
        )
    token = str(token).strip()
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise AuthenticationError("that is not a token", code="BadToken", hint="tokens are one word, such as hf_…")
    with Session(
        settings.endpoint, token, offline=settings.offline, timeout_s=settings.timeout_s, retries=settings.retries
    ) as session:
        try:
            name = Remote(session).whoami().name
        except AuthenticationError as error:
            raise AuthenticationError(
                f"{settings.endpoint} does not know this token",
                code="BadToken",
                hint="nothing was kept; copy the token once more",
            ) from error
    file = save_login(settings, token)
    run.printer.report(
        {"endpoint": settings.endpoint, "user": name, "file": file},
        lambda: [f"Logged in to {settings.endpoint} as {name}; the token is kept in {file}"],
    )


@command("logout", example="tenuto logout", exits=(7,))
@click.option("--endpoint", help=_ENDPOINT_HELP)
def logout(endpoint: str | None) -> None:
    """Forget the token of a hub."""
    from tenuto.hub.tokens import forget_login

    run = invocation()
    settings = run.project_settings(endpoint=endpoint)
    found = forget_login(settings)
    text = f"Forgot the token for {settings.endpoint}" if found else f"No token was kept for {settings.endpoint}"
    run.printer.report({"endpoint": settings.endpoint, "forgotten": found}, lambda: [text])


@command("whoami", example="tenuto whoami --json", exits=(3, 6))
@click.option("--endpoint", help=_ENDPOINT_HELP)
def whoami(endpoint: str | None) -> None:
    """Say who the hub takes you for."""
    from tenuto.core.errors import AuthenticationError

    run = invocation()
    remote = run.remote(endpoint=endpoint)
    with remote.session as session:
        if not session.has_token:
            raise AuthenticationError(
                f"you are not logged in to {remote.endpoint}", hint=f"run `tenuto login --endpoint {remote.endpoint}`"
            )
        identity = remote.whoami()
    token = identity.auth.access_token
    narrow = token.fine_grained is not None and not token.fine_grained.reads_gated
    report = {
        "endpoint": remote.endpoint,
        "name": identity.name,
        "organizations": [organization.name for organization in identity.orgs],
        "role": token.role,
        "reads_gated": not narrow,
        "scopes": [{"on": on, "rights": rights} for on, rights in _scopes(token)],
        "expires_at": token.expires_at,
    }
    run.printer.report(report, lambda: [f"{identity.name} on {remote.endpoint}{_token_text(token)}"])


def _scopes(token: "AccessToken") -> list[tuple[str, list[str]]]:
    scopes = token.fine_grained.scopes if token.fine_grained else []
    return [(one.entity.name, one.permissions) for one in scopes]


def _token_text(token: "AccessToken") -> str:
    """What the token is good for, and until when."""
    kind = "fine-grained" if token.fine_grained else token.role
    if not kind:
        return ""
    parts = [f", with a {kind} token"]
    if scopes := [f"{' and '.join(rights)} on {on}" for on, rights in _scopes(token)]:
        parts.append(f" for {', '.join(scopes)}")
    if token.fine_grained and not token.fine_grained.reads_gated:
        parts.append(", which may not read gated repos of others")
    if token.expires_at:
        parts.append(f", until {token.expires_at[:16].replace('T', ' ')} UTC")
    return "".join(parts)
