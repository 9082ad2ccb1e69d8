"""`tenuto access` and `tenuto repo settings`, typed by an owner and by others, against a live hub."""

import contextlib
import csv
import os
import secrets
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import PROGRAM, Done, Shell
from tests.server.talk import Talk, small

CARD = b"""---
extra_gated_heading: Access to the voices
extra_gated_prompt: You agree to name the authors.
extra_gated_fields:
  Company: text
  Purpose:
    type: select
    options: [Research, Other]
  I agree: checkbox
---
"""
OTHER_CARD = CARD.replace(b"name the authors", b"praise the authors")
ANSWERS = ("--field", "Company=Echo", "--field", "Purpose=Research", "--field", "I agree=yes")


class Gated(NamedTuple):
    """A gated dataset on a hub, and two people before their terminals."""

    hub: LiveHub
    repo: str
    shell: Shell
    owner: str
    guest: str
    guest_name: str

    def as_owner(self, *words: str) -> Done:
        return self.shell(*words, TENUTO_ENDPOINT=self.hub.url, HF_TOKEN=self.owner)

    def as_guest(self, *words: str) -> Done:
        return self.shell(*words, TENUTO_ENDPOINT=self.hub.url, HF_TOKEN=self.guest)

    def reads(self) -> bool:
        with_token = Talk(self.hub.url, self.guest)
        status = with_token.get(f"/datasets/{self.repo}/resolve/main/a.txt").status_code
        with_token.close()
        return status == 200

    @property
    def address(self) -> str:
        return f"hf://datasets/{self.repo}"


@pytest.fixture
def gated(hub: LiveHub, shell: Shell) -> Gated:
    name, guest = f"owner-{secrets.token_hex(3)}", f"guest-{secrets.token_hex(3)}"
    owner = hub.user(name)
    talk = Talk(hub.url, owner)
    talk.create(f"{name}/voices", kind="dataset").raise_for_status()
    lines = (small("README.md", CARD), small("a.txt", b"text"))
    talk.commit(f"{name}/voices", *lines, kind="datasets").raise_for_status()
    talk.close()
    made = Gated(hub, f"{name}/voices", shell, owner, hub.user(guest), guest)
    assert made.as_owner("repo", "settings", made.address, "--gated", "manual").status == 0
    return made


def test_from_the_question_to_the_bytes_and_back(gated: Gated) -> None:
    asked = gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes")
    assert (asked.status, "have not decided yet" in asked.out) == (1, True)
    (one,) = gated.as_owner("access", "list", gated.address, "--json").json
    assert (one["user"], one["state"], one["fields"]["Company"]) == (gated.guest_name, "pending", "Echo")
    assert f"{gated.guest_name}  pending" in gated.as_owner("access", "list", gated.address).out
    accepted = gated.as_owner("access", "accept", gated.address, gated.guest_name, "--days", "30")
    assert (accepted.status, accepted.out) == (0, f"Let in {gated.guest_name}\n")
    again = gated.as_guest("access", "request", gated.address)
    assert (again.status, "You have access" in again.out, " until 20" in again.out) == (0, True, True)
    assert gated.reads()
    assert gated.as_owner("access", "revoke", gated.address, gated.guest_name, "--reason", "it is over").status == 0
    assert not gated.reads()
    refused = gated.as_guest("access", "request", gated.address, "--json")
    assert (refused.status, refused.error["message"]) == (4, "your access was taken back. They say: it is over")
    assert gated.as_owner("access", "grant", gated.address, gated.guest_name, "--days", "never").status == 0
    assert gated.reads()


def test_what_the_authors_ask_is_told_and_nobody_agrees_by_accident(gated: Gated) -> None:
    lacking = gated.as_guest("access", "request", gated.address)
    assert lacking.status == 2
    assert "the authors ask for 'Company', 'Purpose', 'I agree'" in lacking.err
    assert "--field 'Company=…' --field 'Purpose=Research' --field 'I agree=yes'" in lacking.err
    unread = gated.as_guest("access", "request", gated.address, *ANSWERS)
    assert (unread.status, "You agree to name the authors." in unread.err) == (2, True)
    wrong = gated.as_guest("access", "request", gated.address, *ANSWERS[:4], "--field", "I agree=no", "--yes")
    assert (wrong.status, "'I agree' must be ticked" in wrong.err) == (2, True)
    assert gated.as_guest("access", "request", gated.address, "--field", "Company", "--yes").status == 2
    assert gated.as_owner("access", "list", gated.address, "--json").json == []


def test_without_a_token(gated: Gated) -> None:
    done = gated.shell("access", "request", gated.address, TENUTO_ENDPOINT=gated.hub.url)
    assert (done.status, "tenuto login" in done.err) == (3, True)


