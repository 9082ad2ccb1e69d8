"""Discussions and pull requests: what is said, what is proposed, what is merged, and by whom."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, EntryNotFoundError, GatedRepoError, HfHubHTTPError

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import gone, small

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(
        "ignore:Use 'content:DeprecationWarning"
    ),  # what the stock client does to its own library
]


@pytest.fixture
def api(owner: Owner, stock) -> HfApi:
    owner.talk.commit(owner.repo, small("a.txt", b"one\ntwo\n"), small("b.txt", b"b\n"), small("d/c.txt", b"c\n"))
    return stock(owner.token)


def status_of(call, *values: object, **more: object) -> int:
    with pytest.raises(HfHubHTTPError) as caught:
        call(*values, **more)
    return caught.value.response.status_code


def test_a_discussion_from_its_opening_to_its_end(api: HfApi, owner: Owner, hub: LiveHub, stock) -> None:
    bob = stock(hub.user("bob"))
    opened = bob.create_discussion(owner.repo, "What is it?", description="Tell <b>me</b>\n\nmore")
    assert (opened.num, opened.status, opened.author, opened.is_pull_request) == (1, "open", "bob", False)
    assert (opened.diff, opened.conflicting_files, opened.target_branch) == (None, None, None)
    (first,) = opened.events
    assert (first.type, first.content, first.rendered) == (
        "comment",
        "Tell <b>me</b>\n\nmore",
        "<p>Tell &lt;b&gt;me&lt;/b&gt;</p><p>more</p>",
    )
    answer = api.comment_discussion(owner.repo, 1, "A model.")
    assert (answer.author, answer.content, answer.edited) == (owner.name, "A model.", False)
    edited = api.edit_discussion_comment(owner.repo, 1, answer.id, "A small model.")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("A small model.", True, 1)
    assert edited.edit_history[0]["raw"] == "A model."
    renamed = bob.rename_discussion(owner.repo, 1, "What is this?")
    assert (renamed.old_title, renamed.new_title) == ("What is it?", "What is this?")
    assert api.change_discussion_status(owner.repo, 1, "closed", comment="done").new_status == "closed"
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = api.hide_discussion_comment(owner.repo, 1, first.id)
    assert hidden.hidden
    assert "Tell" not in str(owner.talk.get(f"/api/models/{owner.repo}/discussions/1").json())
    found = api.get_discussion_details(owner.repo, 1)
    assert (found.title, found.status) == ("What is this?", "closed")
    assert [one.type for one in found.events] == ["comment", "comment", "title-change", "status-change", "comment"]


def test_lists_of_discussions(api: HfApi, owner: Owner, hub: LiveHub, stock) -> None:
    carol = stock(hub.user("carol"))
    for number in range(53):
        body = {"title": f"talk {number}", "pullRequest": False}
        owner.talk.post(f"/api/models/{owner.repo}/discussions", body).raise_for_status()
    carol.create_discussion(owner.repo, "by carol")
    carol.create_pull_request(owner.repo, "a change")
    api.change_discussion_status(owner.repo, 1, "closed")
    found = [one.num for one in api.get_repo_discussions(owner.repo)]
    assert found == list(range(55, 0, -1))
    assert [one.num for one in api.get_repo_discussions(owner.repo, author="carol")] == [55, 54]
    assert [one.num for one in api.get_repo_discussions(owner.repo, discussion_type="pull_request")] == [55]
    assert len(list(api.get_repo_discussions(owner.repo, discussion_type="discussion"))) == 54
    assert [one.num for one in api.get_repo_discussions(owner.repo, discussion_status="closed")] == [1]
    assert len(list(api.get_repo_discussions(owner.repo, discussion_status="open"))) == 54
    assert owner.talk.get(f"/api/models/{owner.repo}/discussions?type=x").status_code == 400
    assert owner.talk.get(f"/api/models/{owner.repo}/discussions?p=-1").status_code == 400


@pytest.mark.parametrize("content", [b"small change\n", bytes(range(256)) * 2000], ids=["small", "large"])
def test_a_stranger_proposes_and_the_owner_merges(
    api: HfApi, owner: Owner, hub: LiveHub, stock, content: bytes, tmp_path: Path
) -> None:
    dan = stock(hub.user("dan"))
    head = api.model_info(owner.repo).sha
    info = dan.upload_file(
        path_or_fileobj=content, path_in_repo="m.bin", repo_id=owner.repo, create_pr=True, commit_message="Add m"
    )
    assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
    assert info.pr_url == f"{hub.url}/{owner.repo}/discussions/1"
    assert api.model_info(owner.repo).sha == head, "main stays where it was"
    assert api.model_info(owner.repo, revision="refs/pr/1").sha == info.oid
    assert [one.name for one in api.list_repo_refs(owner.repo, include_pull_requests=True).pull_requests] == ["1"]
    found = api.get_discussion_details(owner.repo, 1)
    assert (found.title, found.status, found.target_branch) == ("Add m", "open", "refs/heads/main")
    assert (found.conflicting_files, found.merge_commit_oid) == ([], None)
    assert [(one.summary, one.oid) for one in found.events if one.type == "commit"] == [("Add m", info.oid)]
    assert "+++ b/m.bin" in found.diff
    assert status_of(dan.merge_pull_request, owner.repo, 1) == 403
    api.merge_pull_request(owner.repo, 1, comment="thanks")
    merged = api.get_discussion_details(owner.repo, 1)
    assert (merged.status, merged.merge_commit_oid) == ("merged", api.model_info(owner.repo).sha)
    assert "+++ b/m.bin" in merged.diff
    assert [one.type for one in merged.events] == ["commit", "status-change", "comment"]
    assert Path(api.hf_hub_download(owner.repo, "m.bin", cache_dir=tmp_path)).read_bytes() == content
    assert api.list_repo_commits(owner.repo)[0].title == "Add m (#1)"
    assert status_of(api.merge_pull_request, owner.repo, 1) == 409
    assert status_of(api.change_discussion_status, owner.repo, 1, "open") == 400


def test_a_folder_as_a_pull_request(api: HfApi, owner: Owner, hub: LiveHub, stock, tmp_path: Path) -> None:
    erin, place = stock(hub.user("erin")), tmp_path / "folder"
    (place / "d").mkdir(parents=True)
    (place / "a.txt").write_bytes(b"one\nTWO\n")
    (place / "b.txt").write_bytes(b"b")
    (place / "d" / "x.bin").write_bytes(bytes(3000))
    (place / "README.md").write_text("---\nlicense: mit\n---\n")
    info = erin.upload_folder(repo_id=owner.repo, folder_path=place, create_pr=True, commit_message="A folder")
    assert info.pr_num == 1
    found = api.get_discussion_details(owner.repo, 1)
    assert "-two\n+TWO" in found.diff
    assert "-b\n+b\n\\ No newline at end of file\n" in found.diff
    assert "oid sha256:" in found.diff
    again = erin.upload_file(
        path_or_fileobj=b"more", path_in_repo="more", repo_id=owner.repo, revision="refs/pr/1", commit_message="More"
    )
    details = api.get_discussion_details(owner.repo, 1)
    assert [one.oid for one in details.events if one.type == "commit"][-1] == again.oid
    api.change_discussion_status(owner.repo, 1, "open") if details.status == "draft" else None
    api.merge_pull_request(owner.repo, 1)
    assert {"a.txt", "d/x.bin", "README.md", "more", "b.txt", "d/c.txt"} <= set(api.list_repo_files(owner.repo))


def test_a_merge_brings_both_sides_together(api: HfApi, owner: Owner) -> None:
    pull = api.create_pull_request(owner.repo, "Two changes")
    assert (pull.status, pull.num, pull.git_reference) == ("draft", 1, "refs/pr/1")
    changes = [
        CommitOperationAdd("a.txt", b"theirs\n"),
        CommitOperationAdd("new/n.txt", b"n"),
        CommitOperationDelete("b.txt"),
    ]
    api.create_commit(owner.repo, changes, commit_message="On the side", revision="refs/pr/1")
    ours = api.create_commit(owner.repo, [CommitOperationAdd("d/c.txt", b"ours\n")], commit_message="Meanwhile")
    api.create_commit(owner.repo, [CommitOperationDelete("b.txt")], commit_message="Both delete it")
    assert api.get_discussion_details(owner.repo, 1).conflicting_files == []
    api.merge_pull_request(owner.repo, 1)
    assert sorted(api.list_repo_files(owner.repo)) == [".gitattributes", "a.txt", "d/c.txt", "new/n.txt"]
    assert owner.talk.read(owner.repo, "a.txt").content == b"theirs\n"
    assert owner.talk.read(owner.repo, "d/c.txt").content == b"ours\n"
    titles = [one.title for one in api.list_repo_commits(owner.repo)]
    assert titles[:3] == ["Two changes (#1)", "Both delete it", "Meanwhile"]
    assert ours.oid in {one.commit_id for one in api.list_repo_commits(owner.repo)}


@pytest.mark.parametrize(
    ("theirs", "ours", "conflicts"),
    [
        (small("a.txt", b"x"), small("a.txt", b"y"), ["a.txt"]),
        (gone("a.txt"), small("a.txt", b"y"), ["a.txt"]),
        (small("a.txt", b"x"), gone("a.txt"), ["a.txt"]),
        (small("n", b"x"), small("n/m", b"y"), ["n/m"]),
        (small("n/m", b"x"), small("n", b"y"), ["n/m"]),
        (small("n", b"x"), small("n", b"x"), []),
    ],
)
def test_what_both_changed_is_no_merge(api: HfApi, owner: Owner, theirs: dict, ours: dict, conflicts: list) -> None:
    talk, repo = owner.talk, owner.repo
    api.create_pull_request(repo, "A change")
    talk.commit(repo, theirs, small("other", b"1"), rev="refs/pr/1").raise_for_status()
    talk.commit(repo, ours).raise_for_status()
    head = talk.head(repo)
    assert api.get_discussion_details(repo, 1).conflicting_files == conflicts
    if conflicts:
        assert status_of(api.merge_pull_request, repo, 1) == 409
        assert talk.head(repo) == head
    else:
        api.merge_pull_request(repo, 1)
        assert set(talk.listing(repo)) >= {"n", "other"}


def test_a_second_merge_sees_the_first(api: HfApi, owner: Owner) -> None:
    """The branch of a pull request that took `main` in between parts from it later than it began."""
    talk, repo = owner.talk, owner.repo
    for number in (1, 2):
        api.create_pull_request(repo, f"Change {number}")
        talk.commit(repo, small("a.txt", b"%d" % number), rev=f"refs/pr/{number}").raise_for_status()
    api.merge_pull_request(repo, 1)
    assert api.get_discussion_details(repo, 2).conflicting_files == ["a.txt"]
    assert status_of(api.merge_pull_request, repo, 2) == 409
    api.change_discussion_status(repo, 2, "closed")
    assert status_of(api.merge_pull_request, repo, 2) == 409
    assert talk.commit(repo, small("x", b""), rev="refs/pr/2").status_code == 409


def test_a_pull_request_begins_where_its_author_was(api: HfApi, owner: Owner) -> None:
    old = api.model_info(owner.repo).sha
    owner.talk.commit(owner.repo, small("a.txt", b"newer")).raise_for_status()
    info = api.create_commit(
        owner.repo, [CommitOperationAdd("z", b"z")], commit_message="From before", create_pr=True, parent_commit=old
    )
    parents = api.list_repo_commits(owner.repo, revision=info.oid)
    assert [one.commit_id for one in parents[:2]] == [info.oid, old]


def test_an_old_pull_request_outlives_a_squash(api: HfApi, owner: Owner) -> None:
    api.create_pull_request(owner.repo, "Before")
    owner.talk.commit(owner.repo, small("z", b"1"), rev="refs/pr/1").raise_for_status()
    files = api.list_repo_files(owner.repo)
    api.super_squash_history(owner.repo, commit_message="One")
    assert [one.title for one in api.list_repo_commits(owner.repo)] == ["One"]
    assert api.list_repo_files(owner.repo) == files
    assert api.get_discussion_details(owner.repo, 1).conflicting_files is True
    assert status_of(api.merge_pull_request, owner.repo, 1) == 409


def test_who_may_do_what(api: HfApi, owner: Owner, hub: LiveHub, stock) -> None:
    repo = owner.repo
    fay, gus = stock(hub.user("fay")), stock(hub.user("gus"))
    reader, nobody = stock(hub.hub.create_token("gus", "read")), stock(False)
    fay.create_pull_request(repo, "By fay")
    comment = fay.comment_discussion(repo, 1, "mine")
    assert nobody.get_discussion_details(repo, 1).title == "By fay"
    for call, values in (
        (lambda one: one.create_discussion, ("x",)),
        (lambda one: one.comment_discussion, (1, "x")),
        (lambda one: one.rename_discussion, (1, "x")),
        (lambda one: one.change_discussion_status, (1, "closed")),
    ):
        assert status_of(call(nobody), repo, *values) == 401
        assert status_of(call(reader), repo, *values) == 403
    assert status_of(gus.rename_discussion, repo, 1, "x") == 403
    assert status_of(gus.change_discussion_status, repo, 1, "closed") == 403
    assert status_of(gus.edit_discussion_comment, repo, 1, comment.id, "x") == 403
    assert status_of(api.edit_discussion_comment, repo, 1, comment.id, "words in another's mouth") == 403
    with pytest.warns(UserWarning, match="irreversible"):
        assert status_of(gus.hide_discussion_comment, repo, 1, comment.id) == 403
    on_pull = [CommitOperationAdd("x", b"x")]
    assert status_of(gus.create_commit, repo, on_pull, commit_message="x", revision="refs/pr/1") == 403
    assert status_of(reader.create_commit, repo, on_pull, commit_message="x", create_pr=True) == 403
    assert status_of(fay.create_commit, repo, on_pull, commit_message="x") == 403, "main is not hers"
    fay.create_commit(repo, on_pull, commit_message="x", revision="refs/pr/1")


def test_a_gate_stands_before_changes_too(api: HfApi, owner: Owner, hub: LiveHub, stock) -> None:
    api.create_pull_request(owner.repo, "Secret")
    owner.talk.commit(owner.repo, small("s.txt", b"secret words"), rev="refs/pr/1").raise_for_status()
    api.update_repo_settings(owner.repo, gated="manual")
    hal = stock(hub.user("hal"))
    shown = hal.get_discussion_details(owner.repo, 1)
    assert (shown.title, shown.diff) == ("Secret", None)
    assert "secret words" in api.get_discussion_details(owner.repo, 1).diff
    with pytest.raises(GatedRepoError):
        hal.create_pull_request(owner.repo, "x")
    with pytest.raises(GatedRepoError):
        hal.create_commit(owner.repo, [CommitOperationAdd("x", b"")], commit_message="x", create_pr=True)
    hal.create_discussion(owner.repo, "May I come in?")


def test_what_is_wrong_is_refused(api: HfApi, owner: Owner) -> None:
    base = f"/api/models/{owner.repo}/discussions"
    for title in ("", "  ", "a\nb", "x" * 301, "\u202e"):
        assert owner.talk.post(base, {"title": title}).status_code == 400, title
    for number in ("1", "0", "x", "99999999999999", "\u0661"):
        assert owner.talk.get(f"{base}/{number}").headers["X-Error-Code"] == "EntryNotFound", number
    with pytest.raises(EntryNotFoundError):
        api.comment_discussion(owner.repo, 7, "x")
    api.create_discussion(owner.repo, "Talk")
    with pytest.raises(BadRequestError):
        api.merge_pull_request(owner.repo, 1)
    assert owner.talk.post(f"{base}/1/comment", {"comment": " "}).status_code == 400
    assert owner.talk.post(f"{base}/1/comment", {"comment": "x" * 70_000}).status_code == 413
    for name in ("x", "0" * 24, "f" * 24, "1"):
        assert owner.talk.post(f"{base}/1/comment/{name}/edit", {"content": "x"}).status_code == 404, name
    api.create_pull_request(owner.repo, "Nothing")
    with pytest.raises(BadRequestError):
        api.merge_pull_request(owner.repo, 2)
    answer = owner.talk.client.post(f"/api/models/{owner.repo}/commit/main?create_pr=1", content=b"{")
    assert answer.status_code == 400
    assert len(list(api.get_repo_discussions(owner.repo))) == 2, "a commit that fails opens nothing"
    assert owner.talk.commit(owner.repo, small("x", b""), rev="refs/pr/9").headers["X-Error-Code"] == "RevisionNotFound"
