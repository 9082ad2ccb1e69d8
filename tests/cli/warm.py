"""Runs `tenuto` in forks of one process that has loaded it: each run begins with nothing but its order, and costs no start.

A line of JSON on the descriptor that the first argument names says what to run; its exit status is the answer, a line on the second.
"""

import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

LOADED = (
    *("alembic.command", "httpcore2", "httpx2", "tomlkit"),
    *(
        "tenuto.cli.main",
        "tenuto.cli.project",
        "tenuto.cli.sources",
        "tenuto.cli.transfer",
        "tenuto.cli.upkeep",
        "tenuto.cli.hub",
        "tenuto.cli.access",
        "tenuto.server.service",
    ),
)
LIMIT_S = 60


def become(order: dict) -> None:
    """This process is as if it had been started by that order."""
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["folder"])
    for stream, path in enumerate(order["streams"]):
        file = os.open(path, os.O_RDWR)
        os.dup2(file, stream)
        os.close(file)
    signal.alarm(LIMIT_S)
    sys.argv = ["tenuto", *order["arguments"]]


def end(program: Callable[[], NoReturn]) -> None:
    """The program has run and this process ends with its status; what was loaded is not taken down, which would take 40 ms."""
    try:
        program()
    except SystemExit as left:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(left.code if isinstance(left.code, int) else 0)


def main(orders: int, answers: int) -> None:
    """Serve orders until nobody can give any more."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # else each fork would copy all that was loaded when it looks for cycles
    with open(orders, encoding="utf-8") as lines:
        while line := lines.readline():
            child = os.fork()
            if child == 0:
                lines.close()
                os.close(answers)
                become(json.loads(line))
                end(sys.modules["tenuto.cli.main"].main)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.write(answers, b"%d\n" % status)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
