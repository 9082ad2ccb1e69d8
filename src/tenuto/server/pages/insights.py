"""What a repo is about, in plots: the splits, classes and durations of a dataset; how the training of a model or adapter went."""

from typing import NamedTuple

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.core.ids import RepoKind
from tenuto.server.git.objects import CommitFacts, GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.adapters import CONFIG, read_adapter
from tenuto.server.pages.content import Shelf, files_among, find_file
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.gate_form import gate_box
from tenuto.server.pages.plots import Curves, curves
from tenuto.server.pages.room import fitting, link_weight
from tenuto.server.pages.samples import Samples, read_samples
from tenuto.server.pages.training import LOG_BYTES, LOGS, grouped, read_log

_MOST_FOLDERS, _FOLDERS_BYTES = 60, 12_000


class Course(NamedTuple):
    """How a training went: plots by name, and what of its log could not be read."""

    plots: list[tuple[str, Curves]]
    fault: str


def insights(parts: Parts, call: Call) -> Answer:
    """The page of plots of a repo: of a dataset, or of the training of what lies in a folder of a model."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        commit = page.commit()
        if not page.rights.reads:
            return page.render("insights.html", "insights", gate=gate_box(parts, call, git), view="")
        if call.repo.id.kind is RepoKind.DATASET:
            return _data(parts, page, commit)
        return _training(parts, page, commit)


def _data(parts: Parts, page: RepoPage, commit: CommitFacts) -> Answer:
    shelf = Shelf(parts, page.git)
    key = ("samples", page.git.repo_key, commit.tree)
    samples: Samples = parts.remembered.once(key, lambda: read_samples(page.git, shelf, commit), lambda it: it.is_whole)
    total = _time(samples.durations.total) if samples.durations else ""
    return page.render("insights.html", "insights", gate=None, view="data", samples=samples, total=total)


def _time(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _training(parts: Parts, page: RepoPage, commit: CommitFacts) -> Answer:
    folder = (page.call.text("path") or "").strip("/")
    shelf = Shelf(parts, page.git)
    config = find_file(page.git, commit, f"{folder}/{CONFIG}".lstrip("/"))
    course = _course(parts, page, shelf, commit, folder)
    return page.render(
        "insights.html",
        "insights",
        gate=None,
        view="training",
        folder=folder,
        folders=_folders(page.git, commit),
        adapter=read_adapter(shelf, config) if config else None,
        plots=course.plots,
        fault=course.fault,
        logged=[] if course.plots else _logged(page.git, commit),
    )


def _course(parts: Parts, page: RepoPage, shelf: Shelf, commit: CommitFacts, folder: str) -> Course:
    """How the training in a folder went. What was drawn of a log is remembered, and not that one could not be opened."""
    root = page.git.find(commit.tree, folder)
    if root is None or not root.is_tree:
        raise NotFoundError(f"there is no folder {folder[:300]} at {page.revision[:100]}", code="EntryNotFound")
    key = ("training", page.git.repo_key, root.oid)
    try:
        return parts.remembered.once(key, lambda: _drawn(page.git, shelf, root.oid))
    except (NotFoundError, IntegrityError) as error:
        return Course([], error.message)


def _drawn(git: GitReader, shelf: Shelf, folder: str) -> Course:
    """The plots of the first log in a folder that holds series; else what is wrong with those that there are."""
    files = files_among(git, [(name, item) for name, item in git.tree(folder).items() if name in LOGS])
    faults = []
    for file in (files[name] for name in LOGS if name in files):
        log = read_log(file, shelf.head(file, LOG_BYTES))
        if log.series:
            return Course([(name, curves(group)) for name, group in grouped(log.series)], log.fault)
        faults.append(log.fault)
    return Course([], "; ".join(filter(None, faults)))


def _logged(git: GitReader, commit: CommitFacts) -> list[str]:
    """Those of the topmost folders that hold a log of a training."""
    folders = {name: item.oid for name, item in git.tree(commit.tree).items() if item.is_tree}
    trees = git.trees(list(dict.fromkeys(folders[name] for name in list(folders)[:_MOST_FOLDERS])))
    named = [name for name, oid in folders.items() if oid in trees and any(log in trees[oid] for log in LOGS)]
    return list(fitting(named, _FOLDERS_BYTES, link_weight))


def _folders(git: GitReader, commit: CommitFacts) -> list[str]:
    """The topmost folders, in which adapters lie beside each other."""
    names = [name for name, item in git.tree(commit.tree).items() if item.is_tree]
    return list(fitting(names[:_MOST_FOLDERS], _FOLDERS_BYTES, link_weight))
