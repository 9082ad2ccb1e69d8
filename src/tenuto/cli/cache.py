"""`tenuto cache size | gc | limit | adopt | expose`: the store of this user, that all projects share."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tenuto.cli.choosing import naming
from tenuto.cli.frame import LazyGroup, command, invocation
from tenuto.core.human import count_text, parse_size, size_text

if TYPE_CHECKING:
    from tenuto.project.cache import CacheCleared, CacheSize
    from tenuto.project.expose import Exposed
    from tenuto.store.adopt import Adopted
    from tenuto.store.local import LocalStore

_HERE = "tenuto.cli.cache"
SHOWN = 20

cache = LazyGroup(
    "cache",
    lazy={
        "size": (_HERE, "Say what the store holds, and who needs it."),
        "gc": (_HERE, "Remove what no project needs."),
        "limit": (_HERE, "Say or set how large the store may get."),
        "adopt": (_HERE, "Take files that are on the disk already, without a copy."),
        "expose": (_HERE, "Show artifacts to Hugging Face libraries."),
    },
    help="The store of this user, that all projects share.",
)


def _store() -> "LocalStore":
    from tenuto.store.local import LocalStore

    return LocalStore(invocation().project_settings().cache)


def _limit_bytes() -> int | None:
    limit = invocation().project_settings().cache_limit
    return parse_size(limit) if limit else None


def _store_with_us() -> "LocalStore":
    """The store, which knows that the project here uses it, if there is one: what it needs is spared, however young or moved it is."""
    from tenuto.core.errors import NotFoundError
    from tenuto.project.roots import register
    from tenuto.project.workspace import find_root

    store = _store()
    with suppress(NotFoundError):
        register(store, find_root(invocation().root))
    return store


@command("size", example="tenuto cache size\ntenuto cache size --json", exits=(7,))
def size() -> None:
    """Say what the store holds, what projects need of it, and which projects those are."""
    from tenuto.project.cache import size as look

    report = look(_store(), _limit_bytes())
    invocation().printer.report(report, lambda: _size_lines(report))


def _size_lines(report: "CacheSize") -> Iterator[str]:
    limit = f" of {size_text(report.limit_bytes)} allowed" if report.limit_bytes is not None else ""
    yield f"{report.folder}: {count_text(report.objects, 'object')}, {size_text(report.bytes)}{limit}"
    yield f"  needed by projects: {size_text(report.needed_bytes)}; laid out as hard links: {size_text(report.shared_bytes)}"
    yield f"  unfinished transfers: {size_text(report.spool_bytes)}; in the trash: {size_text(report.trash_bytes)}"
    for project in report.projects[:SHOWN]:
        yield f"  {size_text(project.bytes):>8}  {project.path}"
    if len(report.projects) > SHOWN:
        yield f"  and {len(report.projects) - SHOWN:,} more; --json lists all"


@command("gc", example="tenuto cache gc --dry-run\ntenuto cache gc --now", exits=(7,))
@click.option("--dry-run", is_flag=True, help="Say what would go, change nothing.")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0, max=36_500),
    default=7,
    show_default=True,
    help="How long after its last use something stays that no project needs.",
)
@click.option(
    "--trash-days",
    type=click.FloatRange(min=0, max=36_500),
    default=7,
    show_default=True,
    help="How long it can be taken back from the trash.",
)
@click.option("--now", is_flag=True, help="Do not wait: keep nothing for lack of age, and empty the trash.")
def gc(dry_run: bool, keep_days: float, trash_days: float, now: bool) -> None:
    """Move what no project needs to a trash, and delete what has been there for long.

    Spared is what the lock or the last sync of a project needs that has used this store. In its git, the locks of branches,
    tags, stashes and checked-out commits count as well.
    """
    from tenuto.project.cache import clear

    days, in_trash = (0.0, 0.0) if now else (keep_days, trash_days)
    report = clear(_store_with_us(), keep_days=days, trash_days=in_trash, limit_bytes=_limit_bytes(), dry_run=dry_run)
    invocation().printer.report(report, lambda: _cleared_lines(report))


def _cleared_lines(report: "CacheCleared") -> Iterator[str]:
    removed, would = report.removed, "Would move" if report.dry_run else "Moved"
    yield f"{would} to the trash: {count_text(removed.objects, 'object')}, {size_text(removed.bytes)}"
    if removed.shared_bytes:
        yield f"  {size_text(removed.shared_bytes)} of it stay on the disk, as files that are laid out as hard links"
    yield f"{'Would delete' if report.dry_run else 'Deleted'} for good: {size_text(removed.deleted_bytes + report.spool_bytes)}"
    if report.places_bytes:
        verb = "Would remove" if report.dry_run else "Removed"
        yield f"{verb} what was laid out for Python packages and is not used: {size_text(report.places_bytes)}"
    yield f"Needed by projects, and spared: {size_text(report.spared_bytes)}"
    if report.trash_bytes:
        yield f"In the trash: {size_text(report.trash_bytes)}; --now empties it"


@command("limit", example="tenuto cache limit 50GB\ntenuto cache limit none", exits=(7,))
@click.argument("size_limit", metavar="[SIZE|none]", required=False)
def limit(size_limit: str | None) -> None:
    """Say how large the store may get, or set it, for all projects of this user. Above it, what was unused for longest goes."""
    from tenuto.project.cache import clear
    from tenuto.project.preferences import set_preference

    run = invocation()
    if size_limit is None:
        shown = _limit_bytes()
        run.printer.report({"limit_bytes": shown}, lambda: ["No limit" if shown is None else size_text(shown)])
        return
    wanted = None if size_limit.lower() == "none" else parse_size(size_limit)
    file = set_preference(run.project_settings(), "cache_limit", size_limit if wanted is not None else None)
    report = clear(_store_with_us(), keep_days=36_500, trash_days=7, limit_bytes=wanted)
    said = "No limit any more" if wanted is None else f"The store may hold {size_text(wanted)}"
    run.printer.report(
        {"limit_bytes": wanted, "file": file, "cleared": report},
        lambda: [f"{said}; written to {file}", *_cleared_lines(report)],
    )


@command(
    "adopt", example="tenuto cache adopt ~/.cache/huggingface/hub\ntenuto cache adopt .dvc/cache models", exits=(7, 9)
)
@click.argument("folders", nargs=-1, required=True, type=click.Path())
def adopt(folders: tuple[str, ...]) -> int:
    """Take files that are on the disk already into the store, by hash, without a copy.

    Reads every file once. Where the file system cannot share bytes otherwise, file and store become one, and the file read-only.
    """
    import os

    from tenuto.core.errors import NotFoundError
    from tenuto.store.adopt import adopt as carry_out
    from tenuto.store.adopt import find_files

    run, store = invocation(), _store()
    paths: list[str] = []
    for folder in folders:
        full = os.path.join(run.root, os.path.expanduser(folder))
        if not os.path.exists(full):
            raise NotFoundError(f"{folder} does not exist", hint="name a folder or file that is there")
        paths += find_files(full) if os.path.isdir(full) else [os.path.realpath(full)]
    with run.printer.watch("adopting", sum(os.path.getsize(path) for path in paths)) as progress:
        adopted, errors = carry_out(store, paths, progress)
    run.printer.report(
        {"files": adopted, "errors": [error.message for error in errors]}, lambda: _adopted_lines(adopted)
    )
    for error in errors:
        run.printer.error(error)
    return 7 if errors else 0


def _adopted_lines(adopted: "Sequence[Adopted]") -> Iterator[str]:
    new = [one for one in adopted if one.how != "known"]
    linked = sum(one.how == "hardlink" for one in new)
    yield f"Adopted {count_text(len(new), 'file')}, {size_text(sum(one.size for one in new))}; {len(adopted) - len(new):,} were known"
    if linked:
        yield f"  {count_text(linked, 'file')} share their bytes with the store and are read-only now"


@command("expose", example="tenuto cache expose\ntenuto cache expose musicgen-small", exits=(7, 9))
@naming
def expose(names: tuple[str, ...]) -> int:
    """Show locked artifacts to Hugging Face libraries: their `from_pretrained` then finds them with HF_HUB_OFFLINE=1."""
    import os

    from tenuto.project.expose import expose as carry_out

    run = invocation()
    with run.workspace() as workspace, workspace.exclusive():
        exposed = carry_out(workspace, names, os.path.expanduser(workspace.settings.hf_home))
    run.printer.report({"artifacts": exposed}, lambda: _exposed_lines(exposed))
    return 1 if any(one.missing for one in exposed) else 0


def _exposed_lines(exposed: "Sequence[Exposed]") -> Iterator[str]:
    for one in exposed:
        yield f"{one.name}: {one.repo} at {one.revision} ({one.commit[:12]}): {count_text(one.files, 'file')} in {one.snapshot}"
        if one.repo.startswith("hf://datasets/"):
            yield f'  offline: load_dataset("{one.snapshot}"); by its name, `datasets` finds only what it has prepared itself'
        if one.missing:
            yield f"  {count_text(one.missing, 'file')} not here; tenuto pull {one.name} brings them"
