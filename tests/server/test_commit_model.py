"""Random commits against a dict: whatever is sent, the hub holds what the dict holds, or refuses and holds what it held."""

import hashlib
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, copied, gone, large, small

PATHS = st.lists(st.sampled_from(["a", "b", "a.b", "é", "d"]), min_size=1, max_size=3).map("/".join)
CONTENTS = st.binary(max_size=12)
_NUMBERS = itertools.count(1)


class RepoModel:
    """A repo as a dict of path to bytes, with the rules of commits."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, path: str, content: bytes) -> bool:
        parents = {path[:index] for index, character in enumerate(path) if character == "/"}
        if parents & self.files.keys() or any(other.startswith(path + "/") for other in self.files):
            return False
        self.files[path] = content
        return True

    def delete(self, path: str) -> bool:
        return self.files.pop(path, None) is not None

    def delete_folder(self, path: str) -> bool:
        below = [other for other in self.files if other.startswith(path)]
        for other in below:
            del self.files[other]
        return bool(below)

    def copy(self, path: str, source: str) -> bool:
        return source in self.files and self.put(path, self.files[source])


CHANGES = st.one_of(
    st.tuples(st.just("small"), PATHS, CONTENTS),
    st.tuples(st.just("small"), PATHS, CONTENTS),
    st.tuples(st.just("large"), PATHS, CONTENTS),
    st.tuples(st.just("delete"), PATHS, st.none()),
    st.tuples(st.just("folder"), PATHS, st.none()),
    st.tuples(st.just("copy"), PATHS, PATHS),
)


class CommitMachine(RuleBasedStateMachine):
    """One repo of one live hub, and its model."""

    hub: LiveHub
    talk: Talk

    @initialize()
    def begin(self) -> None:
        self.repo = f"model/repo{next(_NUMBERS)}"
        self.talk.create(self.repo).raise_for_status()
        self.model = RepoModel()
        self.heads = [self.talk.head(self.repo)]
        self.talk.commit(self.repo, gone(".gitattributes")).raise_for_status()
        self.past = {self.heads[0]: None}
        self.remember()

    def remember(self) -> None:
        head = self.talk.head(self.repo)
        if head != self.heads[-1]:
            self.heads.append(head)
        self.past[head] = dict(self.model.files)

    def line_and_effect(self, change: tuple) -> tuple[dict, bool]:
        kind, path, value = change
        if kind == "small":
            return small(path, value), self.model.put(path, value)
        if kind == "large":
            oid = self.talk.put_large(self.repo, value)
            return large(path, oid), self.model.put(path, value)
        if kind == "copy":
            return copied(path, value), self.model.copy(path, value)
        if kind == "folder":
            return gone(path + "/"), self.model.delete_folder(path + "/")
        return gone(path), self.model.delete(path)

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=6), with_parent=st.booleans())
    def commit(self, changes: list[tuple], with_parent: bool) -> None:
        before = dict(self.model.files)
        lines, fits = [], True
        for change in changes:
            line, works = self.line_and_effect(change)
            lines.append(line)
            fits = fits and works
        parent = self.heads[-1] if with_parent else None
        answer = self.talk.commit(self.repo, *lines, parent=parent)
        assert (answer.status_code == 200) is fits, answer.text
        if not fits:
            assert answer.status_code in {400, 404}
            self.model.files = before
        else:
            assert (answer.json()["commitOid"] == self.heads[-1]) is (
                before == self.model.files and self.same_kinds(before)
            )
        self.remember()

    def same_kinds(self, before: dict[str, bytes]) -> bool:
        """A file may have become large, or small, with the same bytes: then there is a commit after all."""
        head = self.talk.head(self.repo)
        return head == self.heads[-1]

    @rule(change=CHANGES)
    def commit_to_a_stale_parent(self, change: tuple) -> None:
        if len(self.heads) < 2:
            return
        before = dict(self.model.files)
        line, _ = self.line_and_effect(change)
        self.model.files = before
        assert self.talk.commit(self.repo, line, parent=self.heads[-2]).status_code == 412

    @invariant()
    def listing_and_bytes_are_those_of_the_model(self) -> None:
        listing = self.talk.listing(self.repo)
        assert {path: one["size"] for path, one in listing.items()} == {p: len(c) for p, c in self.model.files.items()}
        for path, content in self.model.files.items():
            one = listing[path]
            expected = (
                one["lfs"]["oid"] == hashlib.sha256(content).hexdigest()
                if "lfs" in one
                else one["oid"] == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            )
            assert expected, path

    def teardown(self) -> None:
        """Every commit that ever was still reads as it did."""
        for head, files in list(self.past.items())[1:][-4:]:
            for path, content in (files or {}).items():
                assert self.talk.read(self.repo, path, head).content == content
        self.talk.delete(self.repo).raise_for_status()


def run(hub: LiveHub, examples: int, steps: int) -> None:
    talk = Talk(hub.url, hub.admin_token)
    try:
        case = type("Case", (CommitMachine,), {"hub": hub, "talk": talk}).TestCase
        case.settings = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        case().runTest()
    finally:
        talk.close()


def test_commits_are_those_of_a_dict(hub: LiveHub) -> None:
    run(hub, examples=12, steps=10)


@pytest.mark.slow
def test_many_commits_are_those_of_a_dict(hub: LiveHub) -> None:
    run(hub, examples=150, steps=30)
