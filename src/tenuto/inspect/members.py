"""What archives have in common: members with names that must stay inside the folder they are unpacked to."""

import posixpath

from tenuto.inspect.findings import Report

_BOMB_FLOOR_BYTES = 1 << 30
_BOMB_RATIO = 200


class Names:
    """The names of an archive's members, checked one by one. Keeps the hash of each name, to find those that come twice."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._seen: set[int] = set()

    def add(self, name: str) -> None:
        """Check the name of one more member."""
        with self._report.part(name):
            if leads_out(name):
                self._report.add("PathEscape", "its name leads out of the folder")
            key = hash(posixpath.normpath(name))
            if key in self._seen:
                self._report.add("Duplicate", "a member of this name came before")
        if len(self._seen) < self._report.limits.steps:
            self._seen.add(key)

    def add_link(self, name: str, target: str, *, hard: bool = False) -> None:
        """Check where a link leads: a symbolic one from its own folder, a hard one from the top."""
        from_top = target if hard else posixpath.join(posixpath.dirname(name), target)
        if leads_out(from_top) or target.startswith("/"):
            with self._report.part(name):
                self._report.add("PathEscape", f"it is a link to {target}")


def leads_out(path: str) -> bool:
    """Whether a relative path leaves the folder it is taken from, on any system."""
    steps = posixpath.normpath(path.replace("\\", "/"))
    drive = len(path) > 1 and path[1] == ":" and path[0].isalpha()
    return drive or "\0" in path or steps.startswith(("/", "../")) or steps == ".."


def is_bomb(packed_bytes: int, unpacked_bytes: int) -> bool:
    """Whether so much out of so little is no honest compression: more than a gigabyte, and 200 times what it was."""
    return unpacked_bytes > _BOMB_FLOOR_BYTES and unpacked_bytes > _BOMB_RATIO * packed_bytes
