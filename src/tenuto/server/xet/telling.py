"""Tells clients which chunks a repo has, under a key that changes slowly: who has a chunk finds it, nobody learns of others."""

from itertools import chain, islice

from tenuto.server.holdings.chunks import Hint
from tenuto.server.hub import Parts
from tenuto.store.xet.shard import Telling, tell

PERIOD_S = 7 * 24 * 3600
_TOLD_XORBS = 256  # 16 GB: what follows a chunk that is not told is sent until the next chunk comes that clients ask for, in 64 MB or so


def tell_of(parts: Parts, repo_key: int, hint: Hint) -> bytes:
    """A shard with the xorbs that a file needs from a term on, then those before it, as many as are worth sending; none that is lacking.

    The same question gets the same bytes for a week, so that clients keep one copy.
    """
    table = hint.table
    order = chain(range(hint.term, table.terms), range(hint.term))
    names = list(islice(dict.fromkeys(table.xorbs[table.which[index]] for index in order), _TOLD_XORBS))
    with parts.database.read() as connection:
        lacking = parts.xorbs.lacking(connection, names)
    period = parts.now_ms() // 1000 // PERIOD_S
    telling = Telling(parts.signer.key(f"chunks/{repo_key}/{period}"), period * PERIOD_S, (period + 2) * PERIOD_S)
    return tell((parts.xorbs.told(name, telling.key) for name in names if name not in lacking), telling)
