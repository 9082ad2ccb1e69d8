"""The whole round trip, on a hub of its own: track, push, clone, pull, verify, damage, repair, and stock `hf` reading the same repo.

Everything happens in a private temporary folder with a private home, so no setting, token or cache of yours is read or written.
Every step is checked: the demo stops with status 1 at the first one that does not do what it says. Nothing is left behind.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from demo_stage import DemoError, Hub, Stage
from tenuto.core.human import count_text, duration_text, size_text
from tenuto.testing.samples import checkpoint_folder

USER = "demo"
NEXT = """\
What to try next
  make demo DATA=path/to/folder      the same with your own files (they are copied, never changed)
  .venv/bin/tenuto --help            every command, each with an example
  .venv/bin/tenuto hub serve         a hub of your own, in one process
  .venv/bin/tenuto init              begin in a project of yours
  make test                          how we know that it works
"""


def main(arguments: list[str]) -> int:
    """Run the demo; 0 if every step did what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder or file of yours instead of made-up checkpoints")
    data = parser.parse_args(arguments).data
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    began_s = time.monotonic()
    top = Path(tempfile.mkdtemp(prefix="tenuto-demo-"))
    stage = Stage(top)
    try:
        play(stage, data)
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was stopped", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stage.close()
        shutil.rmtree(top)
    print(
        f"\nDone in {duration_text(time.monotonic() - began_s)}; hub stopped, temporary files removed.\n\n{NEXT}",
        end="",
    )
    return 0


def interrupt(_number: int, _frame: object) -> NoReturn:
    """End as on Ctrl-C, so that everything is cleaned up."""
    raise KeyboardInterrupt


def play(stage: Stage, data: Path | None) -> None:
    """All scenes in order. Raises DemoError."""
    project = stage.top / "project"
    name, wanted = make_files(stage, project, data)
    repo = f"datasets/{USER}/{'beats-checkpoints' if data is None else 'my-files'}"
    hub = open_hub(stage)
    track(stage, project, name, repo)
    push(stage, project, repo)
    laptop = clone_and_pull(stage, project, name, wanted)
    damage_and_repair(stage, laptop, name, wanted)
    read_with_stock_client(stage, repo, wanted)
    read_from_python(stage, project, name, wanted)
    close_hub(stage, hub)


def make_files(stage: Stage, project: Path, data: Path | None) -> tuple[str, dict[str, str]]:
    """Put files into the project; the name of their folder, and the sha256 of each file by its path in there."""
    stage.scene("Files", "Somebody's training left a folder of files." if data is None else f"A copy of {data}.")
    project.mkdir()
    if data is None:
        folder = project / "checkpoints"
        checkpoint_folder(str(folder), size_bytes=24_000_000)
    else:
        folder = project / (data.resolve().name if data.is_dir() else "data")
        copy_data(data, folder)
    wanted = hashes(folder)
    total = sum((folder / path).stat().st_size for path in wanted)
    if not total:
        raise DemoError(f"{data} holds no files with anything in them")
    for path in list(wanted)[:10]:
        stage.say(f"{size_text((folder / path).stat().st_size):>8}  {folder.name}/{path}")
    stage.say(f"{count_text(len(wanted), 'file')}, {size_text(total)}")
    return folder.name, wanted


def copy_data(data: Path, folder: Path) -> None:
    """Copy the user's files, if there is room for the five copies that the demo makes. Raises DemoError."""
    if not data.exists():
        raise DemoError(f"{data} does not exist")
    files = [data] if data.is_file() else [path for path in data.rglob("*") if path.is_file()]
    needed = 5 * sum(path.stat().st_size for path in files)
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise DemoError(
            f"{size_text(needed)} are needed in {folder.parent.parent}, {size_text(free)} are free; "
            "give a smaller folder, or set TMPDIR"
        )
    if data.is_file():
        folder.mkdir()
        shutil.copy2(data, folder)
    else:
        ignore = shutil.ignore_patterns(".git", ".tenuto")
        shutil.copytree(data, folder, ignore=ignore, ignore_dangling_symlinks=True)


def open_hub(stage: Stage) -> Hub:
    """Start a hub on a free port and make the account that everything below runs under."""
    stage.scene("Hub", "A hub in one process: it speaks the Hugging Face Hub protocol, on a free port of this machine.")
    hub = stage.start_hub()
    stage.say(f"it listens on {hub.url}")
    data = str(hub.data)
    stage.run("tenuto", "hub", "user", "add", USER, "--data", data)
    token = stage.run(
        "tenuto", "hub", "token", "create", USER, "--role", "write", "--data", data, "--quiet", secret=True
    )
    stage.use(hub.url, token.strip())
    stage.say("the token is in HF_TOKEN now, and the address in HF_ENDPOINT, as stock clients want them")
    return hub


