"""Is a shard true? Every term, every file hash and every sha256 is computed anew before a file may be committed (xet-protocol 6.6, 13.2)."""

from collections.abc import Iterator
from contextlib import closing
from operator import ne

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.server.git.unneeded import spare
from tenuto.server.holdings.chunks import (
    NewFile,
    Scope,
    add_files,
    asked_chunks,
    check_generation,
    held_xorbs,
    write_for_repo,
)
from tenuto.server.hub import Parts
from tenuto.server.xet.digests import sha256s
from tenuto.store.xet.hashes import HASH_BYTES, MerkleTree, file_hash_of_root, term_hash, to_text
from tenuto.store.xet.shard import FileBlock, XorbBlock, read_shard
from tenuto.store.xet.table import FileTable, XorbTable

_STEP_CHUNKS = 100_000
_STEP_BYTES = 256 << 20
_READ_BYTES = 1 << 20
_FREE = 100_000
_LEAST_CHUNK_BYTES = 1 << 10
_LEAST_TERM_BYTES = 64 << 10


class _Effort:
    """The files of a shard together, held against the work that they cause.

    Clients cut chunks of 8 KiB at least, but for the last of a file, and avoid terms of a few chunks: whoever has far more of them than
    his bytes need wants the hub to work.
    """

    def __init__(self) -> None:
        self.files = self.bytes = self.chunks = self.turns = 0

    def add(self, table: FileTable) -> None:
        self.files += 1
        self.bytes += table.size
        self.chunks += sum(table.stops) - sum(table.starts)
        self.turns += sum(map(ne, table.which, table.which[1:]))

    def check(self, most_bytes: int) -> None:
        """Return if it is worth it; raises UsageError (TooLarge)."""
        if self.bytes > most_bytes:
            raise UsageError(f"the files of one shard may have {most_bytes} bytes", code="TooLarge")
        free = _FREE + self.files
        for count, what, least in (
            (self.chunks, "chunks", _LEAST_CHUNK_BYTES),
            (self.turns, "turns from xorb to xorb", _LEAST_TERM_BYTES),
        ):
            if count > free + self.bytes // least:
                raise UsageError(f"the shard has {count} {what}, too many for {self.bytes} bytes", code="TooLarge")


