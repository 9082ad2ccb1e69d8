"""Is a shard true? Every term, every file hash and every sha256 is computed anew before a file may be committed (xet-protocol 6.6, 13.2)."""

import hashlib
from collections.abc import Generator, Iterator

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.server.hub import Parts
from tenuto.server.unneeded import spare
from tenuto.server.xet_rows import (
    NewFile,
    Scope,
    add_files,
    check_generation,
    held_xorbs,
    known_sha256s,
    write_for_repo,
)
from tenuto.store.xet.hashes import HASH_BYTES, MerkleTree, file_hash_of_root, find_marked, term_hash, to_text
from tenuto.store.xet.shard import FileBlock, XorbBlock, read_shard
from tenuto.store.xet.table import XorbTable

_STEP_CHUNKS = 100_000
_STEP_BYTES = 256 << 20
_READ_BYTES = 1 << 20


class ShardCheck:
    """Checks one shard for one scope and, if all of it is true, lets the repo hold its files."""

    def __init__(self, parts: Parts, scope: Scope, buffer: memoryview) -> None:
        self._parts, self._scope, self._buffer = parts, scope, buffer
        self._held: set[str] = set()
        self._found: list[NewFile] = []
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
                self.done += 1
            else:
                self._check_xorb(block)
        with write_for_repo(self._parts.database) as connection:
            # The client remembers what a shard listed for weeks, whether or not it was new.
            spare(connection, self._scope.repo_key, [*self._held, *self._verified.values()])
            self.added = add_files(self._parts.database, connection, self._scope, self._found, self._parts.now_ms())

    def _survey(self) -> None:
        """Read the shard to its end before any work is done for it, and look up what it refers to."""
        names: set[str] = set()
        files: set[str] = set()
        size = 0
        for block in read_shard(self._buffer):
            if isinstance(block, XorbBlock):
                names.add(block.hash)
                continue
            names.update(block.table.xorbs)
            files.add(block.hash)
            size += block.table.size
            self.total += 1
        if size > self._parts.limits.object:
            raise UsageError(f"the files of one shard may have {self._parts.limits.object} bytes", code="TooLarge")
        with self._parts.database.read() as connection:
            check_generation(connection, self._scope)
            self._held = held_xorbs(connection, self._scope.repo_key, names)
            self._verified = known_sha256s(connection, self._scope.repo_key, files)

    def _xorb(self, name: str) -> XorbTable:
        if name not in self._held:
            raise UsageError(
                f"this repo holds no xorb {name}",
                hint="remove the cache folder of the Xet client, then upload again",
            )
        return self._parts.xorbs.table(name)

    def _check_xorb(self, block: XorbBlock) -> None:
        table = self._xorb(block.hash)
        same_places = block.places == list(zip(table.raw, table.lengths, strict=False))
        if block.hashes != table.hashes or not same_places or block.raw_bytes != table.raw[-1]:
            raise UsageError(f"the shard lists other chunks for the xorb {block.hash} than it has")

    def _check_file(self, block: FileBlock) -> Iterator[None]:
        if len(block.proofs) != HASH_BYTES * block.table.terms:
            raise UsageError(f"file {block.hash} comes without the hashes of its terms")
        if block.hash in self._verified:
            _check_sha256(block, self._verified[block.hash])
            return
        tree = MerkleTree()
        hints: dict[str, int] = {}
        chunks = 0
        for index in range(block.table.terms):
            part = self._check_term(block, index, tree)
            marked = find_marked(part)
            for at in [0, *marked] if index == 0 else marked:
                hints.setdefault(to_text(part[HASH_BYTES * at : HASH_BYTES * (at + 1)]), index)
            chunks += len(part) // HASH_BYTES
            if chunks > _STEP_CHUNKS:
                chunks = 0
                yield
        found = to_text(file_hash_of_root(tree.root()))
        if found != block.hash:
            raise IntegrityError(f"the chunks of file {block.hash} make the file {found}", hint="nothing was stored")
        sha256 = yield from self._sha256(block)
        _check_sha256(block, sha256)
        self._verified[block.hash] = sha256
        self._found.append(NewFile(block.hash, sha256, block.table, hints))

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

    def _sha256(self, block: FileBlock) -> Generator[None, None, str]:
        """The sha256 of a file, computed from its stored bytes."""
        hasher, step = hashlib.sha256(), 0
        # That the chunks are whole is looked at only if the outcome surprises: a right sha256 says the same.
        with self._parts.xorbs.file(block.table, checked=False) as file:
            while data := file.read(_READ_BYTES):
                hasher.update(data)
                step += len(data)
                if step >= _STEP_BYTES:
                    step = 0
                    yield
        if block.sha256 and hasher.hexdigest() != block.sha256:
            with self._parts.xorbs.file(block.table) as file:
                while file.read(_READ_BYTES):
                    yield
        return hasher.hexdigest()


def _check_sha256(block: FileBlock, found: str) -> None:
    if block.sha256 and block.sha256 != found:
        raise IntegrityError(
            f"file {block.hash} has the sha256 {found}, claimed was {block.sha256}", hint="nothing was stored"
        )
