"""A process that downloads one large file by small blocks, slowly, so that it can be killed in the middle.

python -m tests.hub.download_child URL STORE SHA256 SIZE BYTES_PER_S
"""

import sys

from tenuto.hub import lanes
from tenuto.hub.bandwidth import Bandwidth
from tenuto.hub.download import Wanted, download_from
from tenuto.hub.session import Session
from tenuto.hub.sources import WebSource
from tenuto.store.local import LocalStore
from tests.hub.ranged import BLOCK


def main(url: str, store: str, sha256: str, size: int, rate: float) -> None:
    """Fetch the file."""
    lanes.BLOCKS_FROM_BYTES, lanes.BLOCK_BYTES = 100_000, (BLOCK, BLOCK)
    with Session(url, bandwidth=Bandwidth(rate)) as session:
        download_from([WebSource(session, f"{url}/file")], [Wanted("file", size, sha256)], LocalStore(store))


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5]))  # type: ignore[arg-type]
