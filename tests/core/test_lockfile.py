"""The same inputs write the same lock, byte for byte; a lock that was tampered with, merged or comes from the future is refused."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.lockfile import Lock, Locked, Tag, check_label, parse_lock

DIGEST = "0123456789abcdef" * 4
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BEATS = Locked(
    name="beats",
    path="checkpoints",
    kind="checkpoint",
    source="hf://me/beats",
    digest=DIGEST,
    files=3,
    bytes=1_234_567_890_123,
    commit=COMMIT,
    license="apache-2.0",
)
JAZZ = Locked(
    name="loras/jazz", path="loras/jazz", kind="adapter", source="hf://me/jazz@v1", digest=DIGEST, files=0, bytes=0
)
TEXT = f"""\
# Written by tenuto: commit it to git, do not edit it.
version = 1

[[artifact]]
name = "beats"
path = "checkpoints"
kind = "checkpoint"
source = "hf://me/beats"
commit = "{COMMIT}"
digest = "{DIGEST}"
files = 3
bytes = 1234567890123
license = "apache-2.0"

[[artifact]]
name = "loras/jazz"
path = "loras/jazz"
kind = "adapter"
source = "hf://me/jazz@v1"
digest = "{DIGEST}"
files = 0
bytes = 0
"""

CHOSEN = Locked(
    name="small",
    path="small",
    kind="model",
    source="https://host/a",
    digest=DIGEST,
    files=0,
    bytes=0,
    include=("a", 'b"'),
    exclude=("c",),
    variant="fp16",
    all_formats=True,
)


def test_the_choice_of_files_is_written_and_read() -> None:
    text = Lock().replace(CHOSEN).text
    assert text.endswith('include = ["a", "b\\""]\nexclude = ["c"]\nvariant = "fp16"\nall_formats = true\n')
    assert parse_lock(text).artifacts["small"] == CHOSEN


texts = st.text(st.characters(codec="utf-8"), max_size=12)
safe = st.from_regex(r"[a-z]{2,6}_x(/[a-z]{2,6}_y)?", fullmatch=True)
locks = st.lists(
    st.builds(
        Locked,
        name=safe,
        path=safe,
        kind=texts,
        source=safe.map(lambda name: f"hf://me/{name.replace('/', '_')}"),
        digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
        files=st.integers(0, 2**40),
        bytes=st.integers(0, 2**63 - 1),
        commit=st.one_of(st.none(), st.binary(min_size=20, max_size=20).map(bytes.hex)),
        license=st.one_of(st.none(), texts),
        file=st.booleans(),
    ),
    unique_by=lambda locked: locked.name,
    max_size=4,
)


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_lock(text)
    assert caught.value.code in {"BadLock", "NewerLock"}
    assert "tenuto.lock" in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_the_text_byte_for_byte() -> None:
    assert Lock({"loras/jazz": JAZZ, "beats": BEATS}).text == TEXT
    assert parse_lock(TEXT) == Lock({"beats": BEATS, "loras/jazz": JAZZ})


def test_an_empty_lock() -> None:
    assert Lock().text == "# Written by tenuto: commit it to git, do not edit it.\nversion = 1\n"
    assert parse_lock(Lock().text) == Lock()


@given(locks)
def test_round_trip_whatever_a_hub_says(found: list[Locked]) -> None:
    lock = Lock({locked.name: locked for locked in found})
    assert parse_lock(lock.text) == lock
    assert parse_lock(lock.text).text == lock.text
    assert tomllib.loads(lock.text)["version"] == 1


@given(locks, st.randoms(use_true_random=False))
def test_the_order_of_changes_does_not_show(found: list[Locked], chance: object) -> None:
    shuffled = found[:]
    chance.shuffle(shuffled)
    one_by_one = Lock()
    for locked in shuffled:
        one_by_one = one_by_one.replace(locked)
    assert one_by_one.text == Lock().replace(*found).text


def test_replace_and_without_leave_the_old_lock_alone() -> None:
    lock = Lock({"beats": BEATS})
    more = lock.replace(JAZZ)
    assert more.text == TEXT
    assert more.without("beats") == Lock({"loras/jazz": JAZZ})
    assert more.without("nobody") == more
    assert lock == Lock({"beats": BEATS})


def test_one_changed_artifact_is_one_changed_table() -> None:
    changed = parse_lock(TEXT).replace(JAZZ.__class__(**{**_fields(JAZZ), "files": 7})).text.splitlines()
    differing = [line for line, old in zip(changed, TEXT.splitlines(), strict=True) if line != old]
    assert differing == ["files = 7"]


def _fields(locked: Locked) -> dict[str, object]:
    return {name: getattr(locked, name) for name in Locked.__struct_fields__}


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD\n", ">>>>>>> theirs\n"])
def test_merge_markers_are_named(marker: str) -> None:
    error = refusal(TEXT.replace("[[artifact]]", f"{marker}[[artifact]]", 1))
    assert "merge-conflict" in str(error)
    assert "tenuto sync" in (error.hint or "")


@pytest.mark.parametrize(
    "text", ["version = 2\n", 'version = 2\n[artifact.beats]\nnew = "shape"\n', "version = 99\nartifact = 5\n"]
)
def test_a_lock_from_the_future_asks_for_a_newer_program(text: str) -> None:
    error = refusal(text)
    assert "version" in str(error)
    assert "newer" in (error.hint or "")


def test_unknown_keys_of_a_later_revision_are_ignored() -> None:
    text = TEXT.replace("version = 1\n", 'version = 1\nrevision = 3\nnotes = ["x"]\n')
    text = text.replace("files = 3\n", 'files = 3\nsigned = { by = "me" }\n')
    assert parse_lock(text).text == TEXT


@pytest.mark.parametrize(
    "change",
    [
        ("version = 1\n", ""),
        ("version = 1", "version = 0"),
        ("version = 1", 'version = "1"'),
        (f'digest = "{DIGEST}"\nfiles = 3', 'digest = "xyz"\nfiles = 3'),
        (f'digest = "{DIGEST}"\nfiles = 3', f'digest = "{DIGEST.upper()}"\nfiles = 3'),
        (f'digest = "{DIGEST}"\nfiles = 3', f'digest = "{DIGEST[1:]}"\nfiles = 3'),
        (f'digest = "{DIGEST}"\nfiles = 3', "files = 3"),
        (COMMIT, COMMIT[:7]),
        (COMMIT, "main"),
        ("files = 3", "files = -3"),
        ("bytes = 0", "bytes = -1"),
        ("files = 3", 'files = "3"'),
        ("files = 3", "files = 3.5"),
        ("files = 3\n", "files = 3\nfiles = 4\n"),
        ('path = "checkpoints"', 'path = "../checkpoints"'),
        ('path = "checkpoints"', 'path = "/etc"'),
        ('name = "beats"', 'name = "../beats"'),
        ('name = "beats"', 'name = "loras/jazz"'),
        ("hf://me/beats", "hf://me"),
        ("hf://me/beats", "file:///etc/passwd"),
        ("[[artifact]]", "[[artifact"),
        ("[[artifact]]", "[artifact]"),
        ("version = 1", "version = 1\nx = " + "[" * 5000),
    ],
)
def test_tampered(change: tuple[str, str]) -> None:
    old, new = change
    assert old in TEXT
    refusal(TEXT.replace(old, new, 1))


def test_a_fault_names_the_artifact() -> None:
    assert "'loras/jazz'" in str(refusal(TEXT.replace("hf://me/jazz@v1", "nonsense")))


BEST = Tag(name="beats", label="best", source="hf://me/beats", commit=COMMIT, digest=DIGEST)
TAGGED = f"""\
{TEXT}
[[tag]]
name = "beats"
label = "best"
source = "hf://me/beats"
commit = "{COMMIT}"
digest = "{DIGEST}"
"""


def test_tags_stand_behind_the_artifacts_and_come_back() -> None:
    lock = Lock({"beats": BEATS, "loras/jazz": JAZZ}).with_tag(BEST)
    assert lock.text == TAGGED
    assert parse_lock(TAGGED) == lock
    other = Tag(name="beats", label="Best", source="hf://me/beats", commit=COMMIT, digest=DIGEST)
    assert lock.with_tag(other).text == Lock(lock.artifacts).with_tag(other).with_tag(BEST).text
    assert lock.without_tag("beats", "best").text == TEXT


def test_tags_stay_when_an_artifact_is_locked_anew_and_go_with_it() -> None:
    lock = Lock({"beats": BEATS, "loras/jazz": JAZZ}).with_tag(BEST)
    assert lock.replace(JAZZ).tags == lock.tags
    assert lock.without("loras/jazz").tags == lock.tags
    assert lock.without("beats").tags == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('label = "best"', 'label = "a b"'),
        ('label = "best"', 'label = "deadbeef"'),
        ('label = "best"', 'label = ""'),
        ('label = "best"', ""),
        ('[[tag]]\nname = "beats"', '[[tag]]\nname = "../beats"'),
        (f'commit = "{COMMIT}"\ndigest = "{DIGEST}"\n', f'commit = "main"\ndigest = "{DIGEST}"\n'),
    ],
)
def test_a_tag_that_was_tampered_with_is_refused(old: str, new: str) -> None:
    head, mark, tail = TAGGED.partition("[[tag]]")
    with pytest.raises(UsageError) as caught:
        parse_lock(head + (mark + tail).replace(old, new))
    assert caught.value.code == "BadLock"


def test_a_label_that_stands_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="it has a tag twice"):
        parse_lock(TAGGED + TAGGED.partition("[[tag]]")[1] + TAGGED.partition("[[tag]]")[2])


@pytest.mark.parametrize("label", ["best", "v1.0", "2026-11-21", "a", "x" * 64, "cafe", "deadbeefs"])
def test_labels(label: str) -> None:
    assert check_label(label) == label
