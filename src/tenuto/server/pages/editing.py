"""Write a file in the browser, see it as it will be read, and save it; and upload some small files."""

from typing import NamedTuple

from tenuto.core.errors import ConflictError, UsageError
from tenuto.server.content.commits import find_branch
from tenuto.server.git.objects import DEFAULT_BRANCH, GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.http.multipart import is_multipart, read_multipart
from tenuto.server.hub import Parts
from tenuto.server.pages.card_check import README, Checked, FormPreview, check_card, preview_form
from tenuto.server.pages.content import File, Shelf, find_file
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.markdown import markdown_html
from tenuto.server.pages.overview import without_front_matter
from tenuto.server.pages.putting import NewFile, put
from tenuto.server.pages.render import Html, count_text, place_url, redirect, repo_url, size_text, weight
from tenuto.server.pages.telling import Told, telling

EDIT_BYTES = 48 << 10
_PAGE_BYTES = 75_000
FORM_BYTES = 1 << 20
UPLOAD_BYTES = 24 << 20
_MOST_NAMED = 3


class Draft(NamedTuple):
    """What somebody writes, and what is said of it; `parent` is the commit it was begun from."""

    text: str
    parent: str
    summary: str = ""
    preview: Html | None = None
    access: FormPreview | None = None
    fault: str = ""
    warning: str = ""
    is_late: bool = False
    """Whether somebody else was faster."""


def edit(parts: Parts, call: Call) -> Answer:
    """The form in which a file is written; an empty one if there is none yet."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        _, head = find_branch(git, page.revision)
        file = find_file(git, head, call.params["path"])
        text = _text_of(Shelf(parts, git), file) if file else ""
        return _form(page, Draft(text, head.oid))


def _text_of(shelf: Shelf, file: File) -> str:
    if file.size > EDIT_BYTES:
        raise UsageError(
            f"{file.path[:200]} is too large to be written here", code="TooLarge", hint="write it on your machine"
        )
    try:
        text = shelf.head(file, EDIT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.path[:200]} is no text", hint="upload another file in its place") from error
    if weight(text) > _PAGE_BYTES:
        raise UsageError(
            f"{file.path[:200]} has too many signs that a page must write as several",
            code="TooLarge",
            hint="write it on your machine",
        )
    return text


def save(parts: Parts, call: Call) -> Answer:
    """Commit what was written, or show it; if somebody else was faster, nothing is lost: the form comes back and says so."""
    form = call.form()
    if "text" not in form:
        raise UsageError("the form brings no text")
    draft = Draft(form["text"].replace("\r\n", "\n"), form.get("parent", ""), form.get("summary", ""))
    path, revision = call.params["path"], call.params["rev"]
    if len(draft.text.encode()) > EDIT_BYTES:
        raise UsageError(f"a text that is written here may have {size_text(EDIT_BYTES)}", code="TooLarge")
    checked = _checked(parts, call, path, draft.text)
    if form.get("deed") == "preview":
        seen = draft._replace(preview=_preview(call, draft.text), access=preview_form(call, checked.form))
        return _again(parts, call, seen._replace(fault=checked.fault, warning=checked.warning))
    if checked.fault or (checked.warning and checked.warning != form.get("sure")):
        return _again(parts, call, draft._replace(fault=checked.fault, warning=checked.warning))
    try:
        put(
            parts,
            call,
            revision,
            [NewFile(path, draft.text.encode())],
            draft.summary or f"Update {path}",
            draft.parent or None,
        )
    except ConflictError:
        fault = "Somebody changed this branch while you wrote. Look at what changed, then save again: your text replaces it."
        return _again(parts, call, draft._replace(parent=_head(parts, call), fault=fault, is_late=True))
    is_card = path == README and revision == DEFAULT_BRANCH
    return redirect(repo_url(call.repo.id) if is_card else place_url(call.repo.id, "blob", revision, path))


def _checked(parts: Parts, call: Call, path: str, text: str) -> Checked:
    if path != README:
        return Checked()
    with parts.database.read() as connection:
        return check_card(parts, connection, call, text)


def _head(parts: Parts, call: Call) -> str:
    with parts.database.read() as connection:
        return find_branch(GitReader(connection, call.repo.key, parts.cache), call.params["rev"])[1].oid


def _preview(call: Call, text: str) -> Html | None:
    path = call.params["path"]
    if not path.lower().endswith(".md"):
        return None
    return markdown_html(without_front_matter(text), call.repo.id, call.params["rev"], path.rpartition("/")[0])


def _again(parts: Parts, call: Call, draft: Draft) -> Answer:
    with parts.database.read() as connection:
        return _form(RepoPage(call, GitReader(connection, call.repo.key, parts.cache)), draft)


def _form(page: RepoPage, draft: Draft) -> Answer:
    path = page.call.params["path"]
    status = 409 if draft.is_late else 400 if draft.fault else 200
    more = {"revision": page.revision, "path": path, "has_preview": path.lower().endswith(".md")}
    return page.render("edit.html", "files", status=status, **draft._asdict(), **more)


def upload_form(parts: Parts, call: Call) -> Answer:
    """The form by which small files are uploaded into a folder."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        find_branch(git, page.revision)
        folder = call.params.get("path", "").strip("/")
        return page.render("upload.html", "files", revision=page.revision, path=folder, most_bytes=UPLOAD_BYTES)


def upload(parts: Parts, call: Call) -> Answer:
    """Commit the files of the form to a folder. Raises UsageError (BadRequest, BadPath, TooLarge)."""
    kind = call.headers.get("content-type", "")
    if not is_multipart(kind):
        raise UsageError("this form brings no files", hint="choose some files, then send it")
    form = read_multipart(kind, call.body)
    folder = form.fields.get("folder", call.params.get("path", "")).strip("/ ")
    files = [NewFile(f"{folder}/{_base(one.name)}".lstrip("/"), one.content) for one in form.files if one.name]
    if not files:
        raise UsageError("no file was chosen", hint="choose some files, then send the form")
    for card in (one for one in files if one.path == README):
        if fault := _checked(parts, call, README, card.content.decode(errors="replace")).fault:
            raise UsageError(f"{README}: {fault}", hint="mend it, then upload it again")
    words = f"Upload {files[0].path}" if len(files) == 1 else f"Upload {len(files)} files"
    replaced = _there(parts, call, files)
    put(parts, call, call.params["rev"], files, form.fields.get("summary", "").strip() or words)
    place = place_url(call.repo.id, "tree", call.params["rev"], folder)
    return redirect(telling(parts, call, place, Told(_uploaded(files, replaced))))


def _there(parts: Parts, call: Call, files: list[NewFile]) -> list[str]:
    """Which of these paths hold something already."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        _, head = find_branch(git, call.params["rev"])
        return [one.path for one in files if git.find(head.tree, one.path)]


def _uploaded(files: list[NewFile], replaced: list[str]) -> str:
    """What is said of an upload."""
    done = f"Uploaded {count_text(len(files), 'file')}."
    if not replaced:
        return done
    named, more = ", ".join(path[:80] for path in replaced[:_MOST_NAMED]), len(replaced) - _MOST_NAMED
    return f"{done} Replaced what was there: {named}{f' and {more} more' if more > 0 else ''}. The history keeps it."


def _base(name: str) -> str:
    """The last part of a name, whatever system it comes from."""
    return name.replace("\\", "/").rpartition("/")[2]
