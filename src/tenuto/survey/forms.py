"""The inventory as a table for spreadsheets and as a page for people."""

import csv
import html
import io
from collections.abc import Iterable, Iterator

from tenuto.core.human import count_text
from tenuto.core.spreadsheet import harmless_cell
from tenuto.survey.inventory import Inventory, Item

_COLUMNS = tuple(name for name in Item.__struct_fields__ if name != "top_files")
_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1b1b; }
table { border-collapse: collapse; margin: 0 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem; border-bottom: 1px solid #ccc; }
td.number { text-align: right; white-space: nowrap; }
code { font-size: .9em; overflow-wrap: anywhere; }
.bad { font-weight: bold; }
"""


def as_csv(inventory: Inventory) -> str:
    """One line an item under a line of names; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in inventory.items:
        writer.writerow(harmless_cell(getattr(item, name)) for name in _COLUMNS)
    return text.getvalue()


def as_html(inventory: Inventory) -> str:
    """One page that needs no other file; whatever stands in it is shown as text."""
    body = "\n".join(_sections(inventory))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inventory</title>
<style>
{_STYLE}</style>
</head>
<body>
<h1>Inventory</h1>
<p>As of {html.escape(inventory.generated_at)}.</p>
{body}
</body>
</html>
"""


def _sections(inventory: Inventory) -> Iterator[str]:
    totals = inventory.totals
    for title, items, files, size in (
        ("Models", inventory.models, totals.models_files, totals.models_size),
        ("Datasets", inventory.datasets, totals.datasets_files, totals.datasets_size),
    ):
        if isinstance(items, list):
            yield f"<h2>{title}</h2>"
            yield f"<p>{len(items):,} in all: {count_text(int(files or 0), 'file')}, {size}.</p>"
            yield from _table(items)


def _table(items: Iterable[Item]) -> Iterator[str]:
    titles = ("Name", "Status", "Size", "Files", "Snapshot", "Licence", "Verified", "Path", "About")
    yield "<table>"
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for item in items:
        yield f"<tr>{''.join(_cells(item))}</tr>"
    yield "</tbody>"
    yield "</table>"


def _cells(item: Item) -> Iterator[str]:
    status = f"{item.status}: {item.detail}" if item.detail else item.status
    yield f'<th scope="row">{_text(item.name)}</th>'
    yield f'<td class="{"bad" if item.is_finding else "good"}">{_text(status)}</td>'
    yield f'<td class="number">{_text(item.size)}</td>'
    yield f'<td class="number">{item.files_count:,}</td>'
    yield f"<td><code>{_text((item.snapshot or '')[:12])}</code></td>"
    yield f"<td>{_text(item.license)}</td>"
    yield f"<td>{_text(item.verified_at)}</td>"
    yield f"<td><code>{_text(item.local_path)}</code></td>"
    yield f"<td>{_text(item.readme_excerpt)}</td>"


def _text(text: str | None) -> str:
    return html.escape(text or "")
