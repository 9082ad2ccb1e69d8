"""The examples in docs/formats are read by the real parsers: what the pages call valid is, and what they call refused is."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tenuto.core.errors import TenutoError
from tenuto.core.ids import check_sha256
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import HEADER, VERSION, Locked, Tag, parse_lock
from tenuto.core.manifest import KINDS, Artifact, Policy, Project, parse_manifest
from tenuto.store.base import check_key
from tenuto.store.local import LAYOUT

FORMATS = Path(__file__).parents[2] / "docs" / "formats"
PAGES = ("manifest", "lock", "listing", "store")
PARSERS: dict[str, Callable[[str], object]] = {
    "manifest": parse_manifest,
    "lock": parse_lock,
    "listing": lambda text: Listing.parse(text.encode()),
}


class Block(NamedTuple):
    """A fenced block: its page, the words after the fence, and its text."""

    page: str
    words: tuple[str, ...]
    text: str


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of one language on a page."""
    text = (FORMATS / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\S[^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, tuple(words.split()), body) for words, body in found if words.split()[0] == language]


def keys_in_table(page: str) -> list[str]:
    """The first column of the table on a page."""
    text = (FORMATS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


TOML = [block for page in ("manifest", "lock") for block in blocks(page, "toml")]
LISTINGS = blocks("listing", "listing")


def test_every_page_is_there_and_says_its_version() -> None:
    assert sorted(path.stem for path in FORMATS.glob("*.md") if path.stem in PAGES) == sorted(PAGES)
    for page in PAGES:
        assert f"Format version {VERSION}" in (FORMATS / f"{page}.md").read_text(encoding="utf-8")
    assert len([block for block in TOML if "valid" in block.words]) == 3
    assert len([block for block in TOML if "refused" in block.words]) == 8
    assert len(LISTINGS) == 3


@pytest.mark.parametrize("block", [block for block in TOML if "valid" in block.words], ids=lambda block: block.page)
def test_valid_examples(block: Block) -> None:
    found = PARSERS[block.page](block.text)
    if "canonical" in block.words:
        assert found.text == block.text


@pytest.mark.parametrize(
    "block", [block for block in TOML + LISTINGS if "refused" in block.words], ids=lambda block: block.page
)
def test_refused_examples(block: Block) -> None:
    with pytest.raises(TenutoError):
        PARSERS[block.page](block.text)


def test_the_example_of_a_listing_has_the_digest_beside_it() -> None:
    (block,) = [block for block in LISTINGS if "refused" not in block.words]
    listing = Listing.parse(block.text.encode())
    assert len(listing) >= 3
    assert block.words[1] == listing.digest == hashlib.sha256(block.text.encode()).hexdigest()


def test_the_tables_name_every_key_in_the_order_of_the_code() -> None:
    project = [f"project.{name}" for name in Project.__struct_fields__]
    policy = [f"policy.{name}" for name in Policy.__struct_fields__]
    artifact = [f"artifacts.NAME.{name}" for name in Artifact.__struct_fields__]
    assert keys_in_table("manifest") == [*project, *policy, "artifacts.NAME", *artifact]
    keys, first = keys_in_table("lock"), len(Locked.__struct_fields__)
    assert sorted(keys[:first]) == sorted(Locked.__struct_fields__)
    assert keys[first:] == list(Tag.__struct_fields__)
    full = Locked(
        name="a",
        path="a",
        kind="model",
        source="hf://a/b",
        digest="0" * 64,
        files=0,
        bytes=0,
        commit="0" * 40,
        license="x",
        file=True,
        include=("*.json",),
        exclude=("*.bin",),
        variant="fp16",
        all_formats=True,
    )
    written = re.findall(
        r"^(\w+) = ", parse_lock("version = 1\n").replace(full).text.partition("[[artifact]]")[2], re.MULTILINE
    )
    assert keys[:first] == written


def test_the_lock_page_quotes_the_header_and_the_manifest_page_the_kinds() -> None:
    assert HEADER.strip() in (FORMATS / "lock.md").read_text(encoding="utf-8")
    manifest = (FORMATS / "manifest.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in manifest for kind in KINDS)


def test_the_largest_size_of_a_listing() -> None:
    largest = int(re.search(r"at most (\d+)", (FORMATS / "listing.md").read_text(encoding="utf-8"))[1])
    for size, fits in ((largest, True), (largest + 1, False)):
        text = Listing([Entry("a", "0" * 64, size)]).text
        assert is_read(text) == fits


def is_read(text: bytes) -> bool:
    try:
        return bool(Listing.parse(text))
    except TenutoError:
        return False


def test_the_store_page_names_the_folder_and_right_names() -> None:
    assert f"`{LAYOUT}`" in (FORMATS / "store.md").read_text(encoding="utf-8")
    (tree,) = blocks("store", "tree")
    for line in tree.text.splitlines():
        top, _, rest = line.partition("/")
        if top == "objects":
            assert check_sha256(rest.replace("/", "", 1))
        else:
            assert check_key(rest.removeprefix("part-"))
