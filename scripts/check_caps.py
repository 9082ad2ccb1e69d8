"""Files have at most 500 lines, functions at most 50, docstrings counted. Prints each offender and exits with 1 if there is one."""

import argparse
import ast
import os
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

FILE_LINES = 500
FUNCTION_LINES = 50


class Offender(NamedTuple):
    """A file or function that is too long; a file has line 1 and its own base name."""

    path: str
    line: int
    name: str
    lines: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.name} {self.lines} lines"


def python_files(places: Iterable[str]) -> Iterator[str]:
    """Every Python file in the given files and folders, in sorted order; hidden folders are left out."""
    for place in places:
        if os.path.isfile(place):
            yield place
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
            yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))


def offenders(path: str, source: str) -> list[Offender]:
    """What is too long in one file, by line. Raises SyntaxError."""
    found = []
    length = len(source.splitlines())
    if length > FILE_LINES:
        found.append(Offender(path, 1, os.path.basename(path), length))
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                found.append(Offender(path, node.lineno, node.name, lines))
    return sorted(found, key=lambda one: one.line)


def main(arguments: list[str]) -> int:
    """Check the given files and folders; 1 if anything is too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="+")
    found = []
    for path in python_files(parser.parse_args(arguments).places):
        with open(path, encoding="utf-8") as file:
            found += offenders(path, file.read())
    for one in found:
        print(one)
    if found:
        print(f"caps: {len(found)} too long (files {FILE_LINES} lines, functions {FUNCTION_LINES})", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
