"""What the hub says to programs, said to people: whole sentences."""

import re

from tenuto.core.errors import TenutoError

_OPENER = re.compile(
    "(?:a|an|another|ask|begin|cannot|choose|close|free|gated|give|it|leave|load|look|make|mend|name|no|nobody|nothing|one|only"
    "|open|say|sign|somebody|take|tell|that|the|there|these|this|those|too|try|type|use|wait|was|what|whoever|write|you|your)(?=[ ,])"
)
"""Words that a message may begin with; anything else there is the name of somebody or something, and stays as it is."""


def sentence(text: str) -> str:
    """A message with a capital at its beginning, unless it begins with a name, and with a full stop at its end."""
    text = text.strip()
    if _OPENER.match(text):
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in ".!?:…" else f"{text}."


def said_of(error: TenutoError) -> str:
    """What a page says of a failure."""
    if error.code == "RevisionNotFound":
        name = error.message.partition(": ")[2]
        return f"This repository has no branch, tag or commit called “{name}”." if name else sentence(error.message)
    return sentence(error.message)
