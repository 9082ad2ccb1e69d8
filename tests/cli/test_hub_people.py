"""`tenuto hub user | org | service | token`, as somebody on the machine of the hub types them."""

import re

from inline_snapshot import snapshot

from tests.cli.conftest import Shell

TOKEN = re.compile(r"hf_[A-Za-z0-9]{30,}")


def hub(shell: Shell, *words: str):
    return shell("hub", *words, "--data", "hub-data")


def test_an_organization_from_first_to_last(shell: Shell) -> None:
    for name in ("ann", "bob"):
        hub(shell, "user", "add", name)
    assert hub(shell, "org", "add", "acme", "--admin", "ann").out == "Made the organization acme, administered by ann\n"
    assert hub(shell, "org", "set", "acme", "bob", "--role", "write").out == "bob may write in acme\n"
    assert hub(shell, "org", "members", "acme", "--json").json == [
        {"user": "ann", "right": "admin"},
        {"user": "bob", "right": "write"},
    ]
    assert str(hub(shell, "org", "remove", "acme", "ann")) == snapshot("""\
exit status 1
--- err ---
error: ann is the last one who administers acme
hint: let another member administer it first
""")
    assert hub(shell, "org", "remove", "acme", "bob").out == "bob belongs to acme no longer\n"
    assert hub(shell, "org", "list").out == "acme  1 members\n"
    assert hub(shell, "org", "members", "ann").status == 9


def test_a_service_and_its_token(shell: Shell) -> None:
    hub(shell, "user", "add", "ann", "--full-name", "Ann Example")
    assert hub(shell, "service", "add", "bot", "--for", "ann", "--role", "write").status == 0
    assert hub(shell, "service", "list").out == "bot  may write for ann\n"
    assert hub(shell, "service", "set", "bot", "--role", "read").out == "bot may read\n"
    made = hub(
        shell, "token", "create", "bot", "--role", "fine-grained", "--scope", "ann=read", "--days", "3", "--json"
    )
    assert made.json.keys() == {"user", "role", "id", "token"}
    assert TOKEN.fullmatch(made.json["token"])
    (listed,) = hub(shell, "token", "list", "bot", "--json").json
    assert (listed["role"], listed["scopes"]) == ("fine-grained", [{"on": "ann", "right": "read"}])
    assert listed["expires"] > listed["created"]
    wider = ("--scope", "ann=read", "--scope", "bot=write", "--reads-gated")
    hub(shell, "token", "create", "bot", "--role", "fine-grained", *wider)
    shown = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "[MINUTE]", hub(shell, "token", "list", "bot").out)
    assert shown == snapshot("""\
2  fine-grained (read on ann)  token  last used never, expires [MINUTE] UTC
3  fine-grained (read on ann, write on bot, gates of others)  token  last used never, expires never
""")
    assert made.json["token"] not in str(hub(shell, "token", "list", "bot"))
    assert hub(shell, "token", "revoke", str(listed["id"])).status == 0
    assert hub(shell, "token", "revoke", str(listed["id"])).status == 9
    assert hub(shell, "token", "create", "bot", "--role", "fine-grained", "--scope", "ann").status == 2
    assert hub(shell, "token", "create", "bot", "--role", "fine-grained").status == 2


def test_an_account_is_closed_and_opened(shell: Shell) -> None:
    hub(shell, "user", "add", "ann")
    assert str(hub(shell, "user", "disable", "ann")) == snapshot("""\
exit status 0
--- out ---
ann is disabled: none of its tokens is good; its name stays taken
""")
    assert hub(shell, "user", "list", "--json").json[1] == {
        "name": "ann",
        "full_name": "",
        "admin": False,
        "disabled": True,
    }
    assert hub(shell, "user", "enable", "ann").status == 0
    assert hub(shell, "user", "disable", "admin").status == 1
    assert hub(shell, "user", "set", "ann", "--admin", "--full-name", "Ann").status == 0
    assert hub(shell, "user", "disable", "admin").status == 0
    assert hub(shell, "user", "list").out == snapshot("""\
admin  administers the hub  disabled
ann  Ann  administers the hub
""")


