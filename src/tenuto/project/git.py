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
_ELSEWHERE = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
}
"""What makes git answer about another repository than the one that a folder lies in."""


def ask_git(
    folder: str, *arguments: str, stdin: bytes = b"", is_any: bool = False
) -> "subprocess.CompletedProcess[bytes] | None":
    """Run git in a folder; None where there is no git. Its messages are in English. Raises StorageError if no process can be started.

    The environment may name the repository of the current project, as it does for hooks. A folder that `is_any` answers for its own one
    alone, and git fetches nothing.
    """
    import subprocess  # most commands ask nothing

    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    if is_any:
        environment = {name: value for name, value in environment.items() if name not in _ELSEWHERE} | _NO_FETCH
    elif "GIT_WORK_TREE" not in environment:  # set for hooks, it would make the top of any folder
        environment.pop("GIT_DIR", None)
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"git cannot be started: {error.strerror}") from error
