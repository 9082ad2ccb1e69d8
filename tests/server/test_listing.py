"""Listings: paged, stable, complete; info, refs and history."""

from random import Random

import pytest
from huggingface_hub import CommitOperationAdd

from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small


@pytest.fixture
def filled(owner: Owner) -> Owner:
    oid = owner.talk.put_large(owner.repo, b"12345")
    files = [small(f"d{n % 3}/s{n % 2}/f{n}.txt", b"%d" % n) for n in range(30)]
    owner.talk.commit(
        owner.repo, *files, large("m.bin", oid, 5), small("README.md", b"---\nlicense: mit\ntags: [a]\n---\n")
    ).raise_for_status()
    return owner


def pages(owner: Owner, path: str) -> list[list[dict]]:
    url, found = f"/api/models/{owner.repo}/{path}", []
    while url:
        answer = owner.talk.get(url)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        url = answer.links.get("next", {}).get("url")
        assert url is None or url.startswith(str(owner.talk.client.base_url)), "a client requests it verbatim"
    return found


@pytest.mark.parametrize(
    "query", ["recursive=true", "recursive=True", "recursive=false", "", "recursive=true&expand=true"]
)
@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_are_the_whole(filled: Owner, query: str, limit: int) -> None:
    (whole,) = pages(filled, f"tree/main?{query}")
    paged = pages(filled, f"tree/main?{query}&limit={limit}")
    assert [entry for page in paged for entry in page] == whole
    assert all(len(page) == limit for page in paged[:-1])
    paths = [entry["path"] for entry in whole]
    assert len(set(paths)) == len(paths) == (3 + 3 + 6 + 30 if "rue" in query.partition("&")[0] else 6)


def test_pages_belong_to_one_commit(filled: Owner) -> None:
    answer = filled.talk.get(f"/api/models/{filled.repo}/tree/main?recursive=true&limit=5")
    filled.talk.commit(filled.repo, gone("d0/"), gone("d1/"), gone("d2/")).raise_for_status()
    rest = filled.talk.get(answer.links["next"]["url"]).json()
    assert len(rest) == 5


