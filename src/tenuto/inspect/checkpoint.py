"""What is in a zip: a torch checkpoint, arrays of numpy, or just files. Every member is checked, whatever its name."""

from collections.abc import Sequence

from tenuto.inspect import npy
from tenuto.inspect.findings import FormatError, Json, Report
from tenuto.inspect.pickle_code import PickleCode
from tenuto.inspect.pickles import STARTS, describe, try_walk, walk, walk_rest
from tenuto.inspect.source import Cursor, Source, from_bytes
from tenuto.inspect.zips import STORED, Member, check_members, packed_window, read_directory, unpack

_HEAD_BYTES = 4_096
_PICKLE_ENDINGS = (".pkl", ".pickle")


def inspect_zip(source: Source, report: Report) -> None:
    """Check the directory, the members and their checksums, and look into members that are pickles, arrays or zips themselves."""
    members = read_directory(source, report)
    kind = _kind(members)
    if not report.depth:
        report.format = kind
    if kind == "torch" and any(member.name.endswith("/constants.pkl") for member in members):
        report.fact(layout="torchscript")
    report.fact(
        members=len(members),
        unpacked_bytes=sum(member.size for member in members),
        member_list=[member.name for member in members[: report.limits.listed]],
    )
    check_members(source, members, report)
    if not any(finding.code == "Bomb" for finding in report.findings):
        _Contents(source, kind, report).check(members)


def _kind(members: Sequence[Member]) -> str:
    names = [member.name for member in members]
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"


class _Contents:
    """Goes through the members of one zip, one by one."""

    def __init__(self, source: Source, kind: str, report: Report) -> None:
        self._source, self._kind, self._report = source, kind, report
        self._arrays: list[Json] = []
        self._codes: dict[str, PickleCode] = {}
        self._wrong: list[tuple[str, str]] = []
        self._right = 0

    def check(self, members: Sequence[Member]) -> None:
        """Look into every member, then at all of them together."""
        for member in members:
            with self._report.part(member.name):
                self._look(member)
            with self._report.part(member.name):
                self._check_bytes(member)
        self._tell_checksums()
        if self._arrays:
            self._report.fact(arrays=self._arrays[: self._report.limits.listed])
        if self._kind == "torch":
            self._check_storages(members)

    def _look(self, member: Member) -> None:
        head = b"".join(unpack(self._source, member, _HEAD_BYTES))[:_HEAD_BYTES]
        if head.startswith(b"\x93NUMPY") or (self._kind == "npz" and head):
            self._arrays.append(
                npy.read_header(member.name.removesuffix(".npy"), from_bytes(head), member.size, self._report)
            )
        elif member.name.endswith(_PICKLE_ENDINGS):
            cursor = Cursor(self._content(member, "CodeOnLoad"))
            self._codes[member.name] = walk(cursor, self._report)
            walk_rest(cursor, self._report)
        elif head.startswith(b"PK\x03\x04"):
            if self._report.depth >= self._report.limits.depth:
                raise FormatError("NotAllChecked", "a zip within a zip within a zip is not looked into")
            inspect_zip(self._content(member, "NotAllChecked"), self._report)
        elif _may_be_pickle(head, self._report):
            try_walk(self._content(member, "CodeOnLoad"), self._report)

    def _content(self, member: Member, code: str) -> Source:
        """The member as a source: where it lies if it is not packed, else in memory; raises FormatError (`code`) if that is too much."""
        if member.method == STORED:
            return packed_window(self._source, member)
        if member.size > self._report.limits.text_bytes:
            raise FormatError(code, f"it is packed, and {member.size:,} bytes are too much to be looked through")
        return from_bytes(b"".join(unpack(self._source, member, member.size)))

    def _check_bytes(self, member: Member) -> None:
        """Read the member to its end; checksums that are wrong are told when all are known."""
        if not self._report.spend(member.size):
            return
        try:
            for _ in unpack(self._source, member):
                pass
            self._right += member.size > 0
        except FormatError as error:
            if error.code != "BadChecksum":
                raise
            self._wrong.append((member.name, error.detail))

    def _tell_checksums(self) -> None:
        """torch can be told to write no true checksums: then not one of them is right."""
        if self._kind == "torch" and len(self._wrong) > 1 and not self._right:
            self._report.add("NotAllChecked", "it was written without true checksums")
            return
        for name, detail in self._wrong:
            with self._report.part(name):
                self._report.add("BadChecksum", detail)

    def _check_storages(self, members: Sequence[Member]) -> None:
        """Every storage that the main pickle refers to is there and large enough."""
        sizes = {member.name: member.size for member in members}
        for name, code in self._codes.items():
            top, _, last = name.rpartition("/")
            if last != "data.pkl":
                continue
            describe(code, self._report)
            for storage in code.storages.values():
                place = f"{top}/data/{storage.key}" if top else f"data/{storage.key}"
                wanted = storage.numbers * storage.number_bytes
                if place not in sizes:
                    self._report.add("MissingPart", f"{place} is not there")
                elif sizes[place] < wanted:
                    self._report.add("SizeMismatch", f"{place} has {sizes[place]:,} bytes, {wanted:,} are wanted")


def _may_be_pickle(head: bytes, report: Report) -> bool:
    """Whether the first bytes begin as a pickle or can be walked as one without meeting what is none."""
    if head[:2] in STARTS:
        return True
    code = PickleCode(Cursor(from_bytes(head)), report.limits.steps)
    try:
        code.walk()
    except FormatError as error:
        return error.code == "Truncated" and bool(code.globals)
    return bool(code.globals)