def test_a_password_comes_from_a_pipe_and_shows_nowhere(shell: Shell) -> None:
    hub(shell, "user", "add", "ann")
    secret = "four words stand here"
    done = shell("hub", "user", "password", "ann", "--data", "hub-data", stdin=f"{secret}\n")
    assert (done.status, done.out) == (0, "Set the password of ann\n")
    weak = shell("hub", "user", "password", "ann", "--data", "hub-data", stdin="hunter2\n")
    assert weak.status == 2
    assert not [word for word in (secret, "hunter2") if word in f"{done} {weak}"]


def test_links_for_new_people_and_for_lost_passwords(shell: Shell) -> None:
    hub(shell, "user", "add", "ann")
    made = hub(shell, "user", "invite", "--url", "https://hub.example.org/", "--json").json
    assert re.fullmatch(r"https://hub\.example\.org/join\?code=hf_\w{43}", made["link"])
    guessed = hub(shell, "user", "invite", "ann")
    assert re.fullmatch(r"http://127\.0\.0\.1:8010/join\?code=hf_\w{43}\n", guessed.out)
    said = "The address http://127.0.0.1:8010 is a guess: say with --url at which one people reach this hub\n"
    assert guessed.err.endswith(said)
    assert "guess" not in hub(shell, "user", "invite", "ann", "--url", "https://hub.example.org").err
    assert hub(shell, "user", "invite", "--org", "nobody").status == 9
    assert hub(shell, "user", "invite", "--days", "400").status == 2
    assert hub(shell, "user", "invite", "--role", "admin").status == 2, "where?"


def test_who_is_there_is_not_invited_into_an_organization_but_made_a_member(shell: Shell) -> None:
    for name in ("ann", "bob"):
        hub(shell, "user", "add", name)
    hub(shell, "org", "add", "choir", "--admin", "ann")
    refused = hub(shell, "user", "invite", "Bob", "--org", "choir", "--role", "write")
    assert (refused.status, refused.out) == (1, "")
    assert "bob has an account already" in refused.err
    assert "tenuto hub org set choir bob --role write" in refused.err
    hub(shell, "org", "set", "choir", "bob", "--role", "write")
    assert "bob  write" in hub(shell, "org", "members", "choir").out


def test_issuers_are_reached_by_https_or_on_this_machine(shell: Shell) -> None:
    hub(shell, "user", "add", "ann")
    hub(shell, "service", "add", "bot", "--for", "ann", "--role", "write")

    def trust(issuer: str):
        return hub(shell, "service", "trust", "bot", "--issuer", issuer, "--claim", "repository=ann/x")

    for issuer in (
        "http://evil.example",
        "http://10.0.0.1",
        "http://localhost.evil.example:8080",
        "HTTP://evil.example",
    ):
        refused = trust(issuer)
        assert (refused.status, refused.out) == (2, "")
        assert "is not reached by https" in refused.err
        assert "hint: name the issuer by https" in refused.err
    assert hub(shell, "service", "rules", "--json").json == []
    for issuer in ("http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080", "https://ci.example"):
        assert trust(issuer).status == 0, issuer


def test_jobs_that_are_trusted(shell: Shell) -> None:
    hub(shell, "user", "add", "ann")
    hub(shell, "service", "add", "bot", "--for", "ann", "--role", "write")
    issuer = "https://ci.example"
    made = hub(shell, "service", "trust", "bot", "--issuer", issuer, "--claim", "repository=ann/x", "--minutes", "10")
    assert made.out == f"Rule 1: jobs of {issuer} may act as bot where repository is ann/x\n"
    assert hub(shell, "service", "rules", "--json").json == [
        {"id": 1, "service": "bot", "issuer": issuer, "claims": {"repository": "ann/x"}, "life_s": 600}
    ]
    assert hub(shell, "service", "trust", "bot", "--issuer", issuer, "--claim", "repository").status == 2
    assert hub(shell, "service", "trust", "ann", "--issuer", issuer, "--claim", "a=b").status == 9
    assert hub(shell, "service", "untrust", "1").status == 0
    assert hub(shell, "service", "untrust", "1").status == 9
