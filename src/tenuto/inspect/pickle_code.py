"""The code of a pickle, read and never run: what it names, what it would call, and which tensors it would make.

Source: the table of opcodes in the standard library's pickletools, and what the pickle machine of CPython does with them.
"""

import pickletools
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tenuto.inspect.findings import FormatError
from tenuto.inspect.globals import HARMLESS, PARAMETERS, REBUILDERS, STORAGES
from tenuto.inspect.source import Cursor
from tenuto.inspect.tensors import Tensor

_USUAL_LINE_BYTES, _LONGEST_LINE_BYTES = 128, 65_536
_KEPT_BYTES = 1_024
_KEPT_ITEMS = 64
_MOST_GLOBALS = 10_000
_LARGEST_STACK = 2_000_000
_TABLE = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_FIXED = {"uint1": "<B", "uint2": "<H", "int4": "<i", "uint4": "<I", "uint8": "<Q"}
_SIZED = {
    **dict.fromkeys(("string1", "bytes1", "unicodestring1", "long1"), "<B"),
    **dict.fromkeys(("string4", "long4"), "<i"),
    **dict.fromkeys(("bytes4", "unicodestring4"), "<I"),
    **dict.fromkeys(("bytes8", "bytearray8", "unicodestring8"), "<Q"),
}
_LAYOUTS = {name: struct.Struct(layout) for name, layout in {**_FIXED, **_SIZED}.items()}
_INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG"})


class Global(NamedTuple):
    """A class or function that the pickle names; a part that is put together while loading is None."""

    module: str | None
    name: str | None

    def __str__(self) -> str:
        return f"{self.module or '?'}.{self.name or '?'}"

    @property
    def is_harmless(self) -> bool:
        """Whether it is on the list."""
        return (self.module, self.name) in HARMLESS


class Storage(NamedTuple):
    """Numbers that a checkpoint keeps apart: their type, bytes a number, key, and how many."""

    dtype: str
    number_bytes: int
    key: str
    numbers: int


class Unknown(NamedTuple):
    """A value of which nothing needs to be known."""


class Values(NamedTuple):
    """A tuple, of which the first items are known."""

    items: "list[Value]"


Value: TypeAlias = "str | int | Global | Storage | Tensor | Values | Unknown"
_UNKNOWN = Unknown()


