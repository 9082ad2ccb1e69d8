"""What a repo is about, in plots: the splits, classes and durations of a dataset; how the training of a model or adapter went."""

from typing import Any

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.core.ids import RepoKind
from tenuto.server.exchange import Answer, Call
from tenuto.server.gitstore import CommitFacts, GitReader
from tenuto.server.hub import Parts
from tenuto.server.pages.adapters import CONFIG, read_adapter
from tenuto.server.pages.content import Shelf, files_among, find_file
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.gate_form import gate_box
from tenuto.server.pages.plots import curves, histogram
from tenuto.server.pages.samples import Samples, read_samples
from tenuto.server.pages.training import LOG_BYTES, LOGS, Series, grouped, read_log

_MOST_FOLDERS = 60


def insights(parts: Parts, call: Call) -> Answer:
    """The page of plots of a repo: of a dataset, or of the training of what lies in a folder of a model."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        commit = page.commit()
        if not page.rights.reads:
            return page.render("insights.html", "insights", gate=gate_box(parts, call), view="")
        if call.repo.id.kind is RepoKind.DATASET:
            return _data(parts, page, commit)
        return _training(parts, page, commit)


def _data(parts: Parts, page: RepoPage, commit: CommitFacts) -> Answer:
    shelf = Shelf(parts, page.git)
    key = ("samples", page.git.repo_key, commit.tree)
    samples: Samples = parts.remembered.once(key, lambda: read_samples(page.git, shelf, commit))
    durations = histogram(samples.durations_s) if samples.durations_s else None
    total = _time(durations.total) if durations else ""
    values: dict[str, Any] = {"samples": samples, "durations": durations, "total": total}
    return page.render("insights.html", "insights", gate=None, view="data", **values)


def _time(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _training(parts: Parts, page: RepoPage, commit: CommitFacts) -> Answer:
    folder = (page.call.text("path") or "").strip("/")
    shelf = Shelf(parts, page.git)
    key = ("training", page.git.repo_key, commit.tree, folder)
    series: Series = parts.remembered.once(key, lambda: _log(page, shelf, commit, folder))
    config = find_file(page.git, commit, f"{folder}/{CONFIG}".lstrip("/"))
    return page.render(
        "insights.html",
        "insights",
        gate=None,
        view="training",
        folder=folder,
        folders=_folders(page.git, commit),
        adapter=read_adapter(shelf, config) if config else None,
        plots=[(name, curves(group)) for name, group in grouped(series)],
    )


def _log(page: RepoPage, shelf: Shelf, commit: CommitFacts, folder: str) -> Series:
    """The series of the first log that there is in a folder."""
    root = page.git.find(commit.tree, folder)
    if root is None or not root.is_tree:
        raise NotFoundError(f"there is no folder {folder[:300]} at {page.revision[:100]}", code="EntryNotFound")
    items = [(name, item) for name, item in page.git.tree(root.oid).items() if name in LOGS]
    files = files_among(page.git, items)
    for file in (files[name] for name in LOGS if name in files):
        try:
            series = read_log(file, shelf.head(file, LOG_BYTES)).series
        except (NotFoundError, IntegrityError):
            continue
        if series:
            return series
    return {}


def _folders(git: GitReader, commit: CommitFacts) -> list[str]:
    """The topmost folders, in which adapters lie beside each other."""
    return [name for name, item in git.tree(commit.tree).items() if item.is_tree][:_MOST_FOLDERS]
