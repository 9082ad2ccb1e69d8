"""Names and addresses are read once and strictly. Oracles: `git check-ref-format` and HfFileSystem."""

import subprocess

import pytest
from huggingface_hub import HfFileSystem
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.ids import (
    Address,
    RepoId,
    RepoKind,
    check_name,
    check_revision,
    check_sha1,
    check_sha256,
    is_commit_id,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BAD_HASHES = [
    "",
    "../../",
    "..",
    "A" * 64,
    "a" * 63,
    "a" * 65,
    "g" * 64,
    "\u0661" * 64,
    "\uff41" * 64,
    "a" * 64 + "\n",
    " " + "a" * 63,
]

names = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,20}[A-Za-z0-9_])?", fullmatch=True).filter(
    lambda name: "--" not in name and ".." not in name and not name.endswith(".git")
)
plain_paths = st.from_regex(r"[a-z][a-z0-9_@%]{0,8}(/[a-z][a-z0-9_.@]{0,8}[a-z]){0,3}", fullmatch=True).filter(
    lambda path: not {part.split(".")[0] for part in path.split("/")} & {"con", "prn", "aux", "nul"}
)


def refused(check: object, text: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(text)
    assert caught.value.code == code


def is_accepted(check: object, text: str) -> bool:
    try:
        check(text)
    except UsageError:
        return False
    return True


class TestHashes:
    @pytest.mark.parametrize("text", BAD_HASHES)
    def test_refused(self, text: str) -> None:
        refused(check_sha256, text, "BadRequest")
        refused(check_sha1, text, "BadRequest")
        assert not is_commit_id(text)

    def test_accepted(self) -> None:
        assert check_sha256("0123456789abcdef" * 4) == "0123456789abcdef" * 4
        assert check_sha1(COMMIT) == COMMIT
        assert is_commit_id(COMMIT)
        refused(check_sha1, "a" * 64, "BadRequest")

    def test_a_long_text_is_not_repeated_in_full(self) -> None:
        with pytest.raises(UsageError) as caught:
            check_sha256("x" * 10_000)
        assert len(str(caught.value)) < 200


class TestNames:
    @pytest.mark.parametrize("name", ["a", "_x", "microsoft", "BEATs_iter3.plus-AS2M", "a" * 96, "1", "a.b-c_d"])
    def test_accepted(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "-a",
            "a-",
            ".a",
            "a.",
            "a--b",
            "a..b",
            "a/b",
            "a b",
            "x.git",
            "a" * 97,
            "\u00e9",
            "a\n",
            "..",
            "a@b",
            "%2e",
        ],
    )
    def test_refused(self, name: str) -> None:
        refused(check_name, name, "BadAddress")

    @given(names)
    def test_what_we_accept_the_hub_accepts(self, name: str) -> None:
        assert check_name(name) == name
        validate_repo_id(name)


class TestRevisions:
    @pytest.mark.parametrize(
        "text", ["main", COMMIT, "v1.0", "feature/one", "refs/pr/1", "refs/convert/parquet", "a@b", "\u00e9", "x{"]
    )
    def test_accepted(self, text: str) -> None:
        assert check_revision(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-x",
            "a..b",
            "a//b",
            "/a",
            "a/",
            "a.lock",
            "a.lock/b",
            ".a",
            "a/.b",
            "a.",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "a@{1}",
            "@",
            "a\n",
            "a\x7f",
            "x" * 251,
            "..",
            "../../etc",
            "\ud800",
        ],
    )
    def test_refused(self, text: str) -> None:
        refused(check_revision, text, "BadAddress")

    def test_git_agrees(self) -> None:
        special = [
            "/",
            "//",
            ".",
            "..",
            "@",
            "@{",
            "{",
            ".lock",
            "~",
            "^",
            ":",
            "?",
            "*",
            "[",
            "]",
            "\\",
            " ",
            "\x7f",
            "-",
            "a",
            "B",
            "\u00e9",
        ]
        texts = (
            special + [left + right for left in special for right in special] + ["a" + mark + "b" for mark in special]
        )
        texts = [text for text in texts if not text.startswith("-")]
        for text in texts:
            command = ["git", "check-ref-format", "--allow-onelevel", text]
            git_accepts = subprocess.run(command, check=False, capture_output=True).returncode == 0
            assert is_accepted(check_revision, text) == git_accepts, text


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "plural", "prefix"),
        [("model", "models", ""), ("dataset", "datasets", "datasets/"), ("space", "spaces", "spaces/")],
    )
    def test_words(self, kind: str, plural: str, prefix: str) -> None:
        assert (RepoKind(kind).plural, RepoKind(kind).prefix) == (plural, prefix)
        assert RepoKind.of_plural(plural) is RepoKind(kind)

    def test_unknown(self) -> None:
        refused(RepoKind.of_plural, "buckets", "BadRequest")


