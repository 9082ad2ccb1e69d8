"""The routes of the pages. A page that fails tells so on a page, to a browser; other programs get JSON as everywhere."""

from tenuto.server.access import Action
from tenuto.server.pages import assets, home
from tenuto.server.routing import Route


def page_routes() -> list[Route]:
    """The table."""
    return [
        Route("GET", "/static/{file}", Action.SERVE, assets.serve_asset),
        Route("GET", "/", Action.BROWSE, home.home, page=True),
    ]
