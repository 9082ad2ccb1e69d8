"""Runs inside a stock client's own environment and does what it is told, one JSON line for each step, one for each answer.

A step is `{"do": name, "with": {...}}`: a function of `ACTS`, else a method of `HfApi`. An answer is `{"done": value}` or
`{"refused": [class names], "status": HTTP status or null, "text": message}`. The Python may be older than the project's.
"""

import base64
import datetime
import importlib
import json
import os
import sys

import huggingface_hub
from huggingface_hub import HfApi, HfFileSystem

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def shown(value):
    """A value as JSON: bytes in base64, objects as their attributes; of a string with attributes the text stands at `text`."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.datetime, os.PathLike)):
        return str(value)
    if isinstance(value, dict):
        return {str(key): shown(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set)) or hasattr(value, "__next__"):
        return [shown(one) for one in value]
    if hasattr(value, "__dict__"):
        text = {"text": str(value)} if isinstance(value, str) else {}
        return {**{key: shown(one) for key, one in vars(value).items() if not key.startswith("_")}, **text}
    return str(value)


def version():
    """What the client calls itself."""
    return huggingface_hub.__version__


def upload_content(content, **more):
    """Upload bytes, which come in base64."""
    return HfApi().upload_file(path_or_fileobj=base64.b64decode(content), **more)


def upload_open_file(path, **more):
    """Upload what an open file holds."""
    with open(path, "rb") as file:
        return HfApi().upload_file(path_or_fileobj=file, **more)


def file_system(method, **more):
    """Call a method of a file system that remembers nothing."""
    return getattr(HfFileSystem(skip_instance_cache=True), method)(**more)


def read_range(path, start, length):
    """A part of a file through the file system."""
    with HfFileSystem(skip_instance_cache=True).open(path, "rb", block_size=65536) as file:
        file.seek(start)
        return file.read(length)


def write(path, content):
    """Write a file through the file system; its bytes come in base64."""
    with HfFileSystem(skip_instance_cache=True).open(path, "wb") as file:
        file.write(base64.b64decode(content))


def pull_request(**more):
    """Open a pull request; its number."""
    return HfApi().create_pull_request(**more).num


def upload_large_folder(**more):
    """Upload a folder by the tool for large ones, without its naps of ten seconds."""
    importlib.import_module("huggingface_hub._upload_large_folder").WAITING_TIME_IF_NO_TASKS = 0.2
    HfApi().upload_large_folder(print_report=False, **more)


def forget_objects(repo_id, names, **more):
    """Delete large files for good, by their names."""
    found = [one for one in HfApi().list_lfs_files(repo_id, **more) if one.filename in names]
    HfApi().permanently_delete_lfs_files(repo_id, found, **more)
    return len(found)


ACTS = {
    one.__name__: one
    for one in (
        version,
        upload_content,
        upload_open_file,
        file_system,
        read_range,
        write,
        pull_request,
        upload_large_folder,
        forget_objects,
    )
}


def act(name, words):
    """Do one step; `module:function` finds it in a file beside this one."""
    if ":" in name:
        module, _, function = name.partition(":")
        return getattr(importlib.import_module(module), function)(**words)
    if name in ACTS:
        return ACTS[name](**words)
    return getattr(HfApi(token=words.pop("token", None)), name)(**words)


def answer(step):
    """What comes back for one step. Whatever goes wrong in the client is an answer, not an end."""
    try:
        return {"done": shown(act(step["do"], step["with"]))}
    except Exception as error:  # noqa: BLE001  # the test on the other side judges it
        status = getattr(getattr(error, "response", None), "status_code", None)
        classes = [one.__name__ for one in type(error).__mro__]
        return {"refused": classes, "status": status, "text": str(error)}


def main():
    """Answer until there are no more steps. What libraries print goes to the standard error, so that answers stay whole."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
