"""Fault 17: no text at the head of a README keeps a parser busy for long."""

import json
import subprocess
import sys

from tenuto.server.repos.card import FRONT_MATTER_BYTES

_READ = """
import json, resource, sys
from tenuto.server.repos.card import CardError, read_card
from tenuto.server.pages.overview import without_front_matter
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
for name, text in json.load(sys.stdin).items():
    print(name, flush=True)
    try:
        read_card(text)
    except CardError:
        pass
    without_front_matter(text)
"""
"""Says which text it reads, and is killed if it computes for far longer than all of them need."""
LENGTH = FRONT_MATTER_BYTES - 100
TEXTS = {
    "no end": "---\n" + "\n" * 1_000_000,
    "an opening that goes on": "---" + " \t" * 500_000,
    "spaces before it": " \n" * 500_000 + "---",
    "openings": "---\n" * 200_000,
    "closings that are none": "---\na: 1\n" + ("---" + " " * 1000 + "x\n") * 60,
    "returns": "---\r\n" + "\r" * LENGTH + "\r\n---\r\n",
    "a number to the base of 60": "---\na: 1" + ":1" * (LENGTH // 6) + "\n---\n",
    "digits": "---\na: " + "1" * LENGTH + "\n---\n",
    "a fraction": "---\na: 1" + "_1" * (LENGTH // 2) + ".\n---\n",
    "a power": "---\na: 1e" + "9" * LENGTH + "\n---\n",
    "a date": "---\na: 2001-1-1" + " " * LENGTH + "x\n---\n",
    "lists": "---\na: [" + "[]," * (LENGTH // 12) + "]\n---\n",
    "lists in lists": "---\na: " + "[" * LENGTH + "\n---\n",
    "dashes in dashes": "---\n" + "- " * (LENGTH // 2) + "\n---\n",
    "questions": "---\n" + "? " * (LENGTH // 2) + "\n---\n",
    "the same key": "---\n" + "a: b\n" * (LENGTH // 20) + "---\n",
    "colons": "---\na" + ":" * LENGTH + "\n---\n",
    "marks": "---\na: " + "!" * LENGTH + "\n---\n",
    "percent signs": "---\na: !<" + "%41" * (LENGTH // 3) + "> x\n---\n",
    "a folded text": "---\na: >\n" + "  x\n" * (LENGTH // 4) + "---\n",
    "escapes": '---\na: "' + "\\n" * (LENGTH // 2) + '"\n---\n',
    "merges": "---\n<<: {" + ",".join(f"a{number}: 1" for number in range(LENGTH // 40)) + "}\n---\n",
    "anchors": "---\n" + "".join(f"a{number}: &a{number} x\n" for number in range(LENGTH // 20)) + "---\n",
}


def test_front_matter_costs_little() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _READ], input=json.dumps(TEXTS), capture_output=True, text=True, check=False
    )
    told = done.stdout.splitlines()
    assert done.returncode == 0, f"{told[-1:]} {done.stderr[-1000:]}"
    assert told == list(TEXTS)
