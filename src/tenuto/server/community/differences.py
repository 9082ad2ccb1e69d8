"""Changes as text, in the form of `git diff`: what reviewers of a pull request read."""

from collections.abc import Iterable

from tenuto.core.gitobj import TreeItem
from tenuto.server.community.hunks import FILE_STEPS, Hunks, hunks, lines_of
from tenuto.server.git.merging import Change
from tenuto.server.git.objects import GitReader

DIFF_BYTES = 1 << 20
FILE_BYTES = 1 << 18
_FILE_LINES = 4000
_DIFF_STEPS = 1_000_000
_BATCH = 20
_NOBODY = "0" * 40


def diff_text(git: GitReader, changed: dict[str, Change]) -> str:
    """The changes, file by file. Large files show their pointers; what has no text is named only, as is what is too much."""
    pieces: list[str] = []
    size, steps = 0, _DIFF_STEPS
    paths = sorted(changed)
    for some in (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)):
        texts = Texts(git, [changed[path] for path in some])
        for path in some:
            found = texts.hunks(changed[path], min(steps, FILE_STEPS))
            piece = _file(path, changed[path], found)
            size, steps = size + len(piece), steps - (found.steps if found else 0)
            if size > DIFF_BYTES:
                return "".join([*pieces, f"# {len(changed) - len(pieces)} more files are not shown\n"])
            pieces.append(piece)
    return "".join(pieces)


class Texts:
    """The texts of some files of a repo, before and after changes; the small ones are read in one go."""

    def __init__(self, git: GitReader, changed: Iterable[Change]) -> None:
        self._git = git
        self._blobs = git.blobs(item.oid for change in changed for item in change if item)
        self._small = git.small_bodies(self._blobs)

    def hunks(self, change: Change, most_steps: int = FILE_STEPS) -> Hunks | None:
        """What changed, line by line; None where that is no text, or too much of it."""
        old, new = (self._lines(item) for item in change)
        if old is None or new is None or len(old) + len(new) > _FILE_LINES:
            return None
        return hunks(old, new, most_steps)

    def _lines(self, item: TreeItem | None) -> list[str] | None:
        if item is None:
            return []
        blob = self._blobs.get(item.oid)
        if blob is None or blob.size > FILE_BYTES:
            return None
        body = self._small[item.oid] if item.oid in self._small else self._git.body(item.oid)
        if b"\0" in body:
            return None
        try:
            return lines_of(body.decode())
        except UnicodeDecodeError:
            return None


def _file(path: str, change: Change, found: Hunks | None) -> str:
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
        lines += [f"index {before}..{after}", *_body(path, change, found)]
    return "\n".join(lines) + "\n"


def _body(path: str, change: Change, found: Hunks | None) -> list[str]:
    old, new = (f"{side}/{_shown(path)}" if item else "/dev/null" for side, item in zip("ab", change, strict=True))
    if found is None:
        return [f"Binary files {old} and {new} differ"]
    return [f"--- {old}", f"+++ {new}", *found.lines] if found.lines else []


def _shown(path: str) -> str:
    return path.replace("\n", "\\n")
