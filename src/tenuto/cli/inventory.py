"""`tenuto inventory`."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from tenuto import __version__
from tenuto.cli.frame import Invocation, command, invocation
from tenuto.core.human import count_text, size_text

if TYPE_CHECKING:
    from tenuto.survey.inventory import Inventory, Item, Survey

SHOWN = 20
FORMATS = ("text", "json", "csv", "html", "cyclonedx")


@command(
    "inventory",
    example="tenuto inventory\ntenuto inventory --models --format json --output models/inventory.json\n"
    "tenuto inventory --against inventory.json\ntenuto inventory ~/.cache/huggingface/hub\ntenuto inventory --format cyclonedx > bom.json",
    exits=(1, 7, 9),
)
@click.argument("folder", required=False, type=click.Path())
@click.option("--models", "kinds", flag_value="models", multiple=True, help="Only models, adapters and checkpoints.")
@click.option("--datasets", "kinds", flag_value="datasets", multiple=True, help="Only datasets.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How it is written; text if not said.")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write it to a file; JSON if not said.")
@click.option("--against", metavar="FILE", type=click.Path(), help="Say only what changed since that one was written.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the document, and stop.")
def inventory(
    folder: str | None,
    kinds: Sequence[str],
    form: str | None,
    output: str | None,
    against: str | None,
    schema: bool,
) -> int:
    """Say which models and datasets are here, from where, how large, under which licence, and whether all of each is here.

    Without FOLDER, of this project; with FOLDER, of any folder, such as a cache of Hugging Face. Exits with 1 if something is missing,
    empty or only in part here; with --against, if anything changed.
    """
    from tenuto.survey import inventory as making

    run = invocation()
    if schema:
        text = making.schema()
        run.printer.answer(msgspec.Raw(text), text.decode().rstrip("\n"))
        return 0
    survey = _survey(run, folder, kinds or making.KINDS)
    if against is not None:
        return _print_changes(run, survey.inventory, against)
    status = 1 if any(item.is_finding for item in survey.inventory.items) else 0
    form = form or ("json" if output else "text")
    if output:
        run.write(output, _text(run, survey, form).encode())
        run.printer.note(f"Wrote {output}: {_sum_line(survey.inventory)}")
    if run.printer.json or (form == "text" and not output):
        run.printer.report(survey.inventory, lambda: _lines(survey.inventory))
    elif not output:
        run.printer.answer(survey.inventory, _text(run, survey, form).rstrip("\n"))
    return status


def _survey(run: Invocation, folder: str | None, kinds: Sequence[str]) -> "Survey":
    from tenuto.survey.inventory import survey_folder, survey_project

    if folder is not None:
        return survey_folder(os.path.join(run.root, folder), kinds)
    with run.workspace() as workspace:
        return survey_project(workspace, (), kinds)


def _print_changes(run: Invocation, inventory: "Inventory", against: str) -> int:
    from tenuto.survey.changes import inventory_changes, read_inventory

    report = inventory_changes(read_inventory(os.path.join(run.root, against)), inventory)

    def lines() -> Iterator[str]:
        for change in report.changes:
            yield f"{change.change:<7}  {change.name}"
            for field, (old, new) in change.fields.items():
                yield f"  {field}: {'none' if old is None else old} -> {'none' if new is None else new}"
        changed = count_text(len(report.changes), "change") if report.changes else "Nothing changed"
        yield f"{changed} since {report.since}"

    run.printer.report(report, lines)
    return 0 if report.same else 1


def _text(run: Invocation, survey: "Survey", form: str) -> str:
    """The document in one of its forms."""
    from tenuto.survey.bom import as_cyclonedx
    from tenuto.survey.forms import as_csv, as_html

    if form == "csv":
        return as_csv(survey.inventory)
    if form == "html":
        return as_html(survey.inventory)
    if form == "cyclonedx":
        return as_cyclonedx(survey, __version__, run.project_settings().endpoint) + "\n"
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(survey.inventory), indent=2).decode() + "\n"
    return "".join(f"{line}\n" for line in _lines(survey.inventory))


def _lines(inventory: "Inventory") -> Iterator[str]:
    if not inventory.items:
        yield "There are no models and no datasets here"
        return
    for title, items in (("Models", inventory.models), ("Datasets", inventory.datasets)):
        if isinstance(items, list) and items:
            yield f"{title}:"
            yield from _item_lines(items)
    yield _sum_line(inventory)
    findings = [item.name for item in inventory.items if item.is_finding]
    if findings:
        more = f" and {len(findings) - SHOWN:,} more" if len(findings) > SHOWN else ""
        yield f"Not whole: {', '.join(findings[:SHOWN])}{more}"


def _item_lines(items: Sequence["Item"]) -> Iterator[str]:
    width = max(len(item.name) for item in items)
    for item in items:
        snapshot = f" at {item.snapshot[:12]}" if item.snapshot else ""
        facts = f"{count_text(item.files_count, 'file')}{snapshot}, {item.license or 'no licence stated'}"
        yield f"  {item.name:<{width}}  {item.status:<7}  {item.size:>7}  {facts}"
        if item.detail:
            yield f"  {'':<{width}}  {item.detail}"


def _sum_line(inventory: "Inventory") -> str:
    totals, parts = inventory.totals, []
    for noun, items, count, size in (
        ("model", inventory.models, totals.models_files, totals.models_bytes),
        ("dataset", inventory.datasets, totals.datasets_files, totals.datasets_bytes),
    ):
        if isinstance(items, list):
            held = f"{count_text(int(count or 0), 'file')}, {size_text(int(size or 0))}"
            parts.append(f"{count_text(len(items), noun)} ({held})")
    return ", ".join(parts)
