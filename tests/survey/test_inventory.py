"""The inventory: every entry says what is here, and no entry pretends."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tenuto.core.errors import StorageError, UsageError
from tenuto.core.manifest import Artifact, with_artifact
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.verify import verify
from tenuto.project.workspace import Workspace
from tenuto.survey.bom import as_cyclonedx
from tenuto.survey.card import parse_card
from tenuto.survey.changes import inventory_changes, read_inventory
from tenuto.survey.forms import as_csv, as_html
from tenuto.survey.inventory import Survey, schema, survey_folder, survey_project
from tests.survey.test_hfcache import COMMIT, OTHER, cached, put

SCHEMA = json.loads(schema())
README = b"---\ntags: [x]\nlicense: cc-by-nc-4.0\n---\n\n# MusicGen\n\nMakes <b>music</b>. hf_abcdefghijklmnop\n"


def noon() -> float:
    return 1_800_000_000.0


def document(survey: Survey) -> dict[str, Any]:
    """The document as others read it; it satisfies its schema."""
    text = msgspec.json.encode(survey.inventory)
    read: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(read, SCHEMA)
    return read


@pytest.fixture
def place(workspace: Workspace, root: Path) -> Callable[..., Artifact]:
    """Puts an artifact into the project; `commit` is what it is locked at, None for one that is not locked."""

    def make(path: str, files: dict[str, bytes], kind: str = "model", commit: str | None = COMMIT) -> Artifact:
        single = list(files) == [""]
        for name, content in files.items():
            put(root / path / name if name else root / path, content)
            os.utime(root / path / name if name else root / path, (1_000_000_000, 1_000_000_000))
        artifact = Artifact(path, repo=f"hf://a/{os.path.basename(path)}@v1", kind=kind, file=single)
        workspace.write_manifest(with_artifact(workspace.manifest_text, path, artifact))
        if commit:
            listing = scan(workspace, artifact).listing
            workspace.store.put(listing.text)
            workspace.write_lock(locked(path, artifact, listing, commit, "apache-2.0"))
        return artifact

    return make


def status_of(workspace: Workspace) -> dict[str, tuple[str, str | None]]:
    items = [*document(survey_project(workspace))["models"], *document(survey_project(workspace))["datasets"]]
    return {item["name"]: (item["status"], item["detail"]) for item in items}


def test_an_artifact_with_all_its_facts(workspace: Workspace, place: Callable[..., Artifact]) -> None:
    place("models/small", {"w.safetensors": b"w" * 2000, "README.md": README, "c.json": b"{}"})
    verify(workspace, clock=noon)
    assert document(survey_project(workspace, clock=noon)) == {
        "version": 1,
        "generated_at": "2027-01-15T08:00:00Z",
        "models": [
            {
                "name": "models/small",
                "kind": "model",
                "folder_name": "small",
                "repo_id": "a/small",
                "source": "hf://a/small@v1",
                "revision": "v1",
                "snapshot": COMMIT,
                "digest": workspace.lock.artifacts["models/small"].digest,
                "local_path": "models/small",
                "size_bytes": 2002 + len(README),
                "size": "2.1 kB",
                "files_count": 3,
                "license": "apache-2.0",
                "status": "present",
                "detail": None,
                "verified_at": "2027-01-15T08:00:00Z",
                "readme_excerpt": "# MusicGen Makes music . [token]",
                "top_files": [
                    {"path": "w.safetensors", "size_bytes": 2000},
                    {"path": "README.md", "size_bytes": len(README)},
                    {"path": "c.json", "size_bytes": 2},
                ],
            }
        ],
        "datasets": [],
        "totals": {
            "models_bytes": 2002 + len(README),
            "models_files": 3,
            "models_size": "2.1 kB",
            "datasets_bytes": 0,
            "datasets_files": 0,
            "datasets_size": "0 B",
        },
    }


def test_no_artifact_pretends(workspace: Workspace, root: Path, place: Callable[..., Artifact]) -> None:
    for name in ("whole", "edited", "part", "gone", "broken", "odd"):
        place(f"m/{name}", {"a": b"a", "b": b"b"})
    place("m/unlocked", {"a": b"a"}, commit=None)
    place("m/never", {}, commit=None)
    (root / "m/hollow").mkdir()
    place("m/hollow", {})
    place("d/one.wav", {"": b"sound"}, kind="dataset")
    (root / "m/edited/a").write_bytes(b"A")
    (root / "m/part/a").unlink()
    for file in (root / "m/gone").iterdir():
        file.unlink()
    (root / "m/broken/a").unlink()
    (root / "m/broken/a").symlink_to("nowhere")
    (root / "m/odd/up").symlink_to("..")
    assert status_of(workspace) == {
        "m/whole": ("present", None),
        "m/edited": ("changed", "1 file not as locked"),
        "m/part": ("partial", "1 of 2 files missing"),
        "m/gone": ("missing", None),
        "m/broken": ("partial", "1 link to nothing, such as m/broken/a"),
        "m/odd": ("failed", "m/odd/up is a symbolic link to a folder, not a file"),
        "m/unlocked": ("present", "not locked"),
        "m/never": ("missing", "it was never fetched: the lock does not have it"),
        "m/hollow": ("empty", "the lock pins no file"),
        "d/one.wav": ("present", None),
    }
    findings = {item.name for item in survey_project(workspace).inventory.items if item.is_finding}
    assert findings == {"m/part", "m/gone", "m/broken", "m/odd", "m/never", "m/hollow"}


def test_an_edit_takes_the_verification_away(workspace: Workspace, root: Path, place: Callable[..., Artifact]) -> None:
    place("m", {"a": b"a", "b": b"b"})
    verify(workspace, clock=noon)
    assert survey_project(workspace).inventory.items[0].verified_at
    os.utime(root / "m/a")
    assert survey_project(workspace).inventory.items[0].verified_at is None, "read since, and not verified"


def test_one_kind_alone(workspace: Workspace, place: Callable[..., Artifact]) -> None:
    place("m", {"a": b"a"}, kind="adapter")
    place("d", {"a": b"a"}, kind="dataset")
    models = document(survey_project(workspace, kinds=["models"]))
    assert models.keys() == {"version", "generated_at", "models", "totals"}
    assert models["totals"] == {"models_bytes": 1, "models_files": 1, "models_size": "1 B"}
    assert [item["name"] for item in document(survey_project(workspace, kinds=["datasets"]))["datasets"]] == ["d"]
    assert [item["name"] for item in document(survey_project(workspace, ["d"]))["models"]] == []


def workspace_of_others(top: Path) -> Path:
    """A folder as a download script leaves it: two ids that exist, one that was cut off, two that do not exist."""
    small = cached(
        top / "models/facebook/facebook_musicgen-small/models--facebook--musicgen-small",
        {"w.safetensors": b"w" * 3000, "README.md": README},
    )
    cached(small, {"w.safetensors": b"w" * 3000, "new.json": b"{}"}, OTHER, "refs-pr-1")
    cut = cached(top / "datasets/marsyas_gtzan/datasets--marsyas--gtzan", {"a.wav": b"1", "b.wav": b"2"})
    next(iter((cut / "blobs").iterdir())).unlink()
    put(top / "datasets/polyfloyd_fma/datasets--polyfloyd--fma/refs/main", COMMIT.encode())
    (top / "datasets/ionosphere_maestro").mkdir()
    return top


def test_a_folder_of_others(tmp_path: Path) -> None:
    survey = survey_folder(str(workspace_of_others(tmp_path)), clock=noon)
    read = document(survey)
    assert [(item["repo_id"], item["snapshot"], item["revision"], item["status"]) for item in read["models"]] == [
        ("facebook/musicgen-small", COMMIT, "main", "present"),
        ("facebook/musicgen-small", OTHER, "refs-pr-1", "present"),
    ]
    assert [(item["name"], item["status"], item["files_count"]) for item in read["datasets"]] == [
        ("datasets/ionosphere_maestro", "empty", 0),
        ("marsyas/gtzan", "partial", 1),
        ("polyfloyd/fma", "empty", 0),
    ]
    assert (read["models"][0]["license"], read["models"][0]["size_bytes"]) == ("cc-by-nc-4.0", 3000 + len(README))
    assert read["totals"]["models_bytes"] == 3002 + len(README), "the weights of both snapshots are the same bytes"
    assert read["totals"]["models_files"] == 3
    assert str(tmp_path) not in json.dumps(read)


def test_an_odd_name_fits_the_schema(tmp_path: Path) -> None:
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/models/m/\xff\n.bin")))
    put(tmp_path / "models/m/a\\b:c.bin")
    put(tmp_path / "models/m/...bin")
    paths = [file["path"] for file in document(survey_folder(str(tmp_path)))["models"][0]["top_files"]]
    assert sorted(paths) == ["...bin", "\\xff\n.bin", "a\\b:c.bin"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("local_path", "/abs/olute"),
        ("local_path", "C:/repos/x"),
        ("local_path", "C:\\repos\\x"),
        ("local_path", "a/../b"),
        ("local_path", ".."),
        ("snapshot", "main"),
        ("status", "fine"),
        ("files_count", 0),
        ("size_bytes", -1),
        ("source", "https://name:secret@host/x"),
        ("source", "https://host/x?token=1"),
        ("token", "hf_x"),
    ],
)
def test_the_schema_refuses(tmp_path: Path, key: str, value: object) -> None:
    read = document(survey_folder(str(workspace_of_others(tmp_path))))
    read["models"][0][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read, SCHEMA)


def test_the_schema_wants_both_lists_to_have_totals(tmp_path: Path) -> None:
    read = document(survey_folder(str(workspace_of_others(tmp_path))))
    del read["totals"]["models_bytes"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read, SCHEMA)


def test_the_page_of_the_format_names_every_key_and_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats" / "inventory.md").read_text(encoding="utf-8")
    item = SCHEMA["$defs"]["item"]
    for word in [*item["properties"], *item["properties"]["status"]["enum"], *SCHEMA["properties"]]:
        assert f"| `{word}` |" in page, word
    assert item["required"] == list(item["properties"])


def test_what_changed_since_an_older_inventory(tmp_path: Path) -> None:
    top = workspace_of_others(tmp_path / "w")
    written = put(tmp_path / "old.json", msgspec.json.encode(survey_folder(str(top), clock=noon).inventory))
    assert inventory_changes(read_inventory(str(written)), survey_folder(str(top)).inventory).same
    cached(top / "models/facebook/facebook_musicgen-small/models--facebook--musicgen-small", {}, "a" * 40)
    put(top / "models/models--facebook--musicgen-small-2/snapshots" / ("b" * 40) / "w.bin")
    put(top / "datasets/marsyas_gtzan/datasets--marsyas--gtzan/snapshots" / COMMIT / "more.wav")
    shutil.rmtree(top / "datasets/ionosphere_maestro")
    report = inventory_changes(read_inventory(str(written)), survey_folder(str(top)).inventory)
    assert (report.same, report.since) == (False, "2027-01-15T08:00:00Z")
    assert [(change.name, change.change, change.fields) for change in report.changes] == [
        ("datasets/ionosphere_maestro", "removed", {}),
        ("marsyas/gtzan", "changed", {"files_count": (1, 2), "size_bytes": (1, 2)}),
        ("facebook/musicgen-small", "changed", {"revision": ("main", None)}),
        ("facebook/musicgen-small-2", "added", {}),
    ]
    models = survey_folder(str(top), ["models"]).inventory
    assert {change.kind for change in inventory_changes(read_inventory(str(written)), models).changes} == {"model"}


def test_what_is_no_inventory(tmp_path: Path) -> None:
    for text in (b"", b"[]", b'{"version": 1}', b'{"models": [{"repo_id": "facebook"}]}'):
        with pytest.raises(UsageError, match="is no inventory"):
            read_inventory(str(put(tmp_path / "old.json", text)))
    with pytest.raises(StorageError):
        read_inventory(str(tmp_path / "nowhere"))


def test_as_a_table(tmp_path: Path) -> None:
    cached(tmp_path / "models--a--b", {"README.md": b'=HYPERLINK("x")', "w.bin": b"1"})
    (row,) = csv.DictReader(io.StringIO(as_csv(survey_folder(str(tmp_path)).inventory)))
    assert (row["repo_id"], row["files_count"], row["status"]) == ("a/b", "2", "present")
    assert row["readme_excerpt"] == '\'=HYPERLINK("x")'


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_as_a_page(tmp_path: Path) -> None:
    put(tmp_path / "models/<script>alert(1)<|script>/w.bin")
    cached(tmp_path / "models/models--a--b", {"README.md": b"1 < 2 & so on", "w.bin": b"1"})
    page = _Page()
    page.feed(as_html(survey_folder(str(tmp_path)).inventory))
    assert "script" not in page.tags
    assert page.tags.count("tr") == 4
    assert "<script>alert(1)" in page.text
    assert "1 < 2 & so on" in page.text


def test_as_a_bill_of_materials(workspace: Workspace, place: Callable[..., Artifact]) -> None:
    place("models/small", {"w.safetensors": b"w" * 20})
    place("songs", {"a.wav": b"a"}, kind="dataset", commit=None)
    bill = json.loads(as_cyclonedx(survey_project(workspace, clock=noon), "1.0", "https://hub.example"))
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    model, data = bill["components"]
    entry = workspace.lock.artifacts["models/small"]
    assert (model["type"], model["group"], model["name"], model["version"]) == (
        "machine-learning-model",
        "a",
        "small",
        COMMIT,
    )
    assert model["purl"] == f"pkg:huggingface/a/small@{COMMIT}?repository_url=https://hub.example"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["hashes"] == [{"alg": "SHA-256", "content": entry.digest}]
    (file,) = model["components"]
    assert file["name"] == "w.safetensors"
    assert len(file["hashes"][0]["content"]) == 64
    assert data["type"] == "data"
    assert "licenses" not in data
    references = [one["bom-ref"] for part in bill["components"] for one in (part, *part.get("components", ()))]
    assert len(set(references)) == len(references) == 4


def test_the_purl_of_a_dataset_on_the_public_hub(tmp_path: Path) -> None:
    cached(tmp_path / "datasets--marsyas--gtzan", {"a.wav": b"1", "README.md": b"---\nlicense: [other]\n---\n"})
    (data,) = json.loads(as_cyclonedx(survey_folder(str(tmp_path)), "1.0"))["components"]
    assert data["purl"] == f"pkg:huggingface/marsyas/gtzan@{COMMIT}?repo_type=dataset"
    assert data["licenses"] == [{"license": {"name": "other"}}]
    assert [file["name"] for file in data["components"]] == ["README.md", "a.wav"]


@pytest.mark.parametrize(
    ("text", "license_name", "excerpt"),
    [
        ("", None, None),
        ("---\nlicense: mit\n---\n", "mit", None),
        ("---\r\nlicense: 'mit'\r\n---\r\nHello\r\n", "mit", "Hello"),
        ("---\nlicense:\n- cc-by-4.0\n- mit\n---\nHello", "cc-by-4.0", "Hello"),
        ("---\nmodel: x\n  license: mit\n---\nHello", None, "Hello"),
        ("license: mit\n", None, "license: mit"),
        ("---\nnever closed", None, "--- never closed"),
        ("a ![picture](x.png) <!-- not\nthis --> b", None, "a b"),
    ],
)
def test_cards(text: str, license_name: str | None, excerpt: str | None) -> None:
    assert parse_card(text) == (license_name, excerpt)


def test_a_long_card_is_cut_between_words() -> None:
    excerpt = parse_card("word " * 1000).excerpt
    assert excerpt is not None
    assert excerpt.endswith("word…")
    assert len(excerpt) <= 301
