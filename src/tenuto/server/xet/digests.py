"""The sha256 of files, computed from their stored chunks."""

import hashlib
from collections.abc import Generator, Iterable

from tenuto.server.holdings.xorbs import Xorbs
from tenuto.store.xet.table import FileTable

_BLOCK_BYTES = 1 << 20


def sha256s(
    xorbs: Xorbs, tables: Iterable[FileTable], step_bytes: int, *, checked: bool = False
) -> Generator[str, None, None]:
    """The sha256 of each file, in order; an empty text in between whenever that many bytes were hashed.

    Unless `checked`, that chunks are whole is not looked at, only their lengths: a right sha256 says the same. Raises IntegrityError
    (CorruptObject), StorageError.
    """
    done = 0
    for table in tables:
        hasher = hashlib.sha256()
        with xorbs.file(table, checked=checked) as file:
            while views := file.take(_BLOCK_BYTES):
                for view in views:
                    hasher.update(view)
                    done += len(view)
                if done >= step_bytes:
                    done = 0
                    yield ""
        yield hasher.hexdigest()
