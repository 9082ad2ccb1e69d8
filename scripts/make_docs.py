"""Write the generated pages of docs/ from the tables in code; with `--check`, only say whether they are fresh."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tenuto.core.errors import CODES, TenutoError
from tenuto.core.settings import SETTINGS, Setting

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOTE = "<!-- Written by scripts/make_docs.py: change the table in code, then run `make docs`. -->"
TYPE_WORDS = {str: "text", int: "whole number", float: "number", bool: "yes or no"}


class Figures(NamedTuple):
    """A part of a page: its marks, and the command that prints committed results."""

    begin: str
    end: str
    module: str
    form: str
    results: str


FIGURES = (
    Figures(
        "<!-- figures of the benchmark, by `make docs` -->",
        "<!-- end of figures -->",
        "bench.report",
        "--summary",
        "bench/results/2-cores.json",
    ),
    Figures(
        "<!-- figures of the hub, by `make docs` -->",
        "<!-- end of figures of the hub -->",
        "bench.hub.table",
        "--markdown",
        "bench/results/hub-4-cores.json",
    ),
)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(head)
    body = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in body)


def settings_page() -> str:
    """docs/settings.md: every setting, how it is set and what it is for."""
    rows = [
        [
            f"`{setting.key}`",
            TYPE_WORDS[setting.type],
            ", ".join(f"`{variable}`" for variable in setting.environment),
            default_text(setting),
            setting.purpose,
        ]
        for setting in SETTINGS
    ]
    return f"""{NOTE}

# Settings

A setting is taken from the first place that gives it: a flag of the command, the environment, the manifest `tenuto.toml`, the user's
file, the default. Where several variables are named, the first one that is set counts.

A token may also stand in the file `.env` beside the manifest, as `HF_TOKEN=hf_...`, maybe after `export` and in quotes. It counts like one in
the environment, which goes before it. No other variable is read from there, no other folder is looked at, and a `.env` that
git tracks is not read ([why](decisions/0002-which-token-goes-where.md)).

{table(["setting", "type", "environment", "default", "what it does"], rows)}
"""


def default_text(setting: Setting) -> str:
    """A default as a person would type it."""
    if setting.default is None:
        return "none"
    return f"`{str(setting.default).lower() if setting.type is bool else setting.default}`"


def errors_page() -> str:
    """docs/errors.md: every failure code, the class it belongs to, and its exit and HTTP status."""
    kinds: dict[type[TenutoError], str] = {}
    for kind in CODES.values():
        kinds[kind.error] = (kind.error.__doc__ or "").partition("\n")[0]
    classes = [
        [f"`{kind.__name__}`", str(kind.exit_status), meaning]
        for kind, meaning in sorted(kinds.items(), key=lambda item: (item[0].exit_status, item[0].__name__))
    ]
    codes = [
        [f"`{name}`", f"`{kind.error.__name__}`", str(kind.error.exit_status), str(kind.http_status)]
        for name, kind in CODES.items()
    ]
    return f"""{NOTE}

# Errors

Every failure has a stable code. The class says what a handler would do, and so does the exit status of the command; the hub sends the
code as `X-Error-Code` with the HTTP status, and the client raises the same error again. Codes are only ever added.

Exit status 0 says: done, and clean. 1 says: done, and the answer is no (drift, a check that would change something, a conflict).
130 says: interrupted.

## Classes

{table(["class", "exit status", "meaning"], classes)}

## Codes

{table(["code", "class", "exit status", "HTTP status"], codes)}
"""


def with_figures(text: str) -> str:
    """A page with the figures of each committed benchmark between its two marks; a part without marks stays as it is."""
    for part in FIGURES:
        if part.end in text and os.path.exists(os.path.join(ROOT, part.results)):
            before, _, rest = text.partition(part.begin)
            report = [sys.executable, "-m", part.module, part.form, part.results]
            figures = subprocess.run(report, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
            text = f"{before}{part.begin}\n{figures}{part.end}{rest.partition(part.end)[2]}"
    return text


def benchmarks_page(text: str) -> str:
    """docs/benchmarks.md: every figure of the committed benchmark of the client; as it is, if there are none."""
    results = FIGURES[0].results
    if not os.path.exists(os.path.join(ROOT, results)):
        return text
    report = [sys.executable, "-m", "bench.report", "--markdown", results]
    figures = subprocess.run(report, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return f"""{NOTE}

# Benchmarks

`make bench` takes every tool through the same flow in one run, in another order each round, with its default settings. DVC, git-lfs and
rclone have a folder of the same disk as their remote; huggingface_hub and Tenuto talk to a hub of Tenuto on loopback, huggingface_hub by
Xet where it wants to. Every pulled byte is compared with what was pushed. git-lfs and rclone come from the system
(`apt-get install git-lfs rclone`), DVC goes into an environment of its own; what is not installed is reported as not measured.

`make bench ONLY=start,W1` measures a part, `SCALE=0.1` with a tenth of the files, `RESUME=1` goes on with a run that was cut off. At full size
W2 needs 25 GB of disk below `.bench`, given back when all flows are over or room is short.

{figures}
## What is missed, and why

- **W3, a push and a fresh pull.** A pull takes as much processor time as wall time: half of it is the kernel (a file is made, written,
  linked and looked at; 20 % is the first touch of fresh pages), a tenth sha256, the rest Python for 20,000 files. In a push the client
  waits for the hub, which makes, writes and hashes each file in its spool, and syncs all of them before the branch moves; DVC's folder
  and rclone sync nothing.
- **W3, the folder is gone.** No file is read ([decision 18](decisions/0018-what-is-read-before-it-is-laid-out.md)). Of 1.2 s, 0.35 s are
  a link and a look a file; the rest is four passes over 20,000 entries (listing, comparison, names that are checked before they become
  paths, the index).
- **W3, a pull with nothing to do.** 75 ms are the interpreter with its imports, 60 ms a look at each file, 16 ms the rows of the index.
- **W2, a push.** The table is of a hub that joined parts; it writes them in place now, which takes a third of the time
  ([decision 26](decisions/0026-parts-are-written-in-place.md)). The limit waits for no disk, and shares its cores with nobody.
- **W2, a pull.** Both processes share two cores: sha256 takes one of them for 2.4 s, the way through an HTTP library in Python most of
  the rest.
- **W4, a pull.** Files of 1.3 MB are too large for packs, so each is a request of its own, by the same HTTP library.
"""


PAGES: dict[str, Callable[[str], str]] = {
    "docs/settings.md": lambda _: settings_page(),
    "docs/errors.md": lambda _: errors_page(),
    "docs/benchmarks.md": benchmarks_page,
    "docs/benchmarks-hub.md": with_figures,
    "README.md": with_figures,
}


def stale_pages(root: str) -> dict[str, str]:
    """What the generated pages should be, for those that are not."""
    found = {}
    for path, make in PAGES.items():
        text = read_text(os.path.join(root, path))
        wanted = make(text)
        if text != wanted:
            found[path] = wanted
    return found


def read_text(path: str) -> str:
    """The text of a file; nothing if it is missing."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main(arguments: list[str]) -> int:
    """Write what is stale; with `--check` write nothing, and return 1 if anything is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not fresh")
    parser.add_argument("--root", default=ROOT, help="the folder of the project")
    options = parser.parse_args(arguments)
    stale = stale_pages(options.root)
    for path, text in stale.items():
        if options.check:
            print(f"docs: {path} is not fresh; run `make docs`", file=sys.stderr)
            continue
        with open(os.path.join(options.root, path), "w", encoding="utf-8") as file:
            file.write(text)
        print(f"docs: wrote {path}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
