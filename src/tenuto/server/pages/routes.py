"""The routes of the pages. A page that fails tells so on a page, to a browser; other programs get JSON as everywhere."""

from tenuto.server.access import Action
from tenuto.server.pages import (
    assets,
    audit_log,
    editing,
    file_page,
    finding,
    gate_requests,
    history_page,
    home,
    insights,
    overview,
    profile,
    repo_settings,
    storage,
    talk,
    talking,
    tree,
)
from tenuto.server.routing import SMALL_BODY_BYTES, Handler, Route

_REPO = "/{W}/{namespace}/{name}"


def page_routes() -> list[Route]:
    """The table."""
    return [
        Route("GET", "/static/{file}", Action.SERVE, assets.serve_asset),
        _page("/", Action.BROWSE, home.home),
        _page("/models", Action.BROWSE, finding.find_models),
        _page("/datasets", Action.BROWSE, finding.find_datasets),
        _page("/spaces", Action.BROWSE, finding.find_spaces),
        _page("/{namespace}", Action.BROWSE, profile.profile),
        *_repo_pages(),
        *_writing_pages(),
        *_gate_pages(),
        *_owner_pages(),
    ]


def _repo_pages() -> list[Route]:
    return [
        _page(_REPO, Action.SEE, overview.overview),
        _page(f"{_REPO}/tree/{{rev}}", Action.SEE, tree.tree),
        _page(f"{_REPO}/tree/{{rev}}/{{path*}}", Action.SEE, tree.tree),
        _page(f"{_REPO}/blob/{{rev}}/{{path*}}", Action.SEE, file_page.blob),
        _page(f"{_REPO}/commits/{{rev}}", Action.SEE, history_page.commits),
        _page(f"{_REPO}/commit/{{rev}}", Action.SEE, history_page.commit),
        _page(f"{_REPO}/compare", Action.SEE, history_page.compare),
        _page(f"{_REPO}/insights", Action.SEE, insights.insights),
        *_talking_pages(),
    ]


def _talking_pages() -> list[Route]:
    talks, small = f"{_REPO}/discussions", talking.FORM_BYTES
    return [
        _page(talks, Action.SEE, talk.discussions),
        Route("POST", talks, Action.DISCUSS, talking.begin, body_bytes=small, page=True),
        _page(f"{talks}/{{num}}", Action.SEE, talk.discussion),
        Route("POST", f"{talks}/{{num}}", Action.DISCUSS, talking.comment, body_bytes=small, page=True),
    ]


def _writing_pages() -> list[Route]:
    edit, upload = f"{_REPO}/edit/{{rev}}/{{path*}}", f"{_REPO}/upload/{{rev}}"
    return [
        _page(edit, Action.WRITE, editing.edit),
        Route("POST", edit, Action.WRITE, editing.save, body_bytes=editing.FORM_BYTES, page=True),
        _page(upload, Action.WRITE, editing.upload_form),
        _page(f"{upload}/{{path*}}", Action.WRITE, editing.upload_form),
        Route("POST", upload, Action.WRITE, editing.upload, body_bytes=editing.UPLOAD_BYTES, page=True),
    ]


def _gate_pages() -> list[Route]:
    access = f"{_REPO}/access"
    return [
        _page(access, Action.ADMINISTER, gate_requests.requests_page),
        Route("POST", access, Action.ADMINISTER, gate_requests.decide, body_bytes=SMALL_BODY_BYTES // 8, page=True),
    ]


def _owner_pages() -> list[Route]:
    make, settings, small = repo_settings.make, f"{_REPO}/settings", repo_settings.FORM_BYTES
    of_form = repo_settings.repo_of_form
    return [
        _page("/new", Action.IDENTIFY, repo_settings.new),
        Route("POST", "/new", Action.CREATE, make, target=of_form, body_bytes=small, page=True),
        _page(settings, Action.ADMINISTER, repo_settings.settings),
        Route("POST", settings, Action.ADMINISTER, repo_settings.save, body_bytes=small, page=True),
        _page(f"{_REPO}/audit", Action.ADMINISTER, audit_log.of_repo),
        _page("/settings/audit", Action.GOVERN, audit_log.of_hub),
        _page(f"{_REPO}/storage", Action.ADMINISTER, storage.of_repo),
        _page("/settings/storage", Action.MANAGE, storage.of_account),
    ]


def _page(pattern: str, action: Action, view: Handler) -> Route:
    return Route("GET", pattern, action, view, page=True)
