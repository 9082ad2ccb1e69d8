"""How one text became another, as hunks of `git diff`: lines that were taken away, added, and a few that stayed around them.

The shortest way is looked for, as E. W. Myers describes it (An O(ND) Difference Algorithm and Its Variations, 1986). What it takes grows with
what changed, not with the texts; where it would be too much, the rest of one text is shown in place of the rest of the other.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

FILE_STEPS = 50_000
_CONTEXT = 3
_NO_NEWLINE = "\n\\ No newline at end of file"


class Block(NamedTuple):
    """A run of lines that both texts have: where it begins in the old one and in the new one, and how many they are."""

    old: int
    new: int
    length: int


class Hunks(NamedTuple):
    """The lines of the hunks, and the steps that were needed to find them."""

    lines: list[str]
    steps: int


_Edit: TypeAlias = "tuple[Block, Block]"  # what stays before it and behind it
_Chain: TypeAlias = "tuple[Block, _Chain] | None"  # the last block first


def lines_of(text: str) -> list[str]:
    """The lines of a text. The last one is another one where no newline ends it, and says so as git does."""
    *lines, last = text.split("\n")
    return [*lines, last + _NO_NEWLINE] if last else lines


def hunks(old: Sequence[str], new: Sequence[str], most_steps: int = FILE_STEPS) -> Hunks:
    """What changed between the lines `old` and the lines `new`, after about `most_steps` steps at most."""
    ids: dict[str, int] = {}
    before, after = ([ids.setdefault(line, len(ids)) for line in lines] for lines in (old, new))
    start = _same(before, after)
    end = _same(before[start:][::-1], after[start:][::-1])
    chain, steps = _common(before[start : len(old) - end], after[start : len(new) - end], most_steps)
    inner = [Block(start + one.old, start + one.new, one.length) for one in _unrolled(chain)]
    blocks = [Block(0, 0, start), *inner, Block(len(old) - end, len(new) - end, end)]
    edits = [(one, other) for one, other in pairwise(blocks) if (_end(one)) != (other.old, other.new)]
    lines = [line for group in _grouped(edits) for told in _hunk(old, new, group) for line in told.split("\n")]
    return Hunks(lines, steps)


def _same(old: Sequence[int], new: Sequence[int]) -> int:
    """How many lines at the beginning are the same."""
    return next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )


def _common(old: Sequence[int], new: Sequence[int], most_steps: int) -> tuple[_Chain, int]:
    """The most lines that both have in this order; of what was looked at, if that were too many steps. And the steps.

    `reached` holds how far the old text is used up on each diagonal `old - new`, and by which blocks.
    """
    reached: dict[int, tuple[int, _Chain]] = {1: (0, None)}
    edits = steps = 0
    while old and new and steps <= most_steps:
        for diagonal in range(-edits, edits + 1, 2):
            if diagonal == -edits or (diagonal != edits and reached[diagonal - 1][0] < reached[diagonal + 1][0]):
                first, chain = reached[diagonal + 1]
            else:
                first, chain = reached[diagonal - 1]
                first += 1
            at = first
            while at < len(old) and at - diagonal < len(new) and old[at] == new[at - diagonal]:
                at += 1
            if at > first:
                chain = (Block(first, first - diagonal, at - first), chain)
            reached[diagonal] = (at, chain)
            steps += 1 + at - first
            if at >= len(old) and at - diagonal >= len(new):
                return chain, steps
        edits += 1
    furthest = max(reached, key=lambda one: 2 * reached[one][0] - one)
    return reached[furthest][1], steps


def _unrolled(chain: _Chain) -> list[Block]:
    blocks = []
    while chain:
        block, chain = chain
        blocks.append(block)
    return blocks[::-1]


def _end(block: Block) -> tuple[int, int]:
    return block.old + block.length, block.new + block.length


def _grouped(edits: Sequence[_Edit]) -> Iterator[list[_Edit]]:
    """Edits that are so near to each other that the lines around them meet."""
    group: list[_Edit] = []
    for edit in edits:
        if group and edit[0].length > 2 * _CONTEXT:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _hunk(old: Sequence[str], new: Sequence[str], group: Sequence[_Edit]) -> Iterator[str]:
    head, tail = min(_CONTEXT, group[0][0].length), min(_CONTEXT, group[-1][1].length)
    old_at, new_at = (at - head for at in _end(group[0][0]))
    old_end, new_end = group[-1][1].old + tail, group[-1][1].new + tail
    yield f"@@ -{_range(old_at, old_end)} +{_range(new_at, new_end)} @@"
    for before, after in group:
        kept_until, added_from = _end(before)
        yield from (" " + line for line in old[old_at:kept_until])
        yield from ("-" + line for line in old[kept_until : after.old])
        yield from ("+" + line for line in new[added_from : after.new])
        old_at = after.old
    yield from (" " + line for line in old[old_at:old_end])


def _range(start: int, end: int) -> str:
    if end - start == 1:
        return str(start + 1)
    return f"{start + 1 if end > start else start},{end - start}"
