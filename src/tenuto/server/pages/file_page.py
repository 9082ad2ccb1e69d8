"""The page of a file: its facts, and as much of its content as can be shown without running anything of it."""

from collections.abc import Callable
from typing import TypeAlias

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import Source
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages import parquet_head, previews, tables, weights
from tenuto.server.pages.changed import Recent
from tenuto.server.pages.content import File, Shelf, find_file
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.gate_form import gate_box
from tenuto.server.pages.previews import Preview
from tenuto.server.pages.tree import ref_names

Look: TypeAlias = Callable[[Source, File, Call], Preview | None]
_LOOKS: dict[str, Look] = {
    **dict.fromkeys(("csv", "tsv"), tables.separated),
    **dict.fromkeys(("jsonl", "ndjson"), tables.json_lines),
    "parquet": parquet_head.parquet,
    **dict.fromkeys(("bin", "ckpt", "joblib", "pickle", "pkl", "pt", "pth"), previews.inspected),
    "json": previews.json_tree,
    "safetensors": weights.tensors,
    "md": previews.markdown,
    **dict.fromkeys(("wav", "flac", "mp3", "ogg"), previews.sound),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), previews.picture),
}
_REMEMBERED = {parquet_head.parquet}
"""What takes long, and depends on the bytes of a file alone."""


def blob(parts: Parts, call: Call) -> Answer:
    """The page of a file at a revision."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        commit = page.commit()
        path = call.params["path"]
        recent = Recent(git, commit, path.rpartition("/")[0])
        file = find_file(git, commit, path)
        if file is None:
            raise NotFoundError(f"there is no file {path[:300]} at {page.revision[:100]}", code="EntryNotFound")
        preview, fault = _preview(parts, Shelf(parts, git), file, call) if page.rights.reads else (None, "")
        return page.render(
            "blob.html",
            "files",
            commit=commit,
            revision=page.revision,
            path=file.path,
            file=file,
            preview=preview,
            fault=fault,
            changed=recent.last_changes([file.name]).get(file.name),
            names=ref_names(git, file.path),
            gate=gate_box(parts, call, page.git),
        )


def _preview(parts: Parts, shelf: Shelf, file: File, call: Call) -> tuple[Preview | None, str]:
    """What can be shown of a file, and why not more; whatever is in it."""
    look = previews.text if call.text("as") == "text" else _LOOKS.get(file.ending, previews.text)
    try:
        with shelf.source(file) as source:

            def see() -> Preview | None:
                found = look(source, file, call)
                return found if found or look is previews.inspected else previews.inspected(source, file, call)

            return parts.remembered.once((look, file.blob.oid), see) if look in _REMEMBERED else see(), ""
    except FormatError as error:
        if error.code == "NotAllChecked":
            return None, f"This file cannot be shown here: {error}"
        return None, f"This file is not what its name says: {error}"
    except (NotFoundError, IntegrityError) as error:
        return None, error.message
