"""The process that `test_crash.py` kills.

`crash_child.py ROOT run SEED COUNT` receives and publishes COUNT objects and says so on stdout. `crash_child.py ROOT step` does a small
fixed piece of work again and again, each time in a fork that kills itself one file system call later than the one before, and prints how
many such calls there are. The calls are seen through an audit hook; nothing is patched.
"""

import hashlib
import os
import random
import signal
import sys
from collections.abc import Iterator

from tenuto.store.local import LocalStore

FILE_EVENTS = {
    "open",
    "os.mkdir",
    "os.link",
    "os.rename",
    "os.remove",
    "os.chmod",
    "os.truncate",
    "os.listdir",
    "fcntl.flock",
}
STEP_OBJECTS = 3


def objects(seed: int, count: int) -> Iterator[bytes]:
    """The same bytes for the same seed: small ones and a few that take many writes."""
    source = random.Random(seed)
    for number in range(count):
        yield source.randbytes(source.choice([0, 1, 100, 5000, 200_000])) + b"%d" % number


def work(store: LocalStore, wanted: list[bytes]) -> None:
    """Receive and publish what is lacking, in batches, going on from what an earlier run left."""
    batch = []
    for number, data in enumerate(wanted):
        name = hashlib.sha256(data).hexdigest()
        if store.has(name):
            continue
        with store.receive(key=name if number % 3 else None) as incoming:
            assert data.startswith(data[: incoming.size])
            for start in range(incoming.size, len(data), 8192):
                incoming.write(data[start : start + 8192])
            batch.append(incoming.seal(sha256=name))
        if len(batch) == 5:
            store.publish(batch)
            batch = []
    store.publish(batch)


def die_at(call: int) -> None:
    """Arrange that this process kills itself before its file system call number `call`."""
    seen = 0

    def watch(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in FILE_EVENTS:
            seen += 1
            if seen == call:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def step_by_step(root: str) -> int:
    """Die before every file system call in turn; returns the number of the run that was not killed."""
    call = 0
    while True:
        call += 1
        child = os.fork()
        if child == 0:
            die_at(call)
            work(LocalStore(f"{root}/{call}"), list(objects(1, STEP_OBJECTS)))
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return call


def say(text: str) -> None:
    """Tell the test, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[2] == "step":
        say(str(step_by_step(sys.argv[1])))
    else:
        wanted = list(objects(int(sys.argv[3]), int(sys.argv[4])))
        say("ready")
        work(LocalStore(sys.argv[1]), wanted)
        say("done")
