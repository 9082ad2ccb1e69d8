"""`tenuto inspect`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from tenuto.cli.frame import command, invocation
from tenuto.core.human import size_text

if TYPE_CHECKING:
    from tenuto.inspect.findings import Inspection, Json

SHOWN, SHOWN_CHARS = 6, 80


@command(
    "inspect",
    example="tenuto inspect model.safetensors\ntenuto inspect --quick clips/*.flac --json",
    exits=(5, 7, 9),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--quick", is_flag=True, help="Read headers only: no checksums, no numbers.")
def inspect(files: tuple[str, ...], quick: bool) -> int:
    """Say what is inside files and whether they are whole and safe to load. Nothing in them is executed or unpickled."""
    from tenuto.inspect.findings import Limits
    from tenuto.inspect.look import inspect_file

    limits = Limits(content_bytes=0) if quick else Limits(rows=SHOWN)
    found = [inspect_file(file, limits=limits) for file in files]
    invocation().printer.report({"files": found}, lambda: (line for one in found for line in inspection_lines(one)))
    return 0 if all(one.is_whole and one.is_safe for one in found) else 5


def inspection_lines(one: "Inspection") -> Iterator[str]:
    """What a person reads of one file: what it is, facts, findings."""
    from tenuto.inspect.findings import plain

    state = "whole" if one.is_whole else "damaged"
    danger = "" if one.is_safe else ", not safe to load"
    yield f"{plain(one.file)}: {one.format}, {size_text(one.size_bytes)}, {state}{danger}"
    for name, value in one.facts.items():
        if name == "first_rows" and isinstance(value, list):
            yield from _row_lines(value)
        elif value not in (None, [], {}):
            yield f"  {name.replace('_', ' ')}: {_text(value)}"
    for finding in one.findings:
        where = f" in {finding.where}" if finding.where else ""
        yield f"  {finding.severity}: {finding.code}{where}: {finding.detail}"


def _row_lines(rows: "list[Json]") -> Iterator[str]:
    """The first rows of a table, a line each."""
    yield "  first rows:"
    for row in rows:
        if isinstance(row, dict):
            shown = [f"{name} {_item_text(value)}" for name, value in list(row.items())[:SHOWN]]
            yield f"    {', '.join([*shown, *(['…'] if len(row) > SHOWN else [])])}"


def _text(value: "Json") -> str:
    """A fact in one line; of many things, the first ones."""
    match value:
        case list():
            shown = [_item_text(item) for item in value[:SHOWN]]
            more = [f"… ({len(value):,} listed)"] if len(value) > SHOWN else []
            return ", ".join([*shown, *more])
        case dict():
            shown = [f"{key} {_item_text(item)}" for key, item in list(value.items())[:SHOWN]]
            more = [f"… ({len(value):,} in all)"] if len(value) > SHOWN else []
            return ", ".join([*shown, *more])
        case _:
            return _item_text(value)


def _item_text(value: "Json") -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case str():
            return value if len(value) <= SHOWN_CHARS else f"{value[:SHOWN_CHARS]}…"
        case dict():
            return " ".join(_item_text(item) for item in value.values())
        case _:
            return msgspec.json.encode(value).decode()
