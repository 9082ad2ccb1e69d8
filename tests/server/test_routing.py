"""Routes are found on the raw path; `%2F` stays inside its segment."""

import pytest

from tenuto.core.errors import UsageError
from tenuto.server.access import Action
from tenuto.server.accounts import check_namespace
from tenuto.server.routes import make_routes
from tenuto.server.routing import Route, Router


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(make_routes())


def words(router: Router, method: str, path: str) -> tuple[str, dict[str, str]]:
    found = router.find(method, path)
    assert found is not None, path
    route, params = found
    return route.pattern.rpartition("{name}")[2], params


BOB = {"namespace": "bob", "name": "m"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/bob/m/resolve/main/a/b.txt", {"kind": "model", "rev": "main", "path": "a/b.txt"}),
        ("/models/bob/m/resolve/main/a", {"kind": "model", "rev": "main", "path": "a"}),
        ("/datasets/bob/m/resolve/main/a", {"kind": "dataset", "rev": "main", "path": "a"}),
        (
            "/spaces/bob/m/resolve/feat%2Fone/a%20b/%23%25.txt",
            {"kind": "space", "rev": "feat/one", "path": "a b/#%.txt"},
        ),
        ("/bob/m/resolve/refs%2Fpr%2F1/a", {"kind": "model", "rev": "refs/pr/1", "path": "a"}),
        ("/bob/m/resolve/refs/pr/1/a/b", {"kind": "model", "rev": "refs/pr/1", "path": "a/b"}),
        ("/bob/m/resolve/refs/convert/parquet/x", {"kind": "model", "rev": "refs/convert/parquet", "path": "x"}),
        ("/bob/m/resolve/refs/other/x", {"kind": "model", "rev": "refs", "path": "other/x"}),
        ("/bob/m/resolve/main/%C3%A9%E2%82%AC", {"kind": "model", "rev": "main", "path": "é€"}),
        ("/bob/m/resolve/main/a%2Fb", {"kind": "model", "rev": "main", "path": "a/b"}),
        ("/bob/m/resolve/main/a+b", {"kind": "model", "rev": "main", "path": "a+b"}),
    ],
)
def test_resolve(router: Router, path: str, expected: dict[str, str]) -> None:
    assert words(router, "GET", path) == ("/resolve/{rev}/{path*}", {**BOB, **expected})
    assert words(router, "HEAD", path) == ("/resolve/{rev}/{path*}", {**BOB, **expected})


@pytest.mark.parametrize(
    ("method", "path", "pattern", "expected"),
    [
        ("GET", "/api/models/bob/m", "", {}),
        ("GET", "/api/models/bob/m/tree/main", "/tree/{rev}", {"rev": "main"}),
        ("GET", "/api/models/bob/m/tree/main/a%20b%2Fc", "/tree/{rev}/{path*}", {"rev": "main", "path": "a b/c"}),
        ("GET", "/api/models/bob/m/tree/main/a/c", "/tree/{rev}/{path*}", {"rev": "main", "path": "a/c"}),
        ("GET", "/api/models/bob/m/tree/refs/pr/2/a", "/tree/{rev}/{path*}", {"rev": "refs/pr/2", "path": "a"}),
        ("GET", "/api/models/bob/m/refs", "/refs", {}),
        ("POST", "/api/models/bob/m/branch/feat%2Fone", "/branch/{branch}", {"branch": "feat/one"}),
        ("POST", "/bob/m.git/info/lfs/objects/batch", ".git/info/lfs/objects/batch", {}),
    ],
)
def test_others(router: Router, method: str, path: str, pattern: str, expected: dict[str, str]) -> None:
    assert words(router, method, path) == (pattern, {**BOB, "kind": "model", **expected})


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/api",
        "/api/modelss",
        "/api/trucks/bob/m",
        "/bob/m/resolve",
        "/bob/m/resolve/main",
        "/bob/.git/info/lfs/objects/batch",
        "/api/models/bob/m/",
    ],
)
def test_no_route(router: Router, path: str) -> None:
    assert router.find("GET", path) is None


def test_what_the_hub_has_a_word_for_is_no_namespace() -> None:
    words = {part for route in make_routes() if (part := route.pattern.split("/")[1]) and "{" not in part}
    assert "api" in words
    for word in words:
        with pytest.raises(UsageError):
            check_namespace(word)


def test_another_method_is_another_route(router: Router) -> None:
    assert router.find("PATCH", "/api/models/bob/m") is None
    assert router.find("GET", "/api/repos/create") is None


@pytest.mark.parametrize("path", ["/bob/m/resolve/main/%FF", "/bob/m/resolve/%C3/x", "/bob/m/resolve/main/\xff"])
def test_what_is_not_utf8_is_refused(router: Router, path: str) -> None:
    with pytest.raises(UsageError):
        router.find("GET", path)


def test_two_routes_cannot_be_the_same() -> None:
    routes = [Route("GET", "/a/{x}", Action.SERVE, lambda parts, call: None) for _ in range(2)]  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="the same"):
        Router(routes)