class ShardCheck:
    """Checks one shard for one scope and, if all of it is true, lets the repo hold its files."""

    def __init__(self, parts: Parts, scope: Scope, buffer: memoryview) -> None:
        self._parts, self._scope, self._buffer = parts, scope, buffer
        self._held: set[str] = set()
        self._claims: dict[str, set[str]] = {}
        self._found: dict[str, NewFile] = {}
        self._verified: dict[str, str] = {}
        self.total = 0
        """The number of files in the shard, once `run` has looked."""
        self.done = 0
        self.added = 0
        """How many files are new to the repo, at the end."""

    def run(self) -> Iterator[None]:
        """Do all of it in steps that take a moment each. All or nothing.

        Raises UsageError (BadRequest, TooLarge), IntegrityError (HashMismatch; CorruptObject for damage of ours), NotFoundError
        (RepoNotFound), ConflictError if the repo dropped data meanwhile.
        """
        self._survey()
        yield
        for block in read_shard(self._buffer):
            if isinstance(block, FileBlock):
                yield from self._check_file(block)
            else:
                self._check_xorb(block)
        yield from self._hash()
        with write_for_repo(self._parts.database) as connection:
            # The client remembers what a shard listed for weeks, whether or not it was new.
            spare(connection, self._scope.repo_key, [*self._held, *self._verified.values()])
            self.added = add_files(
                self._parts.database, connection, self._scope, list(self._found.values()), self._parts.now_ms()
            )

    def _survey(self) -> None:
        """Read the shard to its end before any work is done for it, and look up what it refers to."""
        names: set[str] = set()
        files: set[str] = set()
        effort = _Effort()
        for block in read_shard(self._buffer):
            if isinstance(block, XorbBlock):
                names.add(block.hash)
                continue
            names.update(block.table.xorbs)
            files.add(block.hash)
            effort.add(block.table)
        effort.check(self._parts.limits.object)
        self.total = effort.files
        with self._parts.database.read() as connection:
            check_generation(connection, self._scope)
            self._held = held_xorbs(connection, self._scope.repo_key, names)
            self._verified = self._parts.xorbs.usable(connection, self._scope.repo_key, files)

    def _xorb(self, name: str) -> XorbTable:
        if name not in self._held:
            raise UsageError(
                f"this repo holds no xorb {name}",
                hint="remove the cache folder of the Xet client, then upload again",
            )
        return self._parts.xorbs.table(name)

    def _check_xorb(self, block: XorbBlock) -> None:
        table = self._xorb(block.hash)
        same = block.hashes == table.hashes and block.raw_bytes == table.raw[-1]
        if not same or block.places != list(zip(table.raw, table.lengths, strict=False)):
            raise UsageError(f"the shard lists other chunks for the xorb {block.hash} than it has")

    def _check_file(self, block: FileBlock) -> Iterator[None]:
        if len(block.proofs) != HASH_BYTES * block.table.terms:
            raise UsageError(f"file {block.hash} comes without the hashes of its terms")
        if block.sha256:
            self._claims.setdefault(block.hash, set()).add(block.sha256)
        if block.hash in self._verified or block.hash in self._found:
            return
        tree = MerkleTree()
        hints: dict[str, int] = {}
        chunks = 0
        for index in range(block.table.terms):
            part = self._check_term(block, index, tree)
            for chunk in asked_chunks(part, is_first=index == 0):
                hints.setdefault(chunk, index)
            chunks += len(part) // HASH_BYTES
            if chunks > _STEP_CHUNKS:
                chunks = 0
                yield
        found = to_text(file_hash_of_root(tree.root()))
        if found != block.hash:
            raise IntegrityError(f"the chunks of file {block.hash} make the file {found}", hint="nothing was stored")
        self._found[block.hash] = NewFile(block.hash, "", block.table, hints)

    def _check_term(self, block: FileBlock, index: int, tree: MerkleTree) -> bytes:
        """The chunk hashes of a term, which is what it claims to be."""
        term = block.table.term(index)
        xorb = self._xorb(term.xorb)
        place = f"term {index} of file {block.hash}"
        if not term.start < term.end <= xorb.chunks:
            raise UsageError(f"{place} names chunks {term.start} to {term.end} of a xorb that has {xorb.chunks}")
        if xorb.raw[term.end] - xorb.raw[term.start] != block.table.ends[index] - block.table.start(index):
            raise UsageError(f"{place} claims another length than its chunks have")
        part = xorb.hashes_of(term.start, term.end)
        if term_hash(part) != block.proofs[HASH_BYTES * index : HASH_BYTES * (index + 1)]:
            raise IntegrityError(f"{place} does not have the hash that it claims", hint="nothing was stored")
        tree.add(part, xorb.lengths_of(term.start, term.end))
        return part

    def _hash(self) -> Iterator[None]:
        """Hold every sha256 that was claimed against the bytes that are stored."""
        for name, sha256 in self._verified.items():
            self._check_claims(name, sha256)
        files = list(self._found.values())
        self.done = self.total - len(files)
        with closing(sha256s(self._parts.xorbs, [file.table for file in files], _STEP_BYTES)) as found:
            waiting = iter(files)
            for sha256 in found:
                if sha256:
                    file = next(waiting)
                    yield from self._settle(file._replace(sha256=sha256))
                yield

    def _settle(self, file: NewFile) -> Iterator[None]:
        """The sha256 of a file is known."""
        if self._claims.get(file.hash, {file.sha256}) != {file.sha256}:  # perhaps it is our bytes that are wrong
            with self._parts.xorbs.file(file.table) as stored:
                while stored.read(_READ_BYTES):
                    yield
        self._check_claims(file.hash, file.sha256)
        self._found[file.hash] = file
        self._verified[file.hash] = file.sha256
        self.done += 1

    def _check_claims(self, name: str, sha256: str) -> None:
        wrong = self._claims.get(name, set()) - {sha256}
        if wrong:
            raise IntegrityError(
                f"file {name} has the sha256 {sha256}, claimed was {wrong.pop()}", hint="nothing was stored"
            )