class PickleCode:
    """Walks over one pickle from its first opcode to its last, with a stack of what is known of each value.

    Afterwards `globals` has every name in the order of appearance, `suspicions` what else looks like code, `tensors` and `storages` what it
    would build. They are filled as far as the walk came, even where it ends in a FormatError.
    """

    def __init__(self, cursor: Cursor, steps: int) -> None:
        self._cursor = cursor
        self._steps = steps
        self._stack: list[Value] = []
        self._marks: list[int] = []
        self._memo: dict[int, Value] = {}
        self.globals: dict[Global, None] = {}
        self.suspicions: dict[str, None] = {}
        self.storages: dict[str, Storage] = {}
        self.tensors: list[Tensor] = []
        self.value: Value = _UNKNOWN

    def walk(self) -> None:
        """Walk to the end. Raises FormatError where this is no pickle, or one that is broken or endless."""
        while True:
            self._steps -= 1
            if self._steps < 0:
                self.suspicions["it is too long to be looked through"] = None
                return
            code = self._cursor.take(1)[0]
            opcode = _TABLE.get(code)
            if opcode is None:
                raise FormatError(
                    "BadStructure", f"{code:#04x} at {self._cursor.position - 1:,} is no opcode of a pickle"
                )
            if opcode.name == "STOP":
                self.value = self._pop()
                return
            argument = self._argument(opcode)
            special = _SPECIAL.get(opcode.name)
            if special:
                special(self, argument)
            else:
                self._plain(opcode, argument)
            if len(self._stack) + len(self._memo) + len(self._marks) > _LARGEST_STACK:
                self.suspicions["it piles up more values than are looked at"] = None
                return

    def _argument(self, opcode: pickletools.OpcodeInfo) -> bytes | int | None:
        """The argument in the code: a whole number, or the first bytes of a text."""
        if opcode.arg is None:
            return None
        kind = opcode.arg.name
        if kind in _FIXED:
            return self._cursor.number(_LAYOUTS[kind])
        if kind == "float8":
            return self._cursor.take(8)
        if kind not in _SIZED:
            first = self._line()
            return first + b"\n" + self._line() if kind == "stringnl_noescape_pair" else first
        length = self._cursor.number(_LAYOUTS[kind])
        if length < 0:
            raise FormatError("BadLength", f"a text of {length:,} bytes")
        kept = self._cursor.take(min(length, _KEPT_BYTES, self._cursor.left))
        self._cursor.skip(length - len(kept))
        return kept

    def _line(self) -> bytes:
        ahead = self._cursor.peek(_USUAL_LINE_BYTES)
        end = ahead.find(b"\n")
        if end < 0:
            ahead = self._cursor.peek(_LONGEST_LINE_BYTES)
            end = ahead.find(b"\n")
        if end < 0:
            raise FormatError("BadStructure", f"a line without end at {self._cursor.position:,}")
        self._cursor.skip(end + 1)
        return ahead[:end]

    # The stack. Values between two marks belong together.

    def _pop(self) -> Value:
        floor = self._marks[-1] if self._marks else 0
        if len(self._stack) <= floor:
            raise FormatError("BadStructure", "it takes a value where there is none")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Value]:
        if not self._marks:
            raise FormatError("BadStructure", "it goes back to a mark that was never set")
        at = self._marks.pop()
        items = self._stack[at:]
        del self._stack[at:]
        return items

    def _plain(self, opcode: pickletools.OpcodeInfo, argument: bytes | int | None) -> None:
        """What an opcode does that only takes values and puts others in their place."""
        before = [str(one) for one in opcode.stack_before]
        if "mark" in before:
            self._pop_to_mark()
            before = before[: before.index("mark")]
        for _ in before:
            self._pop()
        for _ in opcode.stack_after:
            self._stack.append(_constant(opcode, argument))

    # Opcodes that matter.

    def _mark(self, _: bytes | int | None) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, _: bytes | int | None) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self, _: bytes | int | None) -> None:
        self._pop_to_mark()

    def _twice(self, _: bytes | int | None) -> None:
        value = self._pop()
        self._stack += [value, value]

    def _put(self, argument: bytes | int | None) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo[len(self._memo) if argument is None else _number(argument)] = value

    def _get(self, argument: bytes | int | None) -> None:
        number = _number(argument)
        value = self._memo.get(number)
        if value is None:
            raise FormatError("BadStructure", f"it refers to value {number}, which was never put down")
        self._stack.append(value)

    def _tuple(self, size: int | None) -> None:
        items = self._pop_to_mark() if size is None else [self._pop() for _ in range(size)][::-1]
        self._stack.append(Values(items[:_KEPT_ITEMS]))

    def _global(self, argument: bytes | int | None) -> None:
        assert isinstance(argument, bytes)
        module, _, name = argument.partition(b"\n")
        self._name(module.decode("utf-8", "backslashreplace"), name.decode("utf-8", "backslashreplace"))

    def _stack_global(self, _: bytes | int | None) -> None:
        name, module = self._pop(), self._pop()
        self._name(module if isinstance(module, str) else None, name if isinstance(name, str) else None)

    def _name(self, module: str | None, name: str | None) -> None:
        named = Global(module, name)
        if len(self.globals) < _MOST_GLOBALS:
            self.globals[named] = None
        else:
            self.suspicions["it names more than is looked at"] = None
        self._stack.append(named)

    def _instance(self, argument: bytes | int | None) -> None:
        self._pop_to_mark()
        self._global(argument)
        self._stack[-1] = _UNKNOWN

    def _registered(self, argument: bytes | int | None) -> None:
        self.suspicions[f"it names number {_number(argument)} of a registry that only the loading program has"] = None
        self._stack.append(_UNKNOWN)

    def _call(self, _: bytes | int | None) -> None:
        arguments, called = self._pop(), self._pop()
        self._stack.append(self._called(called, arguments))

    def _called(self, called: Value, arguments: Value) -> Value:
        if not isinstance(called, Global):
            self.suspicions["it calls something that it made itself"] = None
            return _UNKNOWN
        place = (called.module or "", called.name or "")
        if place not in REBUILDERS or not isinstance(arguments, Values):
            return _UNKNOWN
        if place in PARAMETERS and arguments.items:
            return arguments.items[0]
        tensor = _tensor(arguments.items)
        if tensor is None:
            return _UNKNOWN
        self.tensors.append(tensor)
        return tensor

    def _build(self, _: bytes | int | None) -> None:
        self._pop()
        if isinstance(self._stack[-1] if self._stack else None, Global):
            self.suspicions["it changes a class or function that it names"] = None
        self._stack.append(self._pop())

    def _persistent(self, _: bytes | int | None) -> None:
        found: Value = self._pop()
        storage = _storage(found.items) if isinstance(found, Values) else None
        if storage is None:
            self._stack.append(_UNKNOWN)
            return
        self.storages[storage.key] = storage
        self._stack.append(storage)

    def _set_item(self, _: bytes | int | None) -> None:
        value, key = self._pop(), self._pop()
        self._pop()
        self._stack.append(_UNKNOWN)
        self._entitle([key, value])

    def _set_items(self, _: bytes | int | None) -> None:
        items = self._pop_to_mark()
        self._pop()
        self._stack.append(_UNKNOWN)
        self._entitle(items)

    def _entitle(self, items: list[Value]) -> None:
        """Tensors get the keys under which they are put into a table as their names."""
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, str) and isinstance(value, Tensor) and not value.name:
                for number in range(len(self.tensors) - 1, -1, -1):
                    if self.tensors[number] is value:
                        self.tensors[number] = value._replace(name=key)
                        break


