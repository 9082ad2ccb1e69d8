"""The machine that figures are taken on."""

import contextlib
import os
import platform


def machine() -> dict[str, object]:
    """What the figures depend on; nothing that tells whose machine it is."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()}, Python {platform.python_version()}",
    }


def processor() -> str:
    """The name of the processor, if the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.machine()
