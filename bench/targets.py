"""What is to be reached, row by row: bounds in seconds, and ratios to the machine's limit and to other tools in the same run."""

from typing import NamedTuple

from tenuto.core.human import duration_text, size_text

PEAK_BYTES = 100e6
"""What the client may take in memory, whatever the size of the files."""


class Target(NamedTuple):
    """One bound. `of` says of what: `seconds`, `limit` (ours by the limit), the name of a tool (theirs by ours), or a figure in bytes."""

    of: str
    bound: float

    @property
    def is_peer(self) -> bool:
        """Whether it is a ratio to another tool."""
        return self.of not in {"seconds", "limit"} and not self.of.endswith("_bytes")

    def text(self) -> str:
        """In words."""
        if self.of == "seconds":
            return f"<= {duration_text(self.bound)}"
        if self.of == "limit":
            return f"<= {self.bound:g}x limit"
        if self.is_peer:
            return f">= {self.bound:g}x {self.of}"
        return f"{self.of.removesuffix('_bytes')} <= {size_text(round(self.bound))}"

    def holds(self, figures: dict[str, float | None]) -> bool | None:
        """Whether it is reached, by figures under the same names (`seconds` is ours); None if something was not measured."""
        ours, other = figures.get("seconds"), figures.get(self.of)
        if ours is None or other is None:
            return None
        if self.of == "limit":
            return ours <= self.bound * other
        return other >= self.bound * ours if self.is_peer else other <= self.bound


def targets(*, seconds: float | None = None, limit: float | None = None, **others: float) -> tuple[Target, ...]:
    """Bounds by keyword; `hub` is huggingface_hub, `hf` its command, `floor` the limit as if it were a tool, `cp` a copy and then a sha256."""
    names = {"hub": "huggingface_hub", "hf": "hf download", "floor": "the limit", "cp": "cp + sha256"}
    found = [Target("seconds", seconds)] if seconds else []
    found += [Target("limit", limit)] if limit else []
    return (*found, *(Target(names.get(name, name), bound) for name, bound in others.items()))


MIB = 1 << 20
TARGETS: dict[tuple[str, str], tuple[Target, ...]] = {
    ("start", "version"): targets(seconds=0.07),
    ("start", "help"): targets(seconds=0.07),
    ("W1", "track"): targets(seconds=0.25, dvc=4),
    ("W2", "track"): targets(limit=1.15, dvc=2.5),
    ("W2", "push"): targets(cp=0.7),
    ("W2", "pull"): targets(floor=0.6, hf=1.2),
    ("W2", "verify"): targets(limit=1.2),
    ("W2", "insert"): targets(sent_bytes=2 * MIB, grown_bytes=2 * MIB),
    ("W3", "track"): targets(seconds=0.85, limit=2, dvc=8),
    ("W3", "status"): targets(seconds=0.2, dvc=5),
    ("W3", "push"): targets(seconds=5, dvc=1),
    ("W3", "pull"): targets(seconds=4, dvc=2.5, hub=10),
    ("W3", "pull again"): targets(seconds=0.2),
    ("W3", "frozen"): targets(seconds=0.2),
    ("W3", "verify"): targets(limit=2),
    ("W3", "checkout"): targets(seconds=0.5, dvc=4),
    ("W3", "track again"): targets(seconds=0.25, dvc=6),
    ("W4", "track"): targets(seconds=0.6, dvc=6),
    ("W4", "pull"): targets(seconds=2, dvc=2),
}


def verdicts(workload: str, step: str, figures: dict[str, float | None], scale: float) -> str:
    """Every target of a row with how it stands: met, MISSED or not measured; smaller files say nothing about targets for the full size."""
    words: dict[bool | None, str] = {True: "met", False: "MISSED", None: "not measured"}
    counts = scale == 1 or workload == "start"
    return "; ".join(
        f"{target.text()}: {words[target.holds(figures)] if counts else 'for scale 1'}"
        for target in TARGETS.get((workload, step), ())
    )
