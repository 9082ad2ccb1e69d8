"""`tenuto hub quota set | show`."""

from collections.abc import Iterator, Mapping, Sequence

import click

from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.cli.hub import check_installed, data_option
from tenuto.cli.upkeep import existing_hub
from tenuto.core.errors import UsageError
from tenuto.core.human import parse_size, size_text

_HERE = "tenuto.cli.quota"

quota = LazyGroup(
    "quota",
    lazy={
        "set": (_HERE, "Say how much an account or a repo may hold."),
        "show": (_HERE, "Show who may hold how much, and does."),
    },
    help="How much accounts and repos may hold.",
)
_TARGET = click.argument("target", metavar="ACCOUNT|ADDRESS")


@command(
    "set", example="tenuto hub quota set alice 50GB\ntenuto hub quota set hf://datasets/acme/birds none", exits=(7, 9)
)
@_TARGET
@click.argument("size")
@data_option
def set_(target: str, size: str, data: str | None) -> None:
    """Let all repos of an account together, or one repo, hold SIZE: 500MB, 50GB, 1TiB; or none, for no limit.

    It counts the files of all versions, each content once for each repo, and large files by what is stored of their chunks. Who holds more
    already loses nothing, and can add nothing.
    """
    check_installed()
    from tenuto.server.audit import Deed, record
    from tenuto.server.quota import set_quota
    from tenuto.server.space.targets import find_target

    run = invocation()
    allowed = None if size == "none" else parse_size(size)
    if allowed is not None and allowed >= 1 << 63:
        raise UsageError(f"{size} is more than any disk holds", code="BadCommand", hint="write none for no limit")
    with existing_hub(data) as (hub, _), hub.changing() as change:
        found = find_target(change.connection, target)
        set_quota(
            change.connection, allowed, repo_key=found.repo.key if found.repo else None, account_id=found.account_id
        )
        facts = {"bytes": allowed}
        deed, now_ms = Deed.QUOTA_CHANGE, change.now_ms
        record(change.connection, change.origin, deed, now_ms, repo=found.repo, subject=found.name, facts=facts)
    text = f"{found.name} may hold {'any amount' if allowed is None else size_text(allowed)}"
    run.printer.report({"name": found.name, "allowed_bytes": allowed}, lambda: [text])


@command("show", example="tenuto hub quota show --data hub-data\ntenuto hub quota show --json", exits=(7, 9))
@data_option
def show(data: str | None) -> None:
    """Show every limit, with how much of it is used."""
    check_installed()
    from tenuto.server.quota.limits import all_limits

    run = invocation()
    with existing_hub(data) as (hub, _), hub.parts.database.read() as connection:
        found = all_limits(connection)
    report = [
        {
            "name": one.name,
            "is_account": one.is_account,
            "allowed_bytes": one.allowed_bytes,
            "used_bytes": one.used_bytes,
        }
        for one in found
    ]
    run.printer.report(report, lambda: _lines(report))


def _lines(report: Sequence[Mapping[str, object]]) -> Iterator[str]:
    if not report:
        yield "No limits are set"
        return
    yield f"{'used':>9} {'allowed':>9}"
    for one in report:
        used, allowed = int(str(one["used_bytes"])), int(str(one["allowed_bytes"]))
        yield f"{size_text(used):>9} {size_text(allowed):>9}  {one['name']}"
