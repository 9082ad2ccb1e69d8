"""A look into a file ends when it took long enough, and says that it did not see all."""

import io
import zipfile

import pytest

from tenuto.inspect.findings import FormatError, Inspection, Limits
from tenuto.inspect.look import look_at
from tenuto.inspect.source import Source, from_bytes
from tenuto.server.pages import previews
from tenuto.server.pages.pace import paced
from tests.server.conftest import Owner
from tests.server.talk import small

LIMITS = Limits(content_bytes=0, text_bytes=4 << 20, items=5000, steps=100_000, listed=100, findings=20)


def test_as_much_is_read_as_is_allowed() -> None:
    source = paced(from_bytes(b"0123456789"), most_bytes=8)
    assert (source.size, source.read(2, 3)) == (10, b"234")
    assert source.window(5, 5).read(0, 5) == b"56789"
    with pytest.raises(FormatError) as raised:
        source.read(0, 1)
    assert raised.value.code == "NotAllChecked"


def archive(method: int) -> bytes:
    """Many pickles that take long, in one archive."""
    long = b"\x80\x02" + b"I1\n" * 20_000 + b"."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for number in range(40):
            file.writestr(f"{number}.pkl", long + b"%d" % number)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_look_into_many_pickles_ends(method: int) -> None:
    found = look_at(paced(from_bytes(archive(method)), most_s=0.01), "a.zip", LIMITS)
    assert "NotAllChecked" in {one.code for one in found.findings}
    assert found.format == "zip"


def test_of_what_is_stored_in_an_archive_the_heads_are_read_and_no_more() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02}.")
        for number in range(10):
            file.writestr(f"a/data/{number}", bytes(100_000))
    content, read = buffer.getvalue(), []

    def read_at(offset: int, length: int) -> bytes:
        read.append(length)
        return content[offset : offset + length]

    assert look_at(Source(read_at, 0, len(content)), "a.pt", LIMITS).format == "torch"
    assert sum(read) < 400_000


def test_of_a_long_footer_no_more_values_are_made_than_steps_are_allowed() -> None:
    count = 60_000  # columns, each a structure with a name
    footer = (
        b"\x15\x02\x19\xfc" + bytes([count & 127 | 128, count >> 7 & 127 | 128, count >> 14]) + b"\x48\x01a\0" * count
    )
    content = b"PAR1" + footer + b"\x16\x02\x19\x0c\0" + (len(footer) + 5).to_bytes(4, "little") + b"PAR1"
    few = look_at(from_bytes(content), "a.parquet", LIMITS)
    assert "columns" not in few.facts
    assert few.findings
    more = look_at(from_bytes(content), "a.parquet", Limits(content_bytes=0))
    assert "columns" in more.facts


def test_a_file_that_is_nothing_is_looked_into_once(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look(source: Source, name: str, limits: Limits) -> Inspection:
        looks.append(name)
        return look_at(source, name, limits)

    monkeypatch.setattr(previews, "look_at", look)
    owner.talk.commit(owner.repo, small("a.pkl", b"nothing")).raise_for_status()
    assert (
        "cannot be shown here" in owner.talk.get(f"/{owner.repo}/blob/main/a.pkl", headers={"Accept": "text/html"}).text
    )
    assert looks == ["a.pkl"]
