"""Fault 17: whatever people upload, a real browser runs nothing of it, by whichever way it comes to it.

Everything that is uploaded here calls home if it runs: by a request for an address that holds `ran`, or a changed title.
"""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Error, Page

from tenuto.testing.live_hub import LiveHub
from tests.hub.scripted import Reply, Seen, serving
from tests.pages.test_hostile import CARDS
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small

Visit = Callable[..., BrowserContext]
RUN = b"document.title='ran';fetch('/ran');new Image().src='/ran-too';alert('ran')"
HTML = (
    b'<!doctype html><html><body onload="'
    + RUN.replace(b"'", b"&#39;")
    + b'"><script>'
    + RUN
    + b"</script></body></html>"
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload=\"" + RUN + b'"><script>' + RUN + b"</script></svg>"
XML = b"<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>" + RUN + b"</x:script>"
SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
FILES = {
    "page.html": HTML,
    "page.htm": HTML,
    "page.xhtml": XML,
    "page.xml": XML,
    "page.svg": SVG,
    "page.svgz": SVG,
    "page.mhtml": b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + HTML,
    "page.hta": HTML,
    "page.js": RUN,
    "page.mjs": RUN,
    "page.css": b"body{background:url(/ran)}",
    "page.swf": b"CWS\x09" + HTML,
    "page.pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert('ran'))>>>>endobj",
    "page": HTML,
    "page.txt": HTML,
    "page.md": HTML,
    "page.csv": HTML,
    "page.json": HTML,
    "page.yaml": HTML,
    "page.py": HTML,
    "page.png": HTML,
    "page.gif": b"GIF89a/*" + HTML + b"*/=1;" + RUN,
    "page.webp": HTML,
    "page.mp3": HTML,
    "page.ogg": HTML,
    "page.wav": SOUND + HTML,
    "page.flac": b"fLaC/*" + HTML + b"*/=1;" + RUN,
    "a&#39;><img src=x onerror=alert(1)>.txt".replace("<", "(").replace(">", ")"): HTML,
}
BLOCKS = [
    "```mermaid\n%%{init: {'securityLevel': 'loose'}}%%\ngraph TD;\nA[\"<img src=x onerror=alert('ran')>\"] --> B\n```",
    "<div class=\"mermaid\">graph TD; A[<img src=x onerror=alert('ran')>]</div><pre class=mermaid>graph TD; click A call alert()</pre>",
    "$\\href{javascript:alert('ran')}{x}$ $$\\htmlData{x=1}{y} \\url{javascript:alert('ran')}$$ \\(\\href{javascript:alert(1)}{x}\\)",
    "```math\n\\href{javascript:alert('ran')}{x}\n```\n<math><mtext><img src=x onerror=alert('ran')></mtext></math>",
    "<script type=\"text/x-mathjax-config\">alert('ran')</script><script type=module>alert('ran')</script>",
    "<a href=\"javascript:alert('ran')\">x</a> [y](javascript:alert('ran')) <a href='data:text/html,<script>alert(1)</script>'>z</a>",
    '<img src="page.svg"> ![x](page.svg) ![y](data:image/svg+xml;base64,PHN2Zy8+) <object data=page.svg></object><embed src=page.svg>',
    "<iframe src=page.html></iframe><iframe srcdoc=\"<script>alert('ran')</script>\"></iframe><frame src=page.html>",
    '<link rel=stylesheet href=page.css><style>@import url(/ran)</style><p style="background:url(/ran)">x</p>',
    "<meta http-equiv=refresh content='0;url=/ran'><base href='//elsewhere.invalid/'>",
    "<form action=/ran><button formaction=/ran autofocus onfocus=alert('ran')>x</button></form><input autofocus onfocus=alert('ran')>",
    "<details open ontoggle=alert('ran')>x</details><video src=/ran onerror=alert('ran')></video><audio src=/ran></audio>",
]


ACTIVE = "script, iframe, object, embed, math, video, svg image, form[action*=ran], [onclick], [onerror], [onload]"


class Watched:
    """A window, and whatever showed that something ran in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.add_init_script(
            "window.alert = said => fetch(`/ran-and-said-${said}`)"
        )  # a dialog would hold everything up
        page.context.on("request", lambda one: self.faults.append(one.url) if "/ran" in one.url else None)

    def open(self, url: str) -> bool:
        """Whether it is shown, and not a file to keep."""
        try:
            self.page.goto(url, wait_until="load")
        except Error as error:
            if "Download is starting" not in str(error):
                raise
            return False
        if self.page.title() == "ran":
            self.faults.append(f"{url} changed its title")
        return True


@pytest.fixture(scope="module")
def keeper(hub: LiveHub) -> Iterator[Owner]:
    """A repo of all of that: small files in git, and all of them once more as large objects."""
    token = hub.user("keeper")
    talk = Talk(hub.url, token)
    talk.create("keeper/evil").raise_for_status()
    lines = [small(name, data) for name, data in FILES.items()]
    lines += [large(f"large/{name}", talk.put_large("keeper/evil", data), len(data)) for name, data in FILES.items()]
    lines += [small(f"cards/{number}.md", text.encode()) for number, text in enumerate((*BLOCKS, *CARDS))]
    lines.append(small("README.md", "\n\n".join(BLOCKS).encode()))
    talk.commit("keeper/evil", *lines).raise_for_status()
    yield Owner("keeper", token, talk, "keeper/evil")
    talk.close()


@pytest.fixture
def window(visit: Visit) -> Watched:
    return Watched(visit().new_page())


def test_the_watch_sees_what_runs(window: Watched) -> None:
    with serving(lambda seen: Reply(200, HTML, {"Content-Type": "text/html"})) as server:
        window.open(server.url)
        window.page.wait_for_load_state("networkidle")
    assert {f"{server.url}/{name}" for name in ("ran", "ran-too", "ran-and-said-ran")} <= set(window.faults)


NAMES = list(FILES)
SOME = ["page.html", "page.svg", "page.xml", "page.js", "page", "page.txt", "page.wav", "page.png"]
NEVER_SHOWN = {"page.html", "page.htm", "page.xhtml", "page.svg", "page.xml", "page.js", "page.mjs", "page.pdf", "page"}


@pytest.mark.parametrize(
    ("view", "folder", "names"),
    [
        ("resolve", "", NAMES[:10]),
        ("resolve", "", NAMES[10:20]),
        ("resolve", "", NAMES[20:]),
        ("resolve", "large/", SOME),
        ("raw", "", SOME),
        ("raw", "large/", SOME),
    ],
)
def test_no_file_runs_where_it_is_opened(
    hub: LiveHub, keeper: Owner, window: Watched, view: str, folder: str, names: list[str]
) -> None:
    shown = [name for name in names if window.open(f"{hub.url}/{keeper.repo}/{view}/main/{folder}{quote(name)}")]
    assert window.faults == []
    assert not NEVER_SHOWN & set(shown)
    assert ("page.txt" in shown) is ("page.txt" in names)


def test_no_link_to_an_object_runs(hub: LiveHub, keeper: Owner, window: Watched) -> None:
    for name in ("page.html", "page.svg", "page.wav", "page"):
        listed = keeper.talk.listing(keeper.repo)[f"large/{name}"]["lfs"]
        (found,) = keeper.talk.batch(keeper.repo, (listed["oid"], listed["size"]), operation="download").json()[
            "objects"
        ]
        assert window.open(found["actions"]["download"]["href"]) is False
    assert window.faults == []


PLACES = [
    "",
    "/tree/main",
    *(f"/blob/main/cards/{number}.md" for number in range(len(BLOCKS) + len(CARDS))),
    *(f"/blob/main/{name}" for name in ("page.html", "page.svg", "page.wav", "page.gif")),
]


@pytest.mark.parametrize("part", range(4))
def test_no_page_of_a_file_and_no_card_runs(hub: LiveHub, keeper: Owner, window: Watched, part: int) -> None:
    for path in PLACES[part::4]:
        assert window.open(f"{hub.url}/{keeper.repo}{path}")
        links = window.page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)")
        assert not [one for one in links if not one.startswith(("http:", "https:", "mailto:"))], path
        assert window.page.locator(f"main :is({ACTIVE})").count() == 0
    assert window.faults == []


def test_formulas_and_diagrams_are_text(hub: LiveHub, keeper: Owner, window: Watched) -> None:
    window.open(f"{hub.url}/{keeper.repo}/blob/main/cards/0.md")
    assert "graph TD;" in window.page.inner_text("main")
    window.open(f"{hub.url}/{keeper.repo}/blob/main/cards/2.md")
    assert "\\href{javascript:alert('ran')}{x}" in window.page.inner_text("main")


LOADERS = {
    "script": "url => { const one = document.createElement('script'); one.src = url; document.head.append(one); }",
    "module": "url => { import(url).catch(() => {}); }",
    "worker": "url => { try { new Worker(url); } catch {} }",
    "service worker": "url => { navigator.serviceWorker.register(url).catch(() => {}); }",
    "style": "url => { const one = document.createElement('link'); one.rel = 'stylesheet'; one.href = url; document.head.append(one); }",
    "frame": "url => { const one = document.createElement('iframe'); one.src = url; document.body.append(one); }",
    "object": "url => { const one = document.createElement('object'); one.data = url; document.body.append(one); }",
    "picture": "url => { const one = document.createElement('img'); one.src = url; document.body.append(one); }",
}


NEAR, FAR = "a page of the hub", "a page of somebody else"
LOADED = ["page.js", "page.mjs", "page.txt", "page.json", "page.gif", "page.flac", "page.css", "page.html", "page.svg"]


@pytest.mark.parametrize(
    ("how", "where"),
    [*((how, NEAR) for how in LOADERS), *((how, FAR) for how in ("script", "module", "style", "picture"))],
)
def test_no_file_is_a_script_for_a_page(hub: LiveHub, keeper: Owner, window: Watched, how: str, where: str) -> None:
    """Where a page was already broken into, files of a repo are still none of its scripts, though they come from the same host."""
    with serving(blank) as other:
        window.open(hub.url if where == NEAR else other.url)
        for name in LOADED:
            for folder in ("", "large/"):
                window.page.evaluate(LOADERS[how], f"{hub.url}/{keeper.repo}/resolve/main/{folder}{name}")
        window.page.wait_for_load_state("networkidle")
    assert window.faults == []
    assert window.page.title() != "ran"


def blank(_seen: Seen) -> Reply:
    """A page of somebody who forbids nothing."""
    return Reply(
        200, b"<!doctype html><html lang=en><title>other</title><body></body></html>", {"Content-Type": "text/html"}
    )


def test_what_is_loaded_would_run_if_it_came_as_a_script(window: Watched) -> None:
    """So that the test above can fail: the same loaders, and a server that says what the files are."""
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}

    def answer(seen: Seen) -> Reply:
        name = seen.path.rpartition("/")[2]
        kind = kinds.get(name.rpartition(".")[2], "text/html")
        return Reply(200, FILES.get(name, b"<!doctype html><title>other</title>"), {"Content-Type": kind})

    for how, name in (
        ("script", "page.js"),
        ("module", "page.js"),
        ("style", "page.css"),
        ("frame", "page.html"),
        ("object", "page.svg"),
    ):
        with serving(answer) as server:
            window.faults.clear()
            window.open(server.url)
            window.page.evaluate(LOADERS[how], f"{server.url}/{name}")
            for _ in range(1000):
                if not window.faults:
                    window.page.wait_for_timeout(10)
            assert window.faults, how
