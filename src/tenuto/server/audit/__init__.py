"""Who did what to which repo, from where, and when: a chain of rows that is only ever added to (decision 21)."""

from tenuto.server.audit.deeds import Deed
from tenuto.server.audit.trail import Fact, Origin, command_line, record

__all__ = ["Deed", "Fact", "Origin", "command_line", "record"]
