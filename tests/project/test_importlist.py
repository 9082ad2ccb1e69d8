"""Lists of repo ids, as people have them."""

import pytest

from tenuto.core.errors import UsageError
from tenuto.project.importlist import import_list
from tenuto.project.workspace import Only, Workspace

SCRIPT = """\
#!/usr/bin/env bash
set -e
declare -a MODELS=(
  "facebook/musicgen-small"
  facebook/encodec_32khz   # 32 kHz
  # "facebook/demucs"
  facebook/musicgen-stereo-small 'facebook/musicgen-style')
DATASET_IDS=('marsyas/gtzan' "google/musiccaps")
for m in "${MODELS[@]}"; do hf download "$m" --local-dir models/$m; done
"""
PYTHON = """\
models = [
    "facebook/musicgen-small",
    "facebook/musicgen-melody",
]
DATASETS = ["marsyas/gtzan"]
"""
TEXT = """\
# Models
facebook/musicgen-small
- hf://facebook/musicgen-large@v1

## Datasets
marsyas/gtzan
datasets/google/musiccaps
"""


def sources(workspace: Workspace) -> list[str | None]:
    """What the manifest has now."""
    return [artifact.source for artifact in workspace.manifest.artifacts.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SCRIPT,
            [
                "facebook/musicgen-small",
                "facebook/encodec_32khz",
                "facebook/musicgen-stereo-small",
                "facebook/musicgen-style",
                "datasets/marsyas/gtzan",
                "datasets/google/musiccaps",
            ],
        ),
        (PYTHON, ["facebook/musicgen-small", "facebook/musicgen-melody", "datasets/marsyas/gtzan"]),
        (
            TEXT,
            [
                "facebook/musicgen-small",
                "facebook/musicgen-large@v1",
                "datasets/marsyas/gtzan",
                "datasets/google/musiccaps",
            ],
        ),
        ("a/b\na/b\n", ["a/b"]),
    ],
    ids=["shell", "python", "text", "twice"],
)
def test_what_is_read(workspace: Workspace, text: str, expected: list[str]) -> None:
    imported = import_list(workspace, text)
    assert sources(workspace) == [f"hf://{one}" for one in expected]
    assert [one.state for one in imported] == ["added"] * len(expected)
    assert [one.state for one in import_list(workspace, text)] == ["known"] * len(expected)


def test_kinds_can_be_chosen(workspace: Workspace) -> None:
    import_list(workspace, SCRIPT, Only(kinds=("dataset",)))
    assert sources(workspace) == ["hf://datasets/marsyas/gtzan", "hf://datasets/google/musiccaps"]
    assert {artifact.kind for artifact in workspace.manifest.artifacts.values()} == {"dataset"}


def test_names_do_not_clash(workspace: Workspace) -> None:
    import_list(workspace, "a/same\nb/same\ndatasets/a/same\n")
    assert list(workspace.manifest.artifacts) == ["same", "b-same", "a-same"]
    paths = [artifact.path for artifact in workspace.manifest.artifacts.values()]
    assert paths == ["models/same", "models/b-same", "datasets/a-same"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "no id here\n", "cd models && hf download x\n"])
def test_a_list_without_an_id_is_an_error(workspace: Workspace, text: str) -> None:
    with pytest.raises(UsageError):
        import_list(workspace, text)
    assert sources(workspace) == []
