"""A browser as far as these tests need one: it keeps cookies, names its origin, and sends forms as they stand on the page."""

import re
from html import unescape

import httpx2

_INPUT = re.compile(r"<input\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


class Window:
    """One window on a hub."""

    def __init__(self, url: str) -> None:
        headers = {"Accept": "text/html", "Origin": url, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
        self.client = httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False, verify=False)
        self.url = url

    def close(self) -> None:
        self.client.close()

    def get(self, path: str, **more) -> httpx2.Response:
        return self.client.get(path, **more)

    def hidden(self, path: str) -> dict[str, str]:
        """What the first form to send at that page carries unseen."""
        text = self.get(path).text
        start = text.index('<form method="post"', text.index('<main id="main"'))
        found = {}
        for match in _INPUT.finditer(text[start : text.index("</form>", start)]):
            attributes = dict(_ATTRIBUTE.findall(match[1]))
            if attributes.get("type") == "hidden":
                found[attributes["name"]] = unescape(attributes["value"])
        return found

    def send(self, page: str, fields: dict[str, str], place: str | None = None, **more) -> httpx2.Response:
        """Send a form of a page, to `place` if it does not go to the page itself."""
        return self.client.post(place or page.partition("?")[0], data={**self.hidden(page), **fields}, **more)

    def sign_in(self, name: str, password: str, page: str = "/login") -> httpx2.Response:
        return self.send(page, {"name": name, "password": password})

    @property
    def cookie(self) -> str | None:
        return self.client.cookies.get("tenuto_session")
