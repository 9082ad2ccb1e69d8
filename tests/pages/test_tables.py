"""The first rows of tables on their pages: they look alike, whatever file they lie in, are cut, and say so."""

import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenuto.inspect.source import from_bytes
from tenuto.server.git.objects import BlobFacts
from tenuto.server.http.exchange import Call
from tenuto.server.pages import parquet_head, tables
from tenuto.server.pages.content import File
from tenuto.server.pages.previews import Preview
from tenuto.server.pages.render import weight
from tenuto.testing.live_hub import LiveHub
from tests.pages.world import table
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}
LOOKS = {"csv": tables.separated, "tsv": tables.separated, "jsonl": tables.json_lines, "parquet": parquet_head.parquet}


def preview(name: str, content: bytes) -> Preview:
    call = Call("GET", {"rev": "main"}, "", {}, "http://hub", "/x")
    found = LOOKS[name.rpartition(".")[2]](
        from_bytes(content), File(name, BlobFacts("0" * 40, len(content), None)), call
    )
    assert found is not None
    return found


def names(found: Preview) -> list[str]:
    return [one.name for one in found.values["columns"]]  # type: ignore[attr-defined]


def texts(found: Preview) -> list[list[str]]:
    return [[cell.text for cell in row] for row in found.values["rows"]]  # type: ignore[attr-defined]


def parquet(values: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(values, out, **options)
    return out.getvalue()


def test_one_table_in_four_kinds_of_files() -> None:
    rows = [{"a": "x;y", "b": 1}, {"a": "<b>", "b": 2}]
    written = {
        "a.csv": b'a,b\n"x;y",1\n<b>,2\n',
        "a.tsv": b"\xef\xbb\xbfa\tb\nx;y\t1\n<b>\t2\n",
        "a.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows),
        "a.parquet": parquet(pa.Table.from_pylist(rows)),
    }
    for name, content in written.items():
        found = preview(name, content)
        assert (found.kind, names(found), texts(found), found.values["said"]) == (
            "rows" if name == "a.parquet" else "table",
            ["a", "b"],
            [["x;y", "1"], ["<b>", "2"]],
            "",
        )


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85"])
def test_only_a_newline_ends_a_line_of_json(letter: str) -> None:
    rows = [{"a": f"x{letter}y"}, {"a": "z"}]
    content = "\r\n".join([*(json.dumps(row, ensure_ascii=False) for row in rows), "", ""])
    found = preview("a.jsonl", content.encode())
    assert (found.kind, texts(found)) == ("table", [[f"x{letter}y"], ["z"]])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"a\n" + b"1\n" * 500, "First 50 of 500 rows"),
        ("a.csv", b"a\n" + b"1\n" * 500_000, "First 50 rows"),
        ("a.csv", b",".join([b"a"] * 40) + b"\n1\n", "First 30 of 40 columns"),
        ("a.jsonl", b'{"a": 1}\n' * 500, "First 50 of 500 rows"),
        ("a.jsonl", b'{"a": 1}\n' * 500_000, "First 50 rows"),
        ("a.parquet", parquet(pa.table({"a": list(range(12_345))})), "First 20 of 12,345 rows"),
        ("a.parquet", parquet(pa.table({str(one): [1] for one in range(31)})), "First 30 of 31 columns"),
        ("a.parquet", parquet(pa.table({"a" * 9000: ["<" * 9000] * 90})), "First 20 of 90 rows"),
    ],
)
def test_what_is_cut_is_told(name: str, content: bytes, said: str) -> None:
    found = preview(name, content)
    assert found.values["said"] == f"{said}; download the file for all of it."
    assert sum(weight(cell) for row in texts(found) for cell in row) < 50_000


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"a,b\n"), ("a.parquet", parquet(pa.table({"a": pa.array([], pa.int64())})))]
)
def test_a_table_without_rows_is_called_so(name: str, content: bytes) -> None:
    found = preview(name, content)
    assert (texts(found), found.values["said"]) == ([], "There are no rows.")


