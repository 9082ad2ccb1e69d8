"""Changes as text, in the form of `git diff`: what reviewers of a pull request read."""

import difflib

from tenuto.core.gitobj import TreeItem
from tenuto.server.gitstore import GitReader
from tenuto.server.merging import Change

DIFF_BYTES = 1 << 20
FILE_BYTES = 1 << 18
_FILE_LINES = 4000
_NOBODY = "0" * 40


def diff_text(git: GitReader, changed: dict[str, Change]) -> str:
    """The changes, file by file. Large files show their pointers; what has no text is named only, as is what is too much."""
    pieces: list[str] = []
    size = 0
    for path in sorted(changed):
        piece = _file(git, path, changed[path])
        size += len(piece)
        if size > DIFF_BYTES:
            pieces.append(f"# {len(changed) - len(pieces)} more files are not shown\n")
            break
        pieces.append(piece)
    return "".join(pieces)


def _file(git: GitReader, path: str, change: Change) -> str:
    old, new = change
    lines = [f"diff --git a/{_shown(path)} b/{_shown(path)}"]
    if old is None and new is not None:
        lines.append(f"new file mode {new.mode:06o}")
    elif new is None and old is not None:
        lines.append(f"deleted file mode {old.mode:06o}")
    elif old and new and old.mode != new.mode:
        lines += [f"old mode {old.mode:06o}", f"new mode {new.mode:06o}"]
    before, after = (item.oid if item else _NOBODY for item in change)
    if before != after:
        lines.append(f"index {before}..{after}")
        lines += _lines(git, path, change)
    return "\n".join(lines) + "\n"


def _lines(git: GitReader, path: str, change: Change) -> list[str]:
    names = [f"{side}/{_shown(path)}" if item else "/dev/null" for side, item in zip("ab", change, strict=True)]
    texts = [_text(git, item) for item in change]
    if texts[0] is None or texts[1] is None or sum(text.count("\n") for text in texts if text) > _FILE_LINES:
        return [f"Binary files {names[0]} and {names[1]} differ"]
    old, new = (text.removesuffix("\n").split("\n") if text else [] for text in texts)
    return list(difflib.unified_diff(old, new, names[0], names[1], lineterm=""))


def _text(git: GitReader, item: TreeItem | None) -> str | None:
    if item is None:
        return ""
    if item.oid not in git.blobs([item.oid]) or git.blob(item.oid).size > FILE_BYTES:
        return None
    body = git.body(item.oid)
    if b"\0" in body:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _shown(path: str) -> str:
    return path.replace("\n", "\\n")
