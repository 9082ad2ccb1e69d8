"""Whatever somebody writes into names, cards, files and messages is shown as text, and costs the hub no more than a page."""

import json
import re
import struct
from html.parser import HTMLParser

import pytest

from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.pages.highlight import languages, lines
from tenuto.server.pages.markdown import markdown_html, whole_html
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>{{7*7}}"
REPO = RepoId(RepoKind.MODEL, "a", "b")
TAGS = {
    "script",
    "iframe",
    "object",
    "embed",
    "form",
    "input",
    "style",
    "link",
    "meta",
    "base",
    "svg",
    "math",
    "template",
    "video",
}


class Scan(HTMLParser):
    """What a browser would make of a page: the tags and attributes that could do something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            target = re.sub(r"[\s\0]", "", value or "").lower()
            if name.startswith("on") or name in {"style", "srcdoc"} or target.startswith(("javascript:", "vbscript:")):
                self.faults.append(f"{tag} {name}={value}")
        if tag == "script" and not dict(attrs).get("src", "").startswith("/static/"):
            self.faults.append(tag)


def check(text: str) -> None:
    assert Scan(text).faults == []
    assert "49" not in re.findall(r"\b49\b", text)  # no template was run


CARDS = [
    EVIL,
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,<script>1</script>) <javascript:alert(1)>",
    "[x](&#106;avascript:alert(1)) [y](java\tscript:alert(1)) [z]( javascript:alert(1))",
    '![x](javascript:alert(1)) ![y](x.png"onerror="alert(1)) ![z](https://elsewhere/track.png) ![s](x.svg)',
    "<a href='javascript:alert(1)'>x</a><a href=' &#1; javascript:alert(1)'>y</a><a onclick=alert(1)>z</a>",
    "<div style='position:fixed;inset:0'>x</div><style>*{display:none}</style><base href=//elsewhere><form action=//elsewhere><input></form>",
    "<svg><script>alert(1)</script></svg><math><mi//xlink:href='data:x,<script>alert(1)</script>'></math>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<h1 id=main>x</h1><a name=csrf>y</a><img name=cookie src=x.png>",
    "```html\n<script>alert(1)</script>\n```\n`<img src=x onerror=alert(1)>`",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><object data=x><embed src=x>",
    "| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | [x](javascript:alert(1)) |",
    '# <img src=x onerror=alert(1)> heading\n\n[to it](#"><script>alert(1)</script>)',
]


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_harmless(card: str) -> None:
    html = markdown_html(card, REPO, "main")
    check(html)
    found = {match.lower() for match in re.findall(r"<(\w+)", html)}
    assert not found & TAGS
    assert 'id="main"' not in html
    assert "elsewhere" not in " ".join(re.findall(r'(?:src|action)="[^"]*"', html))


def test_links_and_pictures_of_a_card_lead_into_the_repo() -> None:
    text = "[a](docs/x.md#top) [b](/top.txt) ![c](./img/p.png?x=1) [d](https://elsewhere/x) [e](#A-heading) [f](../../../etc/passwd)"
    text += " ![g](a%20b.PNG)"
    html = markdown_html(text, REPO, "v1/x", "sub")
    assert 'href="/a/b/blob/v1%2Fx/sub/docs/x.md"' in html
    assert 'href="/a/b/blob/v1%2Fx/top.txt"' in html
    assert 'src="/a/b/resolve/v1%2Fx/sub/img/p.png"' in html
    assert '<a href="https://elsewhere/x" rel="nofollow noopener noreferrer">' in html
    assert 'href="#card-a-heading"' in html
    assert 'href="/a/b/blob/v1%2Fx/etc/passwd"' in html
    assert 'src="/a/b/resolve/v1%2Fx/sub/a%20b.PNG"' in html
    assert markdown_html("<h2>x</h2>\n\n## Two words", REPO, "main").count('id="card-two-words"') == 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 45_000,
        "*a " * 20_000,
        "`" * 60_000,
        ">" * 60_000,
        "<" * 60_000,
        "_*" * 30_000,
        "![[]()" * 10_000,
        "&" * 60_000,
        "|a" * 20_000 + "\n" + "|-" * 20_000,
        "#\n" * 30_000,
        "|a|\n|-|\n" * 9_000,
    ],
    ids=lambda text: text[:6],
)
def test_no_card_takes_long_or_becomes_large(text: str) -> None:
    html = markdown_html(text, REPO, "main")
    assert len(html) < 80_000
    assert html.count("\n") <= 7 * 2_000  # lines, of which each may cost as much as a long one


def test_what_is_agreed_to_is_shown_whole_however_it_is_written() -> None:
    for text in ("|a" * 100 + "\n" + "|-" * 100 + "\n" + ("|a" * 100 + "\n") * 300, "<u>&</u>" * 8_000, "[" * 65_000):
        html = whole_html(f"{text}\n\nTHE END", REPO, "main")
        assert "THE END" in html
        assert len(html) < 1_300_000


@pytest.mark.parametrize("language", sorted(languages()))
def test_no_text_makes_the_colours_run_away(language: str) -> None:
    pieces = [
        '"',
        "'",
        "/*",
        "(",
        "[",
        "{{",
        "<",
        "<!--",
        "\\",
        "`",
        "a=",
        "#",
        "$(",
        "r'''",
        "%",
        "- ",
        ": ",
        "|",
        "\t",
        "&#",
        "1e",
        "_" * 50,
        "//",
    ]
    for piece in pieces:
        text = (piece * (1_900 // len(piece)) + "\n") * 2 + piece
        found = lines(text, language)
        assert "\n".join("".join(part for _, part in line) for line in found) == text


def test_front_matter_cannot_be_a_bomb(owner: Owner) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
    )
    for card in (
        f"---\n{bomb}---\n# Still here",
        "---\n" + "[" * 5000 + "\n---\n# Still here",
        "---\n!!python/object/apply:os.system ['x']\n---\n# Still here",
    ):
        owner.talk.commit(owner.repo, small("README.md", card.encode())).raise_for_status()
        answer = owner.talk.get(f"/{owner.repo}", headers=HTML)
        assert answer.status_code == 200
        assert "Still here" in answer.text


def evil_files() -> dict[str, bytes]:
    header = json.dumps(
        {"__metadata__": {EVIL: EVIL}, EVIL: {"dtype": EVIL, "shape": [1], "data_offsets": [0, 4]}}
    ).encode()
    card = f"---\nlicense: {json.dumps(EVIL)}\ntags: [{json.dumps('<script>alert(1)</script>')}]\nlanguage: {{a: 1}}\n---\n{EVIL}"
    return {
        "README.md": card.encode(),
        "e.json": json.dumps({EVIL: [EVIL, {EVIL: EVIL}]}).encode(),
        "e.csv": f'{EVIL.replace(chr(34), "")},b\n<b>,"<script>alert(1)</script>"\n'.encode(),
        "e.safetensors": struct.pack("<Q", len(header)) + header + b"\0" * 4,
        "e.py": f"x = '''{EVIL}'''  # {EVIL}\n".encode(),
        "e.html": EVIL.encode(),
        "e.svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{EVIL}</svg>".encode(),
        "e.md": EVIL.encode(),
        "e.xml": EVIL.encode(),
        "adapter_config.json": json.dumps(
            {"base_model_name_or_path": EVIL + "\n'''", "r": EVIL, "target_modules": [EVIL]}
        ).encode(),
        "trainer_state.json": json.dumps(
            {"log_history": [{"step": i, EVIL: i, "loss": "NaN"} for i in range(3)]}
        ).encode(),
        "train/a'b&c=d/<x>.txt".replace("<", "(").replace(">", ")"): b"x",
    }


def test_nothing_in_a_repo_runs_in_a_page(owner: Owner) -> None:
    files = evil_files()
    header = {"summary": EVIL, "description": EVIL}
    lines_ = [{"key": "header", "value": header}, *[small(name, content) for name, content in files.items()]]
    body = "".join(json.dumps(line) + "\n" for line in lines_)
    kind = {"Content-Type": "application/x-ndjson"}
    owner.talk.post(f"/api/models/{owner.repo}/branch/x<script>alert(1)<", {})
    owner.talk.post(f"/api/models/{owner.repo}/branch/a&b='c'", {}).raise_for_status()
    owner.talk.client.post(f"/api/models/{owner.repo}/commit/main", content=body, headers=kind).raise_for_status()
    opened = owner.talk.post(
        f"/api/models/{owner.repo}/discussions", {"title": EVIL, "description": EVIL, "pullRequest": True}
    )
    opened.raise_for_status()
    views = [
        "",
        "/tree/main",
        "/tree/main/train",
        "/commits/main",
        "/commit/main",
        "/compare?from=main&to=a%26b='c'",
        "/insights",
        "/discussions",
    ]
    views += ["/discussions/1", "/edit/main/e.md", "/upload/main/x%22y"]
    views += [f"/blob/main/{name}{query}" for name in files for query in ("", "?as=text")]
    for view in views:
        answer = owner.talk.get(f"/{owner.repo}{view}", headers=HTML)
        assert answer.status_code == 200, (view, answer.text[:300])
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        check(answer.text)
    check(owner.talk.get(f"/models?search={EVIL}&author={EVIL}&filter={EVIL}", headers=HTML).text)
    check(owner.talk.get("/models", headers=HTML).text)


@pytest.mark.parametrize("name", ["e.html", "e.svg", "e.xml", "e.js", "e.xhtml", "e.pdf", "e"])
def test_active_content_is_a_download(owner: Owner, name: str) -> None:
    owner.talk.commit(owner.repo, small(name, EVIL.encode())).raise_for_status()
    headers = owner.talk.get(f"/{owner.repo}/resolve/main/{name}").headers
    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_strangers_see_no_page_of_a_private_repo(make_owner, speak) -> None:
    owner = make_owner(private=True)
    owner.talk.commit(owner.repo, small("README.md", b"# Hidden words")).raise_for_status()
    for view in (
        "",
        "/tree/main",
        "/blob/main/README.md",
        "/commits/main",
        "/commit/main",
        "/compare",
        "/insights",
        "/discussions",
    ):
        for talk in (speak(None), make_owner().talk):
            answer = talk.get(f"/{owner.repo}{view}", headers=HTML)
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
            assert "Hidden words" not in answer.text
            nothing = talk.get(f"/{owner.name}/no-such-repo{view}", headers=HTML)
            assert nothing.text.replace("no-such-repo", "repo") == answer.text


def test_a_gate_hides_what_is_in_files_and_not_their_names(owner: Owner, make_owner) -> None:
    secret = b"the words behind the gate"
    owner.talk.commit(
        owner.repo,
        small("README.md", b"# For everybody"),
        small("a.txt", secret),
        small("b.json", json.dumps({"k": secret.decode()}).encode()),
        small("c.wav", b"RIFF"),
    ).raise_for_status()
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "manual"}).raise_for_status()
    stranger = make_owner().talk
    assert "For everybody" in stranger.get(f"/{owner.repo}", headers=HTML).text
    for view in (
        "/tree/main",
        "/blob/main/a.txt",
        "/blob/main/b.json",
        "/blob/main/c.wav",
        "/commit/main",
        "/compare?from=main&to=main",
        "/insights",
    ):
        answer = stranger.get(f"/{owner.repo}{view}", headers=HTML)
        assert answer.status_code == 200
        assert secret.decode() not in answer.text
        assert "<audio" not in answer.text
    assert "a.txt" in stranger.get(f"/{owner.repo}/tree/main", headers=HTML).text
    assert secret.decode() in owner.talk.get(f"/{owner.repo}/blob/main/a.txt", headers=HTML).text


def test_a_hash_alone_opens_nothing(make_owner) -> None:
    """A pointer to an object of somebody else, pushed as text, shows nothing of it."""
    one, other = make_owner(private=True), make_owner()
    content = b"only for its owner"
    assert (
        one.talk.client.post(
            f"/{one.repo}/upload/main", files=[("files", ("s.bin", content))], headers=HTML
        ).status_code
        == 303
    )
    listed = {entry["path"]: entry for entry in one.talk.get(f"/api/models/{one.repo}/tree/main").json()}
    oid = listed["s.bin"]["lfs"]["oid"]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    answer = other.talk.client.post(
        f"/{other.repo}/upload/main", files=[("files", ("s.txt", pointer.encode()))], headers=HTML
    )
    assert answer.status_code == 400