def _constant(opcode: pickletools.OpcodeInfo, argument: bytes | int | None) -> Value:
    if isinstance(argument, int):
        return argument if opcode.name in _INTEGERS else _UNKNOWN
    if argument is None or opcode.arg is None:
        return _UNKNOWN
    if "string" in opcode.arg.name:
        text = argument.decode("utf-8", "backslashreplace")
        return text.strip("'\"") if opcode.arg.name == "stringnl" else text
    if opcode.name in {"LONG1", "LONG4"} and len(argument) < _KEPT_BYTES:
        return int.from_bytes(argument, "little", signed=True)
    return _number(argument) if opcode.name in _INTEGERS else _UNKNOWN


def _number(argument: bytes | int | None) -> int:
    """A whole number, also one that is written in digits."""
    if isinstance(argument, int):
        return argument
    digits = (argument or b"").rstrip(b"L")
    if len(digits) > _KEPT_BYTES or not digits.removeprefix(b"-").isdigit():
        raise FormatError("BadStructure", f"{digits[:20]!r} is no number")
    return int(digits)


def _storage(items: "list[Value]") -> Storage | None:
    """The storage that a persistent id of torch names: `("storage", type, key, device, count, ...)`."""
    match items:
        case ["storage", Global(module, name), str(key), _, int(numbers), *_]:
            dtype, size = STORAGES.get((module or "", name or ""), ("", 0))
            return Storage(dtype, size, key, numbers) if dtype and numbers >= 0 else None
    return None


def _tensor(items: "list[Value]") -> Tensor | None:
    """The tensor that `_rebuild_tensor(storage, offset, shape, ...)` makes."""
    match items:
        case [Storage(dtype, _, _, _), int(), Values(axes), *_]:
            shape = tuple(axis for axis in axes if isinstance(axis, int) and axis >= 0)
            return Tensor("", dtype, shape) if len(shape) == len(axes) else None
    return None


_SPECIAL: "dict[str, Callable[[PickleCode, bytes | int | None], None]]" = {
    "MARK": PickleCode._mark,
    "POP": PickleCode._drop,
    "POP_MARK": PickleCode._drop_to_mark,
    "DUP": PickleCode._twice,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleCode._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), PickleCode._get),
    "TUPLE": lambda code, _: code._tuple(None),
    "EMPTY_TUPLE": lambda code, _: code._tuple(0),
    "TUPLE1": lambda code, _: code._tuple(1),
    "TUPLE2": lambda code, _: code._tuple(2),
    "TUPLE3": lambda code, _: code._tuple(3),
    "GLOBAL": PickleCode._global,
    "STACK_GLOBAL": PickleCode._stack_global,
    "INST": PickleCode._instance,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), PickleCode._registered),
    "REDUCE": PickleCode._call,
    "NEWOBJ": PickleCode._call,
    "BUILD": PickleCode._build,
    "BINPERSID": PickleCode._persistent,
    "SETITEM": PickleCode._set_item,
    "SETITEMS": PickleCode._set_items,
}
