"""The storage overview of a repo, made once for each state of the hub; one at a time, since it takes all that a repo ever had into memory."""

import msgspec

from tenuto.core.space import Overview
from tenuto.server.access import Repo
from tenuto.server.hub import Parts
from tenuto.server.known import Known
from tenuto.server.space.overview import read_overview

_KEPT = 100
_ROW_BYTES = 400


def recent_overview(parts: Parts, repo: Repo, most: int) -> Overview:
    """What uses the space of a repo, with at most so many files, versions and refs.

    Raises UnavailableError (HubUnavailable) if too many wait for one already, IntegrityError (CorruptObject).
    """
    kept = max(most, _KEPT)
    found = _known(parts.database.known(), repo, kept)
    if found is None:
        with parts.overviews.turn("overviews of storage"):
            found = _look(parts, repo, kept)
    lists = {name: getattr(found, name)[:most] for name in ("files", "versions", "refs")}
    return msgspec.structs.replace(found, **lists)


def _known(known: Known, repo: Repo, most: int) -> Overview | None:
    found: Overview | None = known.get(("space", repo.key, most))
    return found


def _look(parts: Parts, repo: Repo, most: int) -> Overview:
    known = parts.database.known()  # before anything is read; whoever had the turn before may have made it
    found = _known(known, repo, most)
    if found is None:
        with parts.database.read() as connection:
            found = read_overview(connection, parts.store, repo, most, parts.now_ms())
        known.keep(("space", repo.key, most), found, 3 * most * _ROW_BYTES)
    return found
