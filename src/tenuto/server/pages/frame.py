"""What all pages of a repo share: its name, its badges, its tabs, and what the caller may do there."""

from typing import Any, NamedTuple

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoKind
from tenuto.server.access import Action, Gate, Repo, may
from tenuto.server.gates.book import count_waiting
from tenuto.server.git.objects import DEFAULT_BRANCH, CommitFacts, GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.pages.render import render
from tenuto.server.repos.cards import like_count_of

_WORDS = {RepoKind.MODEL: "Model", RepoKind.DATASET: "Dataset", RepoKind.SPACE: "Space"}
_INSIGHTS = {RepoKind.MODEL: "Training", RepoKind.DATASET: "Data", RepoKind.SPACE: ""}


class Rights(NamedTuple):
    """What the caller may do with the repo."""

    reads: bool
    writes: bool
    administers: bool
    discusses: bool


class RepoPage:
    """A page of the repo of a call, seen through one reader."""

    def __init__(self, call: Call, git: GitReader) -> None:
        self.call, self.git, self.repo = call, git, call.repo
        self.rights = rights_of(call)

    def commit(self) -> CommitFacts:
        """The commit that the address means; raises NotFoundError (RevisionNotFound)."""
        return self.git.resolve(self.revision)

    @property
    def revision(self) -> str:
        """The revision in the address, else the default branch."""
        return self.call.params.get("rev") or self.call.text("rev") or DEFAULT_BRANCH

    def head(self) -> CommitFacts | None:
        """The head of the default branch, if there is one."""
        try:
            return self.git.resolve(DEFAULT_BRANCH)
        except NotFoundError:
            return None

    @property
    def _is_keeper(self) -> bool:
        return self.rights.administers and self.repo.gate is not Gate.OPEN

    def render(self, template: str, tab: str, *, status: int = 200, **values: Any) -> Answer:
        """The page, under the tab of that name."""
        shared: dict[str, Any] = {
            "repo": self.repo,
            "rights": self.rights,
            "likes": values.pop("likes") if "likes" in values else like_count_of(self.git),
            "kind_word": _WORDS[self.repo.id.kind],
            "insights_word": _INSIGHTS[self.repo.id.kind],
            "section": self.repo.id.kind.plural,
            "tab": tab,
            "waiting": count_waiting(self.git.connection, self.git.repo_key) if self._is_keeper else 0,
        }
        return render(template, self.call, status=status, **shared, **values)


def rights_of(call: Call) -> Rights:
    """What the caller may do with the repo of the call."""
    repo: Repo = call.repo
    return Rights(
        *(may(call.actor, action, repo) for action in (Action.READ, Action.WRITE, Action.ADMINISTER, Action.DISCUSS))
    )
