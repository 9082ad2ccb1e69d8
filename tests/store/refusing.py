"""A program under a kernel that refuses links, as some disks do: `python -m tests.store.refusing hard,symbolic PROGRAM...`."""

import ctypes
import errno
import os
import platform
import struct
import sys

SYSCALLS = {
    "x86_64": {"hard": (86, 265), "symbolic": (88, 266)},
    "aarch64": {"hard": (37,), "symbolic": (36,)},
}
IS_POSSIBLE = sys.platform == "linux" and platform.machine() in SYSCALLS
_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER_MODE = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse(*kinds: str) -> None:
    """Let the kernel answer EPERM to this process, and to what it starts, whenever they make a link of one of these kinds."""
    numbers = [number for kind in kinds for number in SYSCALLS[platform.machine()][kind]]
    steps = [(_LOAD, 0, 0, 0)]
    steps += [(_JUMP_IF_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    kernel = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(steps), code)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_FILTER, _FILTER_MODE, ctypes.byref(program), 0, 0)):
        if kernel.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "the kernel takes no filter")


if __name__ == "__main__":
    refuse(*sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