def track(stage: Stage, project: Path, name: str, repo: str) -> None:
    """Begin a project and track the folder; git holds the manifest and the lock, and none of the data."""
    stage.scene("Track", "git keeps two small text files; the data stays where it is.")
    stage.run("git", "init", "--quiet", "--initial-branch=main", cwd=project)
    stage.run("tenuto", "init", cwd=project)
    stage.run("tenuto", "track", name, "--to", f"hf://{repo}", cwd=project)
    stage.run("git", "add", "--all", cwd=project)
    stage.run("git", "commit", "--quiet", "--message", f"Track {name}", cwd=project)
    committed = stage.run("git", "ls-files", cwd=project).split()
    expect("tenuto.toml" in committed and "tenuto.lock" in committed, "manifest and lock are in git")
    expect(not [path for path in committed if path.startswith(f"{name}/")], "no data is in git")


def push(stage: Stage, project: Path, repo: str) -> None:
    """Create the repo and push; the lock then names the commit."""
    stage.scene("Push", "Only what the repo lacks is sent; the lock then names the commit that holds it.")
    stage.run("tenuto", "repo", "create", f"hf://{repo}", cwd=project)
    stage.run("tenuto", "push", cwd=project)
    stage.run("tenuto", "status", cwd=project)
    stage.run("git", "commit", "--quiet", "--all", "--message", "Pushed", cwd=project)
    expect("commit = " in (project / "tenuto.lock").read_text(), "the lock names the commit")


def clone_and_pull(stage: Stage, project: Path, name: str, wanted: dict[str, str]) -> Path:
    """Clone to a second folder with an empty store, pull, and compare every byte."""
    stage.scene("Pull", "Another machine: a clone of the project, and an empty store.")
    laptop = stage.top / "laptop"
    stage.fresh_store("laptop")
    stage.run("git", "clone", "--quiet", str(project), str(laptop))
    stage.run("tenuto", "pull", cwd=laptop)
    expect(hashes(laptop / name) == wanted, "every file has the sha256 that it had before the push")
    stage.say("sha256 of every file: as before the push")
    return laptop


def damage_and_repair(stage: Stage, laptop: Path, name: str, wanted: dict[str, str]) -> None:
    """Flip one byte behind everybody's back; verify names the file, repair mends it."""
    stage.scene("Damage", "A disk flips one byte of the largest file; its size and time stay the same.")
    stage.run("tenuto", "verify", cwd=laptop)
    path = max(wanted, key=lambda path: (laptop / name / path).stat().st_size)
    flip_byte(laptop / name / path)
    stage.say(f"(one byte of {name}/{path} is flipped now)")
    report = stage.run("tenuto", "verify", cwd=laptop, status=5)
    expect(path in report, "verify names the damaged file")
    stage.run("tenuto", "repair", cwd=laptop)
    stage.run("tenuto", "verify", cwd=laptop)
    expect(hashes(laptop / name) == wanted, "every file is whole again")


def read_with_stock_client(stage: Stage, repo: str, wanted: dict[str, str]) -> None:
    """Download the same repo with the unmodified client of Hugging Face, and compare every byte."""
    stage.scene("Stock client", "The unmodified `hf` of Hugging Face reads the same repo.")
    folder = stage.top / "stock"
    kind, _, full_name = repo.partition("/")
    stage.run("hf", "download", full_name, "--repo-type", kind.removesuffix("s"), "--local-dir", str(folder))
    found = hashes(folder)
    expect(all(found.get(path) == sha256 for path, sha256 in wanted.items()), "`hf download` got the same bytes")
    stage.say("sha256 of every file: the same")


def read_from_python(stage: Stage, project: Path, name: str, wanted: dict[str, str]) -> None:
    """In a third clone with an empty store, ask Python for one file: it is fetched at first use."""
    stage.scene("Python", "A third machine has pulled nothing: Python fetches what it asks for, at first use.")
    server = stage.top / "server"
    stage.fresh_store("server")
    stage.run("git", "clone", "--quiet", str(project), str(server))
    path = max(wanted, key=lambda path: (project / name / path).stat().st_size)
    code = f"import tenuto; print(tenuto.path({json.dumps(f'{name}/{path}')}))"
    found = stage.run("python", "-c", code, cwd=server).splitlines()[-1]
    expect(sha256_of(Path(server, found)) == wanted[path], f"Python got the bytes of {path}")


def close_hub(stage: Stage, hub: Hub) -> None:
    """Stop the hub as a service manager would, and see that it goes in peace."""
    stage.scene("The end", "The hub is asked to stop.")
    expect(hub.stop() == 0, "the hub stops in peace")
    stage.print_timings()


def expect(true: bool, what: str) -> None:
    """Raise DemoError unless it is so."""
    if not true:
        raise DemoError(f"it was to be shown that {what}, and that is not so")


def flip_byte(file: Path) -> None:
    """Change one byte in the middle; size, time and permissions stay as they are."""
    before = file.stat()
    file.chmod(0o644)
    with open(file, "r+b") as stream:
        stream.seek(before.st_size // 2)
        byte = stream.read(1)
        stream.seek(before.st_size // 2)
        stream.write(bytes([byte[0] ^ 1]))
    file.chmod(before.st_mode)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file in a folder by its path in there; hidden folders are left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    relative = [(path.relative_to(folder), path) for path in files]
    return {str(name): sha256_of(path) for name, path in relative if not any(p.startswith(".") for p in name.parts)}


def sha256_of(file: Path) -> str:
    """The sha256 of a file."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