def test_taking_a_request_back(gated: Gated) -> None:
    gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes")
    assert gated.as_guest("access", "withdraw", gated.address).status == 0
    assert gated.as_guest("access", "withdraw", gated.address).status == 9
    gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes")
    gated.as_owner("access", "reject", gated.address, gated.guest_name)
    late = gated.as_guest("access", "withdraw", gated.address)
    assert (late.status, "is rejected: it cannot be taken back" in late.err) == (9, True)


def test_who_never_asked_is_let_in_by_a_grant(gated: Gated) -> None:
    for verb in ("accept", "revoke"):
        done = gated.as_owner("access", verb, gated.address, gated.guest_name)
        assert (done.status, "hint: whoever did not ask is let in by a grant" in done.err) == (9, True)
    for verb in ("accept", "grant"):
        nobody = gated.as_owner("access", verb, gated.address, "nobody-here")
        assert (nobody.status, "there is no user nobody-here" in nobody.err, "hint: " in nobody.err) == (9, True, True)
    assert gated.as_owner("access", "grant", gated.address, gated.guest_name).status == 0
    assert gated.as_owner("access", "revoke", gated.address, gated.guest_name).status == 0
    again = gated.as_owner("access", "revoke", gated.address, gated.guest_name)
    assert (again.status, "is revoked already" in again.err) == (9, True)


def test_who_agreed_to_terms_that_changed_is_told_so(gated: Gated) -> None:
    gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes")
    talk = Talk(gated.hub.url, gated.owner)
    talk.commit(gated.repo, small("README.md", OTHER_CARD), kind="datasets").raise_for_status()
    talk.close()
    assert "must agree to the new terms" in gated.as_owner("access", "list", gated.address).out
    accepted = gated.as_owner("access", "accept", gated.address, "--all")
    assert accepted.out == f"{gated.guest_name}: accepted, but must agree to the new terms first\n"
    asked = gated.as_guest("access", "request", gated.address, *ANSWERS)
    for text in ("The terms have changed", "Access to the voices", "You agree to praise the authors."):
        assert text in asked.err
    assert gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes").status == 0
    assert gated.reads()


def test_many_at_once_and_a_file_for_a_spreadsheet(gated: Gated) -> None:
    names = sorted(f"many-{secrets.token_hex(3)}" for _ in range(3))
    for name in names:
        talk = Talk(gated.hub.url, gated.hub.user(name))
        answers = {"Company": "X", "Purpose": "Other", "I agree": True}
        talk.client.post(f"/datasets/{gated.repo}/ask-access", json=answers, follow_redirects=False)
        talk.close()
    some = gated.as_owner("access", "accept", gated.address, names[0], names[1], "nobody-here", "--json")
    assert (some.status, sorted(some.json["done"]), list(some.json["failed"])) == (1, names[:2], ["nobody-here"])
    rest = gated.as_owner("access", "reject", gated.address, "--all", "--reason", "full")
    assert (rest.status, rest.out) == (0, f"Turned away {names[2]}\n")
    assert gated.as_owner("access", "reject", gated.address, "--all").out.startswith("Nobody waits")
    assert gated.as_owner("access", "accept", gated.address).status == 2
    assert gated.as_owner("access", "accept", gated.address, "--all", "x").status == 2
    (Path(gated.shell.project) / "requests.csv").write_text("mine")
    kept = gated.as_owner("access", "list", gated.address, "--csv", "requests.csv")
    assert (kept.status, "add --overwrite" in kept.err) == (1, True)
    assert gated.as_owner("access", "list", gated.address, "--csv", "requests.csv", "--overwrite").status == 0
    with open(Path(gated.shell.project) / "requests.csv", newline="", encoding="utf-8") as file:
        found = {row["user"]: (row["status"], row["Company"]) for row in csv.DictReader(file)}
    assert found == {**dict.fromkeys(names[:2], ("accepted", "X")), names[2]: ("rejected", "X")}
    some = gated.as_owner("access", "list", gated.address, "--state", "rejected", "--csv", "some.csv")
    assert some.status == 0
    with open(Path(gated.shell.project) / "some.csv", newline="", encoding="utf-8") as file:
        assert [row["user"] for row in csv.DictReader(file)] == [names[2]]
    (line,) = gated.as_owner("access", "list", gated.address, "--state", "rejected").out.splitlines()
    reviewer = gated.repo.partition("/")[0]
    assert f"{names[2]}  rejected by {reviewer} (full)" in line
    assert line.endswith("Company: X; Purpose: Other; I agree: yes")


