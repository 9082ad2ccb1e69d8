"""What git says of a project. Nothing that a repository configures is run, and nothing is written.

Git itself fetches what a partial clone lacks, unless it is told not to.
"""

import os
from typing import TYPE_CHECKING

from tenuto.core.errors import StorageError

if TYPE_CHECKING:
    import subprocess


_NO_FETCH = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
"""Before git 2.44, only the second one keeps it from that."""


def ask_git(
    folder: str, *arguments: str, stdin: bytes = b"", fetches: bool = True
) -> "subprocess.CompletedProcess[bytes] | None":
    """Run git in a folder; None where there is no git. Its messages are in English. Raises StorageError if no process can be started."""
    import subprocess  # most commands ask nothing

    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **({} if fetches else _NO_FETCH)}
    if "GIT_WORK_TREE" not in environment:  # set for hooks, it would make the top of any folder
        environment.pop("GIT_DIR", None)
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"git cannot be started: {error.strerror}") from error
