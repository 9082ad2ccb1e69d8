"""`.dvc` files of every age are read; what was never recorded, or is damaged, is refused with a reason."""

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.dvcfile import Out, parse_dvc
from tenuto.core.errors import UsageError

MD5 = "a304afb96060aad90176268345e10355"


@pytest.mark.parametrize(
    ("text", "outs"),
    [
        (f"outs:\n- md5: {MD5}\n  size: 14\n  hash: md5\n  path: model.pt\n", [Out("model.pt", MD5, False)]),
        (f"outs:\n- md5: {MD5}.dir\n  size: 1\n  nfiles: 2\n  path: data\n", [Out("data", f"{MD5}.dir", True)]),
        (
            f"outs:\n  - path: a\n    md5: {MD5}\n  - path: b\n    md5: {MD5}\n",
            [Out("a", MD5, True), Out("b", MD5, True)],
        ),
        (f"wdir: ..\nouts:\n- md5: {MD5}\n  path: x/y\n", [Out("../x/y", MD5, True)]),
        (f"outs:\n- md5: {MD5}\n  path: 'it''s a name: # 1'\n", [Out("it's a name: # 1", MD5, True)]),
        (f'outs:\n- md5: "{MD5}"   # as of today\n  path: "\\u00e9 b"\n', [Out("é b", MD5, True)]),
        (
            f"# a note\n---\nouts:\n- md5: {MD5}\n  path: long name\n    goes on\n",
            [Out("long name goes on", MD5, True)],
        ),
        (
            (
                "md5: 2c6ee24b09816a6f14f95d1698b24ead\nfrozen: true\ndeps:\n- path: https://host/a\n  size: 3\n  checksum: '\"5\"'\n"
                f"outs:\n- md5: {MD5}\n  path: a\n  cache: true\n  persist: false\nmeta:\n  who: me\n  tags:\n  - one\n  - two: 2\n"
            ),
            [Out("a", MD5, True)],
        ),
        (f"desc: |\n  several\n  lines: 1\nouts:\n- md5: {MD5}\n  path: a\n", [Out("a", MD5, True)]),
    ],
)
def test_what_dvc_writes(text: str, outs: list[Out]) -> None:
    assert parse_dvc(text) == outs
    full = yaml.safe_load(text)
    assert [out.md5 for out in outs] == [out["md5"] for out in full["outs"]]
    assert [out.path.removeprefix(f"{full.get('wdir')}/") for out in outs] == [out["path"] for out in full["outs"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no YAML as DVC writes it"),
        ("outs:\n- md5: null\n  path: checkpoints\n", "checkpoints has no md5: DVC never recorded what it is"),
        ("outs:\n- md5:\n  path: checkpoints\n", "checkpoints has no md5"),
        ("outs:\n- path: checkpoints\n", "checkpoints has no md5"),
        ("outs:\n- path: d\n  files:\n  - relpath: a\n", "d has a files instead of an md5"),
        ("outs:\n- path: s3://b/a\n  etag: abc\n", "has a etag instead of an md5"),
        ("outs:\n- md5: abc\n  path: a\n", "a has an md5 that is none: 'abc'"),
        (f"outs:\n- md5: ../../{MD5}\n  path: a\n", "has an md5 that is none"),
        (f"outs:\n- md5: {MD5}\n", "an out has no path"),
        (f"outs:\n-\n  md5: {MD5}\n  path: a\n", "an out has no path"),
        ("outs: []\n", "it names no outs"),
        ("deps:\n- path: a\n", "it names no outs"),
        ("just text\n", "no YAML as DVC writes it"),
        ("<<<<<<< HEAD\nouts:\n", "no YAML as DVC writes it"),
        (f"outs:\n- md5: {MD5}\n  path: 'a\n", "is no text as DVC writes it"),
        (f"outs:\n- md5: {MD5}\n  path: a\n  path: b\n", "it has 'path' twice"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_dvc(text)
    assert caught.value.hint


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200
).filter(str.strip)


@given(names=st.lists(NAMES, min_size=1, max_size=4), wide=st.booleans())
def test_it_reads_names_as_a_whole_yaml_library_does(names: list[str], wide: bool) -> None:
    text = yaml.safe_dump(
        {"outs": [{"md5": MD5, "size": 3, "path": name} for name in names]},
        allow_unicode=True,
        width=4096 if wide else 80,
    )
    try:
        found = parse_dvc(text)
    except UsageError:
        return  # refused, such as a folded text with escapes, and never read wrongly
    assert [out.path for out in found] == names


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_dvc(text)