def test_names_of_classes_stand_beside_their_numbers() -> None:
    first = dict(zip(names(found := preview("a.parquet", table())), texts(found)[4], strict=True))
    assert (first["audio"], first["label"], first["seconds"]) == ("004.wav, 4.4 kB", "robin (1)", "null")
    assert (first["other_birds"], first["heard"]) == ("[wren (0)]", "2024-05-01 05:58:00+00:00")
    assert first["embedding"].endswith("…] 64 items")
    assert [one.type for one in found.values["columns"]][:3] == ["struct of bytes, path", "int64, 3 classes", "float64"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "told",
    [
        b"no JSON",
        b"[" * 10_000,
        b'{"info": 1}',
        b'{"info": {"features": []}}',
        b'{"info": {"features": {"a": {"_type": "ClassLabel", "names": {"a": 1}}}}}',
        b'{"info": {"features": {"a": {"_type": "Sequence"}}}}',
        b'{"info": {"features": {"a": ' + b"[" * 3000 + b"]" * 3000 + b"}}}",
        b'{"info": {"features": {"a": ["\\ud800"]}}}',
    ],
)
def test_what_a_stranger_says_of_classes_does_no_harm(told: bytes) -> None:
    values = pa.table({"a": [0, 1]}).replace_schema_metadata({"huggingface": told})
    assert texts(preview("a.parquet", parquet(values))) == [["0"], ["1"]]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text"),
        (b"[1]\n", "text"),
        (b'{"a": 1}\nno\n', "text"),
        (b'{"a": "\\ud800"}\n', "text"),
        (b'{"b": 1}\n\n{"a": [null]}\n', "table"),
    ],
)
def test_lines_that_are_no_table_are_shown_as_they_are(content: bytes, kind: str) -> None:
    assert preview("a.jsonl", content).kind == kind


def test_columns_that_cannot_be_shown_are_named(owner: Owner) -> None:
    content = parquet(pa.table({"a": [1, 2], "b": ["x", "y"]}), compression={"a": "brotli", "b": "snappy"})
    damaged = bytearray(parquet(pa.table({"c": [1, 2], "d": [3, 4]}), use_dictionary=False, compression="none"))
    damaged[4:20] = b"\xff" * 16
    owner.talk.commit(
        owner.repo,
        small("a.parquet", content),
        small("b.parquet", bytes(damaged)),
        small("c.parquet", b"PARE" + bytes(90) + b"PARE"),
    ).raise_for_status()
    for name, words in {
        "a.parquet": ["<b>a</b> cannot be shown: it is packed with BROTLI", "<td>y</td>", "string"],
        "b.parquet": ["<b>c</b> cannot be shown", ">4</td>"],
        "c.parquet": ["its footer is encrypted"],
    }.items():
        text = owner.talk.get(f"/{owner.repo}/blob/main/{name}", headers=HTML).text
        assert [word for word in words if word not in text] == [], text


def test_a_head_is_made_once_and_shown_only_to_who_may_read(hub: LiveHub, owner: Owner, speak) -> None:
    content = parquet(pa.table({"bird": ["owl"]}))
    owner.talk.commit(owner.repo, small("a.parquet", content)).raise_for_status()
    page = f"/{owner.repo}/blob/main/a.parquet"
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    kept = hub.hub.parts.remembered.once((parquet_head.parquet, oid), lambda: preview("a.csv", b"bird\nkept\n"))
    assert texts(kept) == [["kept"]]
    assert "<td>kept</td>" in owner.talk.get(page, headers=HTML).text
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "manual"}).raise_for_status()
    assert "<td>kept</td>" not in speak(None).get(page, headers=HTML).text


def test_a_binary_table_is_not_edited(owner: Owner) -> None:
    owner.talk.commit(
        owner.repo, small("a.parquet", parquet(pa.table({"a": [1]}))), small("a.csv", b"a\n1\n")
    ).raise_for_status()
    for name, is_offered in {"a.parquet": False, "a.csv": True}.items():
        text = owner.talk.get(f"/{owner.repo}/blob/main/{name}", headers=HTML).text
        assert (f"/edit/main/{name}" in text, "as=text" in text) == (is_offered, is_offered)