class TestRepoId:
    def test_parts(self) -> None:
        repo = RepoId.parse("hf://datasets/me/voices")
        assert repo == RepoId(RepoKind.DATASET, "me", "voices")
        assert (repo.full_name, repo.web_path, repo.api_path) == (
            "me/voices",
            "datasets/me/voices",
            "api/datasets/me/voices",
        )
        assert str(repo) == "hf://datasets/me/voices"

    def test_the_scheme_may_be_left_out(self) -> None:
        assert RepoId.parse("me/model") == RepoId.parse("hf://me/model") == RepoId.parse("models/me/model")

    @pytest.mark.parametrize(
        "text", ["me/x@main", "me/x/file", "me", "", "hf://", "https://hub.test/me/x", "me/", "/me/x", "datasets/me"]
    )
    def test_refused(self, text: str) -> None:
        refused(RepoId.parse, text, "BadAddress")


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "kind", "revision", "path"),
        [
            ("hf://me/x", "model", None, ""),
            ("hf://me/x/", "model", None, ""),
            ("hf://models/me/x/a/b.bin", "model", None, "a/b.bin"),
            ("hf://datasets/me/x@v1/a.wav", "dataset", "v1", "a.wav"),
            ("hf://spaces/me/x@refs/pr/12/app.py", "space", "refs/pr/12", "app.py"),
            ("hf://me/x@refs/pr/12", "model", "refs/pr/12", ""),
            ("hf://me/x@refs%2Fpr%2F12/a", "model", "refs/pr/12", "a"),
            ("hf://me/x@feat%2Fone/a", "model", "feat/one", "a"),
            ("hf://me/x@feat/one", "model", "feat", "one"),
            ("hf://me/x@refs/convert/parquet/a", "model", "refs/convert/parquet", "a"),
            ("hf://me/x/mail@home.txt", "model", None, "mail@home.txt"),
        ],
    )
    def test_read(self, text: str, kind: str, revision: str | None, path: str) -> None:
        assert Address.parse(text) == Address(RepoId(RepoKind(kind), "me", "x"), revision, path)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "me/x",
            "hf:/me/x",
            "HF://me/x",
            "hf://",
            "hf://x",
            "hf://me",
            "hf://me/x@",
            "hf://me/x@/a",
            "hf:///me/x",
            "hf://me/..",
            "s3://me/x",
            "hf://me/x@a..b",
            "hf://m e/x",
            "hf://datasets/me",
            "hf://me/x@-a",
            "hf://user:secret@me/x",
        ],
    )
    def test_refused(self, text: str) -> None:
        refused(Address.parse, text, "BadAddress")

    @pytest.mark.parametrize("path", ["../x", "a//b", "a/../b", "C:/x", "CON"])
    def test_a_bad_path_is_refused(self, path: str) -> None:
        refused(Address.parse, f"hf://me/x/{path}", "BadPath")

    @given(
        st.sampled_from(RepoKind),
        names,
        names,
        st.one_of(st.none(), st.text(min_size=1, max_size=20)),
        st.one_of(st.just(""), plain_paths),
    )
    def test_round_trip(self, kind: RepoKind, namespace: str, name: str, revision: str | None, path: str) -> None:
        if revision is not None and not is_accepted(check_revision, revision):
            return
        if kind is RepoKind.MODEL and namespace in {"models", "datasets", "spaces"}:
            return
        address = Address(RepoId(kind, namespace, name), revision, path)
        assert Address.parse(str(address)) == address

    @given(st.text(max_size=40))
    def test_nothing_but_usage_errors(self, text: str) -> None:
        is_accepted(Address.parse, f"hf://{text}")

    @pytest.mark.parametrize("path", ["", "a", "a/b c/d.bin", "mail@home.txt"])
    @pytest.mark.parametrize(
        "revision", ["", "main", COMMIT, "refs/pr/3", "refs/convert/parquet", "feat%2Fone", "v1.0"]
    )
    @pytest.mark.parametrize("prefix", ["", "datasets/", "spaces/"])
    def test_hf_file_system_agrees(
        self, prefix: str, revision: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = HfFileSystem(endpoint="http://127.0.0.1:9", token=False, skip_instance_cache=True)
        monkeypatch.setattr(files, "_repo_and_revision_exist", lambda *_args, **_more: (True, None))
        text = f"hf://{prefix}me/x{'@' if revision else ''}{revision}{'/' if path else ''}{path}"
        theirs, ours = files.resolve_path(text), Address.parse(text)
        assert (ours.repo.kind.value, ours.repo.full_name) == (theirs.repo_type, theirs.repo_id)
        assert (ours.revision or "main", ours.path) == (theirs.revision, theirs.path_in_repo)