def test_settings_of_a_gate(gated: Gated) -> None:
    done = gated.as_owner("repo", "settings", gated.address, "--gated", "auto", "--grant-days", "7")
    assert (
        done.out == f"{gated.address}: whoever asks may read it\n{gated.address}: whoever is let in stays for 7 days\n"
    )
    asked = gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes", "--json")
    assert (asked.status, asked.json["state"], asked.json["expires_at"] > "2") == (0, "accepted", True)
    assert (
        gated.as_owner("repo", "settings", gated.address, "--takes-requests", "no", "--grant-days", "never").status == 0
    )
    other = gated.shell("access", "request", gated.address, TENUTO_ENDPOINT=gated.hub.url, HF_TOKEN=gated.hub.user())
    assert (other.status, "takes no requests" in other.err) == (4, True)
    assert gated.as_owner("repo", "settings", gated.address, "--private").status == 0
    assert gated.as_guest("access", "request", gated.address).status == 9
    assert gated.as_owner("repo", "settings", gated.address, "--public", "--gated", "off").status == 0
    free = gated.as_guest("access", "request", gated.address, "--json")
    assert (free.status, free.json["passes"]) == (0, True)
    assert gated.as_guest("repo", "settings", gated.address, "--private").status == 4
    assert gated.as_owner("repo", "settings", gated.address, "--grant-days", "0").status == 2


def test_settings_are_told_with_the_number_of_requests(gated: Gated) -> None:
    gated.as_guest("access", "request", gated.address, *ANSWERS, "--yes")
    done = gated.as_owner("repo", "settings", gated.address)
    assert [line.removeprefix(f"{gated.address}: ") for line in done.out.splitlines()] == [
        "everybody sees it",
        "whom you accept may read it",
        "others can ask for access",
        "whoever is let in stays",
        "requests: 1 pending",
    ]
    assert "requests" not in gated.as_guest("repo", "settings", gated.address, "--json").json


def test_a_repo_is_gated_from_the_start(gated: Gated) -> None:
    address = f"{gated.address}-2"
    assert "gated dataset repo" in gated.as_owner("repo", "create", address, "--gated", "manual").out
    assert gated.as_owner("repo", "settings", address, "--json").json["gated"] == "manual"
    talk = Talk(gated.hub.url, gated.owner)
    deeds = talk.get(f"/datasets/{gated.repo}-2/audit").text
    talk.close()
    assert "repo.create" in deeds
    assert "repo.settings" not in deeds, "there was no moment without"


def test_huggingface_co_lets_ask_in_a_browser_only(gated: Gated) -> None:
    done = gated.shell(
        "access", "request", "hf://openai/gated", "--json", TENUTO_ENDPOINT="https://huggingface.co", HF_TOKEN="hf_x"
    )
    assert done.status == 6
    assert done.error["code"] == "NotSupported"
    assert "https://huggingface.co/openai/gated" in str(done.error["hint"])


def test_a_gate_in_the_way_of_a_pull_says_what_opens_it(gated: Gated) -> None:
    gated.as_guest("init")
    refused = gated.as_guest("add", gated.address, "--path", "voices")
    assert refused.status == 4
    assert f"run `tenuto access request {gated.address}`" in refused.err


def at_a_terminal(gated: Gated, typed: str, *words: str) -> tuple[int, str, str]:
    """What a person sees who types: exit status, standard output, and all that the terminal shows."""
    master, slave = os.openpty()
    environment = {**gated.shell.environment, "TENUTO_ENDPOINT": gated.hub.url, "HF_TOKEN": gated.guest}
    command = subprocess.Popen(
        [*PROGRAM, *words], stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=environment, cwd=gated.shell.project
    )
    os.close(slave)
    os.write(master, typed.encode())
    assert command.stdout is not None
    out = command.stdout.read().decode()
    status = command.wait(30)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while block := os.read(master, 4096):
            shown += block
    os.close(master)
    command.stdout.close()
    return status, out, shown.decode()


def test_in_a_terminal_terms_and_questions_are_shown(gated: Gated) -> None:
    refused = at_a_terminal(gated, "Echo\nResearch\ny\nn\n", "access", "request", gated.address)
    assert refused[0] == 130
    assert gated.as_owner("access", "list", gated.address, "--json").json == []
    status, out, shown = at_a_terminal(gated, "Echo\nNone\nother\nwhat\ny\ny\n", "access", "request", gated.address)
    assert (status, "have not decided yet" in out) == (1, True)
    assert "Error:" not in shown
    for text in (
        "Access to the voices",
        "You agree to name the authors.",
        "Company",
        "Research",
        "Do you agree?",
        "error: 'None'",
        "error: 'what'",
    ):
        assert text in shown
    (one,) = gated.as_owner("access", "list", gated.address, "--json").json
    assert one["fields"] == {"Company": "Echo", "Purpose": "Other", "I agree": True}
