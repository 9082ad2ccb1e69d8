"""Fault 12: a crawler that follows every link of a hub, and asks for what it can guess, finds nothing of what is behind a gate."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import pyarrow
import pyarrow.parquet
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.pages.world import adapter_config, tone, trainer_state, weights
from tests.server.talk import Talk, large, small

SECRET = "jackdaw-of-the-inside"
OPEN = "thrush-of-the-outside"
_MOST_PAGES = 3000
_LINKS = re.compile(r'(?:href|src|action|poster|data-[a-z-]+)="([^"]+)"')
_SAME = re.compile(r"next=|/blob/[0-9a-f]{40}/")
"""What shows the same as another page."""
_PLAYED = re.compile(rb"<(?:img|audio|video|source)[^>]*/resolve/")
LARGE = SECRET.encode() * 30_000
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763c86029000002bc0101a6d5ba1c0000000049454e44ae426082"
)


def parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({SECRET: [1, 2], "b": [SECRET, "y"]}), sink)
    return sink.getvalue()


def contents() -> dict[str, bytes]:
    """Files of every kind that a page looks into; each holds the secret, or something that only its bytes tell."""
    text = SECRET.encode()
    return {
        "notes.txt": text,
        "more.md": b"# " + text,
        "code.py": b"x = '" + text + b"'\n",
        "config.json": json.dumps({SECRET: [SECRET]}).encode(),
        "adapter_config.json": adapter_config(SECRET),
        "trainer_state.json": trainer_state().replace(b"eval_loss", text),
        "scores.csv": b"step," + text + b"\n1,2\n2,3\n",
        "metadata.csv": b"file_name,label\ntrain/wren/0.wav," + text + b"\n",
        "metadata.jsonl": json.dumps({"file_name": "train/wren/0.wav", "label": SECRET}).encode() + b"\n",
        "model.safetensors": weights({SECRET: [2, 2]}, {SECRET: SECRET}),
        "rows.parquet": parquet(),
        "train/wren/0.wav": tone(0.3),
        "picture.png": PICTURE,
        "page.html": b"<p>" + text,
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><text>" + text + b"</text></svg>",
        "pickle.pkl": b"\x80\x04\x8c" + bytes([len(text)]) + text + b".",
        "voices/README.md": b"# " + text,
        "voices/adapter_config.json": adapter_config(SECRET),
    }


class World(NamedTuple):
    hub: LiveHub
    keeper: Talk
    repos: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def world(hub: LiveHub) -> Iterator[World]:
    keeper = Talk(hub.url, hub.user("keeper"))
    repos = (("models", "keeper/model"), ("datasets", "keeper/data"))
    for kind, repo in repos:
        keeper.create(repo, kind=kind.removesuffix("s")).raise_for_status()
        card = f"---\nlicense: mit\ntags: [birds]\n---\n# {OPEN}\n[notes](notes.txt)\n".encode()
        body = [small("README.md", card), *(small(path, data) for path, data in contents().items())]
        prefix = "" if kind == "models" else "datasets/"
        oid = hashlib.sha256(LARGE).hexdigest()
        href = keeper.batch(repo, (oid, len(LARGE)), prefix=prefix).json()["objects"][0]["actions"]["upload"]["href"]
        keeper.put(href, LARGE).raise_for_status()
        keeper.commit(repo, *body, large("m.bin", oid, len(LARGE)), kind=kind).raise_for_status()
        keeper.commit(repo, small("notes.txt", SECRET.encode() * 2), kind=kind).raise_for_status()
        api = f"/api/{kind}/{repo}"
        keeper.post(f"{api}/branch/other", {}).raise_for_status()
        keeper.commit(repo, small("notes.txt", SECRET.encode() * 3), rev="other", kind=kind).raise_for_status()
        keeper.post(f"{api}/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
        keeper.commit(repo, small("notes.txt", SECRET.encode() * 4), rev="refs/pr/1", kind=kind).raise_for_status()
        keeper.client.put(f"{api}/settings", json={"gated": "manual"}).raise_for_status()
    yield World(hub, keeper, repos)
    keeper.close()


def guesses(world: World) -> list[str]:
    """What somebody tries who knows the protocol, the names of all files, and their hashes."""
    found = ["/robots.txt", "/sitemap.xml", f"/api/models?search={SECRET}", f"/models?search={SECRET}", f"/?q={SECRET}"]
    found += [
        f"/{kind}?{key}=keeper&full=true&sort=likes" for kind in ("models", "datasets") for key in ("author", "search")
    ]
    for kind, repo in world.repos:
        api, web = f"/api/{kind}/{repo}", f"/{repo}" if kind == "models" else f"/{kind}/{repo}"
        found += [
            f"{api}{one}"
            for one in ("", "/tree/main?recursive=true&expand=true", "/commits/main", "/refs", "/discussions/1?diff=1")
        ]
        found += [f"{web}/compare?from={a}&to={b}" for a in ("main", "refs/pr/1") for b in ("other", "main")]
        for path in [*contents(), "m.bin"]:
            found += [f"{web}/{view}/main/{quote(path)}" for view in ("blob", "resolve", "raw")]
        for rev in ("other", quote("refs/pr/1", safe="")):
            found += [f"{web}/{view}/{rev}/notes.txt" for view in ("blob", "resolve", "raw")]
        found += [f"{web}/blob/main/config.json?as=text", f"{web}/resolve/main/notes.txt?download=true"]
        for path in ("", "?path=train", "?path=voices"):
            found.append(f"{web}/insights{path}")
    oid = hashlib.sha256(LARGE).hexdigest()
    return [*found, f"/lfs/download/{oid}", f"/lfs/download/{oid}?link=x", f"/xet/v1/reconstructions/{oid}"]


class Crawler:
    """Somebody without a name, or a stranger, who asks for all that pages link to."""

    def __init__(self, talk: Talk, url: str) -> None:
        self._talk, self._url = talk, url
        self.seen: dict[str, int] = {}
        self.texts: dict[str, bytes] = {}

    def crawl(self, first: list[str], *, follow: bool = True) -> None:
        """Ask for all of these, and for what their pages link to."""
        waiting = list(first)
        while waiting:
            path = waiting.pop()
            if path in self.seen:
                continue
            answer = self._talk.get(path, headers={"Accept": "text/html"})
            self.seen[path], self.texts[path] = answer.status_code, answer.content + str(answer.headers).encode()
            assert len(self.seen) < _MOST_PAGES
            if not follow:
                continue
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                waiting += self._links(path, answer.text)
            if "Location" in answer.headers:
                waiting += self._links(path, f'href="{answer.headers["Location"]}"')

    def _links(self, path: str, text: str) -> list[str]:
        places = (urljoin(self._url + path, unescape(link)) for link in _LINKS.findall(text))
        return [self._shortened(place) for place in places if place.startswith(self._url) and not _SAME.search(place)]

    def _shortened(self, place: str) -> str:
        split = urlsplit(place)
        return f"{split.path}?{split.query}" if split.query else split.path


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
def test_a_crawler_gets_nothing_that_is_inside(world: World, speak, who: str) -> None:
    crawler = Crawler(speak(None if who == "nobody" else world.hub.user("stranger")), world.hub.url)
    crawler.crawl(["/", *guesses(world)])
    assert len(crawler.seen) > 300
    assert {status for status in crawler.seen.values() if status >= 500} == set()
    holding = [path for path, text in crawler.texts.items() if SECRET.encode() in text and quote(SECRET) not in path]
    assert holding == []
    assert any(OPEN.encode() in text for text in crawler.texts.values()), "cards are for everybody"
    assert not [path for path, text in crawler.texts.items() if _PLAYED.search(text)]
    assert not [
        path for path, status in crawler.seen.items() if "/m.bin" in path and "/blob/" not in path and status == 200
    ]


def test_the_same_crawler_finds_it_where_it_may(world: World) -> None:
    """So that it would notice: most of what a page makes of a file holds the secret."""
    crawler = Crawler(world.keeper, world.hub.url)
    crawler.crawl([path for path in guesses(world) if path.startswith(("/keeper", "/datasets/keeper"))], follow=False)
    holding = {
        path.partition("?")[0].rpartition("/")[2] for path, text in crawler.texts.items() if SECRET.encode() in text
    }
    pictures = {path.rpartition("/")[2] for path, text in crawler.texts.items() if _PLAYED.search(text)}
    assert {"picture.png", "0.wav"} <= pictures
    wanted = {name.rpartition("/")[2] for name in contents()} - {"0.wav", "picture.png"}
    assert wanted - holding == set()
    assert "insights" in holding
