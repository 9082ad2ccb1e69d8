"""The gate of a repo, seen from a client: what is asked there, asking, and deciding about those who asked (hub-protocol section 9.1)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tenuto.core.errors import NotFoundError, UnavailableError, UsageError
from tenuto.core.ids import RepoId
from tenuto.core.settings import PUBLIC_HUB
from tenuto.hub.remote import Remote

T = TypeVar("T")
State = Literal["pending", "accepted", "rejected", "revoked", "expired", "outdated", "all"]
Verdict = Literal["accepted", "rejected", "revoked"]
_AT_ONCE = 1000
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class Option(msgspec.Struct, frozen=True):
    """One choice of a field."""

    label: str
    value: str


class Field(msgspec.Struct, frozen=True):
    """One question: text, checkbox, date_picker, country or select."""

    name: str
    type: str = "text"
    options: list[Option] = []


class Form(msgspec.Struct, frozen=True):
    """What the authors say and ask; `terms` names what is agreed to, empty if nothing is."""

    heading: str = ""
    prompt: str = ""
    description: str = ""
    fields: list[Field] = []
    terms: str = ""


class Own(msgspec.Struct, frozen=True, rename="camel"):
    """How the caller stands; times as the hub writes them."""

    state: str
    passes: bool
    expires_at: str | None = None
    reason: str | None = None


class Gateway(msgspec.Struct, frozen=True, rename="camel"):
    """A gate as the caller finds it; `own` is None for a caller without a token."""

    gated: bool | str
    takes_requests: bool = True
    grant_days: int | None = None
    form: Form = Form()
    own: Own | None = None
    requests: dict[str, int] | None = None
    """How many there are in each state, for whoever administers the repo."""


class _User(msgspec.Struct, frozen=True):
    user: str = ""


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """A request as those see it who decide about it. Hubs that tell no `state` know its `status` only."""

    request_id: str
    status: str
    timestamp: str
    user: _User = _User()
    state: str = ""
    fields: dict[str, Any] | None = None
    expires_at: str | None = None
    rejection_reason: str | None = None
    granted_by: _User = _User()
    must_agree_anew: bool = False

    @property
    def name(self) -> str:
        """Who asks; empty where the hub does not say."""
        return self.user.user


class Outcome(msgspec.Struct, frozen=True):
    """What became of many decisions: names of those about whom it was decided, and by name why it was not.

    Those of `outdated` were accepted, and have to agree to the terms that hold now before they read.
    """

    done: list[str]
    failed: dict[str, str]
    outdated: list[str] = []


class Terms(msgspec.Struct, frozen=True):
    """What goes with a decision: for how many days it is good (None: for ever; unset: as the repo has it), and why."""

    days: int | UnsetType | None = UNSET
    rejection_reason: str | None = None


class _Failure(msgspec.Struct, frozen=True):
    name: str
    error: str


class _Many(msgspec.Struct, frozen=True):
    done: list[str]
    failed: list[_Failure] = []
    more: bool = False
    outdated: list[str] = []


class _Decided(msgspec.Struct, frozen=True):
    state: str = ""


class GateKeeper:
    """The gate of one repo on a hub, ours or another one."""

    def __init__(self, remote: Remote, repo: RepoId) -> None:
        self._remote, self._repo = remote, repo
        self._requests = f"{repo.api_path}/user-access-request"

    @property
    def page(self) -> str:
        """Where people see the repo."""
        return f"{self._remote.endpoint}/{self._repo.web_path}"

    def gateway(self) -> Gateway:
        """What is asked, and how the caller stands; raises UnavailableError (NotSupported) where that goes by a browser only."""
        if self._remote.endpoint != PUBLIC_HUB:
            try:
                return self._decoded(Gateway, "GET", f"{self._repo.api_path}/access-form")
            except NotFoundError as error:
                if self._remote.session.speaks_pack:
                    raise
                self._remote.info(self._repo, "main")  # it may be the repo that is not there
                raise self._by_browser() from error
        raise self._by_browser()

    def _by_browser(self) -> UnavailableError:
        return UnavailableError(
            f"{self._remote.endpoint} takes requests for access in a browser only",
            code="NotSupported",
            hint=f"open {self.page}, log in as the owner of your token, and ask there",
        )

    def ask(self, answers: Mapping[str, object], terms: str) -> str:
        """Ask, agreeing to the terms of that name; the state that follows. Raises AccessDeniedError, UsageError, ConflictError."""
        query = f"?terms={terms}" if terms else ""
        answer = self._decoded(dict[str, str], "POST", f"{self._repo.web_path}/ask-access{query}", answers)
        return answer.get("state", "")

    def withdraw(self) -> None:
        """Take one's own request back while it is pending; raises NotFoundError (UserNotFound)."""
        self._send("POST", f"{self._requests}/cancel", {})

    def requests(self, state: State) -> Iterator[Request]:
        """The requests in a state, oldest first, page by page; hubs that are not ours know the first three."""
        for page in self._remote.pages(f"{self._requests}/{state}"):
            yield from _decode(page.body, list[Request])

    def report(self, state: State = "all") -> bytes:
        """The requests in a state as CSV."""
        address = f"{self._repo.web_path}/user-access-report?format=csv&state={state}"
        return self._remote.session.request("GET", address).body

    def grant(self, user: str, terms: Terms) -> None:
        """Let an account in, whether it asked or not; raises UsageError if it has access, NotFoundError (UserNotFound)."""
        self._send("POST", f"{self._requests}/grant", {"user": user, **_values(terms)})

    def decide(self, verdict: Verdict, users: Sequence[str], terms: Terms) -> Outcome:
        """Decide about the requests of some accounts; of one, raises what keeps it from that: NotFoundError (UserNotFound), UsageError."""
        done: list[str] = []
        failed: dict[str, str] = {}
        outdated: list[str] = []
        for start in range(0, len(users), _AT_ONCE):
            some = list(users[start : start + _AT_ONCE])
            many = self._decide_many({"status": verdict, "users": some, **_values(terms)}) if len(some) > 1 else None
            if many is None:
                many = self._decide_each(verdict, some, terms, is_one=len(users) == 1)
            done += many.done
            failed |= {one.name: one.error for one in many.failed}
            outdated += many.outdated
        return Outcome(done, failed, outdated)

    def decide_all(self, verdict: Verdict, terms: Terms) -> Outcome:
        """Decide about everything that is pending."""
        done: list[str] = []
        failed: dict[str, str] = {}
        outdated: list[str] = []
        more = True
        while more:
            many = self._decide_many({"status": verdict, "all": True, **_values(terms)})
            if many is None:  # a hub that is not ours
                return self.decide(verdict, [one.name for one in self.requests("pending")], terms)
            done += many.done
            failed |= {one.name: one.error for one in many.failed}
            outdated += many.outdated
            more = many.more
            if more and not many.done:
                raise UnavailableError("the hub says that more wait, and decides about none of them", code="BadAnswer")
        return Outcome(done, failed, outdated)

    def _decide_many(self, body: Mapping[str, object]) -> _Many | None:
        """None from a hub that has no such route."""
        if self._remote.endpoint == PUBLIC_HUB:
            return None
        try:
            return self._decoded(_Many, "POST", f"{self._requests}/handle-many", body)
        except NotFoundError:
            if self._remote.session.speaks_pack:
                raise
            return None

    def _decide_each(self, verdict: Verdict, users: Sequence[str], terms: Terms, *, is_one: bool) -> _Many:
        status = "rejected" if verdict == "revoked" and self._remote.endpoint == PUBLIC_HUB else verdict
        done: list[str] = []
        failed: list[_Failure] = []
        outdated: list[str] = []
        for user in users:
            try:
                body = {"user": user, "status": status, **_values(terms)}
                answer = self._send("POST", f"{self._requests}/handle", body)
                if answer and _decode(answer, _Decided).state == "outdated":
                    outdated.append(user)
                done.append(user)
            except (NotFoundError, UsageError) as error:
                if is_one or error.code == "RepoNotFound" or "not gated" in error.message:
                    raise
                failed.append(_Failure(user, error.message))
        return _Many(done, failed, outdated=outdated)

    def _send(self, method: str, address: str, body: object) -> bytes:
        content = msgspec.json.encode(body)
        return self._remote.session.request(method, address, body=content, headers=_JSON, again=False).body

    def _decoded(self, kind: type[T], method: str, address: str, body: object = None) -> T:
        if body is not None:
            return _decode(self._send(method, address, body), kind)
        return _decode(self._remote.session.request(method, address).body, kind)


def _values(terms: Terms) -> dict[str, object]:
    values: dict[str, object] = {} if terms.days is UNSET else {"days": terms.days}
    return values | ({"rejectionReason": terms.rejection_reason} if terms.rejection_reason else {})


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnavailableError(
            f"the hub's answer cannot be read: {error}", code="BadAnswer", hint="is this the address of a hub?"
        ) from error