def test_a_folder_a_file_and_nothing(filled: Owner) -> None:
    base = f"/api/models/{filled.repo}/tree/main"
    folder = filled.talk.get(f"{base}/d0%2Fs0").json()
    assert folder == filled.talk.get(f"{base}/d0/s0").json() == filled.talk.get(f"{base}/d0/s0/").json()
    assert all(entry["path"].startswith("d0/s0/f") for entry in folder)
    assert [entry["path"] for entry in filled.talk.get(f"{base}/m.bin").json()] == ["m.bin"]
    for path in ("nothing", "d0/nothing", "m.bin/x", "..", "d0/../m.bin"):
        answer = filled.talk.get(f"{base}/{path.replace('..', '%2E%2E')}")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound"), path
    answer = filled.talk.get(f"/api/models/{filled.repo}/tree/nowhere")
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_an_empty_repo_has_an_empty_listing(owner: Owner) -> None:
    owner.talk.commit(owner.repo, gone(".gitattributes")).raise_for_status()
    assert owner.talk.get(f"/api/models/{owner.repo}/tree/main").json() == []
    assert owner.talk.get(f"/api/models/{owner.repo}").json()["siblings"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=1e9", "limit=\u0661"])
def test_limits_that_are_none(owner: Owner, query: str) -> None:
    assert owner.talk.get(f"/api/models/{owner.repo}/tree/main?{query}").status_code == 400


def test_a_limit_of_a_billion_is_cut(filled: Owner) -> None:
    assert filled.talk.get(f"/api/models/{filled.repo}/tree/main?limit=1000000000").status_code == 200


def test_a_cursor_from_nowhere_gives_nothing_wrong(filled: Owner) -> None:
    for cursor in ("zzz", "../x", "", "d0/s0/f0.txt/x", "\u0000"):
        answer = filled.talk.get(f"/api/models/{filled.repo}/tree/main", params={"recursive": "true", "cursor": cursor})
        assert answer.status_code == 200


def test_paths(filled: Owner) -> None:
    url = f"/api/models/{filled.repo}/paths-info/main"
    form = filled.talk.client.post(url, data={"paths": ["m.bin", "d0", "missing", "../x"], "expand": "True"}).json()
    assert [(one["path"], one["type"]) for one in form] == [("m.bin", "file"), ("d0", "directory")]
    assert form[0]["lfs"]["size"] == 5
    assert form[0]["lastCommit"]["title"] == "a change"
    as_json = filled.talk.post(url, {"paths": ["m.bin", "d0"], "expand": False}).json()
    assert [one["path"] for one in as_json] == ["m.bin", "d0"]
    assert "lastCommit" not in as_json[0]
    assert filled.talk.post(url, {"paths": ["x"] * 1001}).status_code == 413
    assert (
        filled.talk.client.post(
            url, content=b"paths=%FF", headers={"Content-Type": "application/x-www-form-urlencoded"}
        ).status_code
        == 400
    )


def test_each_entry_knows_its_last_commit(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    commits = {}
    for name in ("a/x", "a/y", "b", "a/x"):
        commits[name] = talk.commit(repo, small(name, f"{len(commits)}{name}".encode() + bytes([len(commits)]))).json()[
            "commitOid"
        ]
    for number in range(5):
        talk.commit(repo, small("noise", b"%d" % number)).raise_for_status()
    talk.commit(repo, gone("noise")).raise_for_status()
    entries = talk.get(f"/api/models/{repo}/tree/main?recursive=true&expand=true").json()
    found = {one["path"]: one["lastCommit"]["id"] for one in entries}
    assert {path: found[path] for path in ("a/x", "a/y", "b")} == commits
    assert found["a"] == commits["a/x"]
    assert found[".gitattributes"] == talk.get(f"/api/models/{repo}/commits/main").json()[-1]["id"]
    assert all(one["lastCommit"]["date"].endswith("Z") for one in entries)


def test_last_commits_are_those_that_comparing_all_commits_finds(owner: Owner) -> None:
    talk, repo, random = owner.talk, owner.repo, Random(7)
    names = [f"{folder}{name}" for folder in ("", "a/", "a/b/", "c/d/e/") for name in "xyz"]
    for number in range(40):
        lines = {name: small(name, b"%d" % random.randrange(3)) for name in random.sample(names, 3)}
        present = talk.listing(repo).keys()
        lines |= {name: gone(name) for name in random.sample(names, 1) if name in present}
        talk.commit(repo, *lines.values(), small("n", b"%d" % number)).raise_for_status()
    line = [one["id"] for one in talk.get(f"/api/models/{repo}/commits/main?limit=100").json()]
    held = [{one["path"]: one["oid"] for one in _entries(talk, repo, oid)} for oid in line]
    pairs = list(zip(line, held, [*held[1:], {}], strict=True))
    expected = {path: next(oid for oid, new, old in pairs if new[path] != old.get(path)) for path in held[0]}
    assert {one["path"]: one["lastCommit"]["id"] for one in _entries(talk, repo, "main")} == expected


def _entries(talk: Talk, repo: str, revision: str) -> list[dict]:
    answer = talk.get(f"/api/models/{repo}/tree/{revision}?recursive=true&expand=true")
    return list(answer.json())


def test_history_longer_than_one_batch(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.server.git.history._BATCH", 3)
    first = owner.talk.commit(owner.repo, small("old", b"1")).json()["commitOid"]
    for number in range(8):
        owner.talk.commit(owner.repo, small("new", b"%d" % number)).raise_for_status()
    entries = owner.talk.get(f"/api/models/{owner.repo}/tree/main?expand=true").json()
    assert {one["path"]: one["lastCommit"]["id"] for one in entries}["old"] == first


def test_info(filled: Owner) -> None:
    info = filled.talk.get(f"/api/models/{filled.repo}").json()
    assert info["id"] == filled.repo
    assert info["sha"] == filled.talk.head(filled.repo)
    assert (info["private"], info["gated"], info["disabled"]) == (False, False, False)
    assert info["cardData"] == {"license": "mit", "tags": ["a"]}
    assert info["tags"] == ["a", "license:mit"]
    assert len(info["siblings"]) == 33
    assert {"rfilename": "m.bin"} in info["siblings"]
    blobs = filled.talk.get(f"/api/models/{filled.repo}/revision/main?blobs=true&expand=sha&securityStatus=true").json()
    (large_one,) = [one for one in blobs["siblings"] if one["rfilename"] == "m.bin"]
    assert large_one["lfs"].keys() == {"sha256", "size", "pointerSize"}
    assert large_one["size"] == 5
    assert filled.talk.get(f"/api/models/{filled.repo}/revision/nope").headers["X-Error-Code"] == "RevisionNotFound"
    some = filled.talk.get(f"/api/models/{filled.repo}/revision/main?expand=sha&expand=tags&expand=gated").json()
    assert some == {key: info[key] for key in ("_id", "id", "sha", "tags", "gated")}
    names = filled.talk.get(f"/api/models/{filled.repo}?expand=siblings").json()
    assert names == {key: info[key] for key in ("_id", "id", "siblings")}


@pytest.mark.parametrize("readme", [b"---\na: *x\n---\n", b"\xff\xfe", b"---\n" + b"[" * 10_000, b"---\n- 1\n---\n"])
def test_a_broken_card_hides_no_repo(owner: Owner, readme: bytes) -> None:
    owner.talk.commit(owner.repo, small("README.md", readme)).raise_for_status()
    info = owner.talk.get(f"/api/models/{owner.repo}")
    assert info.status_code == 200
    assert "cardData" not in info.json()


def test_refs(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    api, head = f"/api/models/{repo}", talk.head(repo)
    assert talk.post(f"{api}/branch/feat%2Fone").status_code == 200
    assert talk.post(f"{api}/branch/feat%2Fone").status_code == 409
    assert talk.post(f"{api}/branch/feat").status_code == 409
    assert talk.post(f"{api}/branch/feat%2Fone%2Ftwo").status_code == 409
    assert talk.post(f"{api}/branch/x", {"startingPoint": "nowhere"}).headers["X-Error-Code"] == "RevisionNotFound"
    assert talk.post(f"{api}/tag/main", {"tag": "v1"}).status_code == 200
    assert talk.post(f"{api}/tag/main", {"tag": "v1"}).status_code == 409
    for name in ("a..b", "-x", "a b", "x.lock", head, "HEAD", "refs%2Fheads%2Fx", "%00", "a~1"):
        assert talk.post(f"{api}/branch/{name.replace(' ', '%20')}").status_code == 400, name
    expected = {
        "branches": [
            {"name": "feat/one", "ref": "refs/heads/feat/one", "targetCommit": head},
            {"name": "main", "ref": "refs/heads/main", "targetCommit": head},
        ],
        "converts": [],
        "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": head}],
    }
    assert talk.get(f"{api}/refs").json() == expected
    assert talk.get(f"{api}/refs?include_prs=1").json() == {**expected, "pullRequests": []}
    assert talk.client.delete(f"{api}/branch/main").status_code == 403
    assert talk.client.delete(f"{api}/branch/feat%2Fone").status_code == 200
    assert talk.client.delete(f"{api}/branch/feat%2Fone").headers["X-Error-Code"] == "RevisionNotFound"
    assert talk.client.delete(f"{api}/tag/v1").status_code == 200
    assert talk.client.delete(f"{api}/tag/v1").headers["X-Error-Code"] == "RevisionNotFound"


def test_history_in_pages(owner: Owner) -> None:
    made = [owner.talk.commit(owner.repo, small("a", b"%d" % number)).json()["commitOid"] for number in range(7)]
    found = [one["id"] for page in pages(owner, "commits/main?limit=3") for one in page]
    assert found[:7] == made[::-1]
    assert len(found) == 8


@pytest.mark.wire
def test_history_as_html_has_no_markup_of_the_message(owner: Owner, stock) -> None:
    api, title = stock(owner.token), "<b>bold</b> & more"
    operations = [CommitOperationAdd("a.txt", b"text")]
    api.create_commit(owner.repo, operations, commit_message=title, commit_description="second\n<i>line</i>")
    newest = api.list_repo_commits(owner.repo, formatted=True)[0]
    assert (newest.title, newest.message) == (title, "second\n<i>line</i>")
    assert newest.formatted_title == "&lt;b&gt;bold&lt;/b&gt; &amp; more"
    assert newest.formatted_message == "second\n&lt;i&gt;line&lt;/i&gt;"
    assert api.list_repo_commits(owner.repo)[0].formatted_title is None


def preupload(owner: Owner, *files: tuple[str, int], **more) -> dict[str, dict]:
    body = {"files": [{"path": path, "size": size, "sample": ""} for path, size in files], **more}
    answer = owner.talk.post(f"/api/models/{owner.repo}/preupload/main", body)
    assert answer.status_code == 200, answer.text
    return {one["path"]: one for one in answer.json()["files"]}


def test_preupload(filled: Owner) -> None:
    found = preupload(
        filled,
        ("m.bin", 9),
        ("new.safetensors", 9),
        ("x.json", 9),
        ("x.json5", 2 << 20),
        ("empty.bin", 0),
        ("README.md", 3),
        ("d0", 3),
    )
    modes = {path: one["uploadMode"] for path, one in found.items()}
    assert modes == {
        "m.bin": "lfs",
        "new.safetensors": "lfs",
        "x.json": "regular",
        "x.json5": "lfs",
        "empty.bin": "regular",
        "README.md": "regular",
        "d0": "regular",
    }
    listing = filled.talk.listing(filled.repo)
    assert found["m.bin"]["oid"] == listing["m.bin"]["lfs"]["oid"]
    assert found["README.md"]["oid"] == listing["README.md"]["oid"]
    assert not any(found[path].get("oid") for path in ("new.safetensors", "x.json", "d0"))
    assert all(one["shouldIgnore"] is False for one in found.values())


def test_preupload_ignores_what_the_repo_or_the_upload_ignores(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small(".gitignore", b"*.log\n")).raise_for_status()
    files = (("a.log", 1), ("tmp/x", 1), ("b", 1))
    assert [one["shouldIgnore"] for one in preupload(owner, *files).values()] == [True, False, False]
    coming = preupload(owner, *files, gitIgnore="tmp/\n")
    assert [one["shouldIgnore"] for one in coming.values()] == [False, True, False]


def test_preupload_heeds_the_attributes_that_come_along(owner: Owner) -> None:
    sample = "Ki5kYXQgZmlsdGVyPWxmcwo="  # *.dat filter=lfs
    files = [
        {"path": ".gitattributes", "size": 17, "sample": sample},
        {"path": "x.dat", "size": 1},
        {"path": "x.bin", "size": 1},
    ]
    answer = owner.talk.post(f"/api/models/{owner.repo}/preupload/main", {"files": files}).json()["files"]
    assert [one["uploadMode"] for one in answer] == ["regular", "lfs", "regular"]


def test_preupload_has_limits(owner: Owner) -> None:
    files = [{"path": f"f{number}", "size": 1} for number in range(257)]
    url = f"/api/models/{owner.repo}/preupload/main"
    assert owner.talk.post(url, {"files": files}).status_code == 413
    assert owner.talk.post(url, {"files": [{"path": "x"}]}).status_code == 400
    assert (
        owner.talk.post(f"/api/models/{owner.repo}/preupload/nope", {"files": []}).headers["X-Error-Code"]
        == "RevisionNotFound"
    )


def test_cards_are_checked_for_anybody(speak) -> None:
    talk = speak(None)
    good = talk.post("/api/validate-yaml", {"content": "---\nlicense: mit\n---\n# hi\n", "repoType": "model"})
    assert (good.status_code, good.json()) == (200, {"errors": [], "warnings": []})
    assert talk.post("/api/validate-yaml", {"content": "# hi"}).json()["warnings"]
    bad = talk.post("/api/validate-yaml", {"content": "---\na: [\n---\n"})
    assert bad.status_code == 400
    assert bad.json()["errors"][0]["message"]
