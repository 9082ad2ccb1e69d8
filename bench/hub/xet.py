"""The stock Xet client, hf_xet, in a process of its own.

    echo JOB | python -m bench.hub.xet

A job is one of {"action": "up", "file": ...}, {"action": "up", "random_bytes": ..., "seed": ...} (bytes that are on no disk) and
{"action": "down", "hash": ..., "bytes": ..., "file": ...}. It names its server by "endpoint", or by "token_url" and "token" as
huggingface_hub does. Prints one JSON object: `wall_s`, `bytes`, and after an upload `hash`, `sha256` and `sent_bytes`.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import hf_xet  # type: ignore[import-untyped]

from bench.workloads import BLOCK_BYTES, blocks, raw


def server(job: dict[str, Any]) -> dict[str, Any]:
    """The arguments by which hf_xet finds its server."""
    if "endpoint" in job:
        return {"endpoint": job["endpoint"]}
    return {"token_refresh_url": job["token_url"], "token_refresh_headers": {"authorization": f"Bearer {job['token']}"}}


def up(job: dict[str, Any]) -> dict[str, Any]:
    """Upload a file, or random bytes as they are made."""
    began_s = time.perf_counter()
    commit = hf_xet.XetSession().new_upload_commit(**server(job))
    if "file" in job:
        handle = commit.start_upload_file(job["file"])
    else:
        stream = commit.start_upload_stream()
        for block in random_blocks(job["random_bytes"], job["seed"]):
            stream.write(block)
        told = stream.finish()
    report = commit.wait_to_finish()
    wall_s = time.perf_counter() - began_s
    if "file" in job:
        told = handle.result()
    info, sent_bytes = told.xet_info, report.dedup_metrics.total_bytes_uploaded
    found = {"hash": info.hash, "sha256": info.sha256, "bytes": info.file_size, "sent_bytes": sent_bytes}
    return {"wall_s": wall_s, **found}


def random_blocks(size_bytes: int, seed: int) -> Iterator[bytes]:
    """Bytes that cannot be compressed and are the same for the same seed."""
    for position, count in blocks(size_bytes):
        yield raw(seed * 1_000_000 + position // BLOCK_BYTES, -(-count // 8)).tobytes()[:count]


def down(job: dict[str, Any]) -> dict[str, Any]:
    """Download into a file."""
    began_s = time.perf_counter()
    with hf_xet.XetSession().new_file_download_group(**server(job)) as group:
        group.start_download_file(hf_xet.XetFileInfo(job["hash"], job["bytes"]), job["file"])
    return {"wall_s": time.perf_counter() - began_s, "bytes": job["bytes"]}


if __name__ == "__main__":
    task = json.load(sys.stdin)
    print(json.dumps(up(task) if task["action"] == "up" else down(task)))
