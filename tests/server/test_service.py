"""A hub as a process: it starts, says where it is, stops in good order, and survives being killed."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tenuto.core.errors import StorageError, UsageError
from tenuto.server.service import Hub, serve
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.talk import Talk, large, small


def test_an_address_that_is_taken_is_said_with_a_hint(tmp_path: Path) -> None:
    with LiveHub() as running, Hub.open(str(tmp_path / "other")) as other:
        port = int(running.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port {port}") as caught:
            serve(other, "127.0.0.1", port)
        assert "--port" in str(caught.value.hint)
        with pytest.raises(UsageError):
            serve(other, "no-such-host.invalid", 0)
        with pytest.raises(UsageError):
            serve(other, "127.0.0.1", 99_999)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        Hub.open(str(tmp_path / "file"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hub.sqlite3").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StorageError):
        Hub.open(str(tmp_path / "data"))


def test_it_stops_in_good_order(tmp_path: Path) -> None:
    with ProcessHub(str(tmp_path / "data")) as hub:
        talk = Talk(hub.url, hub.admin_token)
        talk.create("admin/m").raise_for_status()
        data = os.urandom(4 << 20)
        oid = talk.put_large("admin/m", data)
        talk.commit("admin/m", large("x", oid)).raise_for_status()
        with talk.client.stream("GET", "/admin/m/resolve/main/x") as answer:
            pieces = answer.iter_raw(65536)
            first = next(pieces)
            os.kill(hub._process.pid, signal.SIGTERM)
            assert first + b"".join(pieces) == data, "what runs may end"
        talk.close()
        hub.stop()
        assert hub.exit_status == 0
        log = Path(hub.log_path).read_text()
        assert "failure" not in log
        assert '"level":"ERROR"' not in log


def test_control_c_stops_it_too(tmp_path: Path) -> None:
    with ProcessHub(str(tmp_path / "data")) as hub:
        hub._end(signal.SIGINT)
        assert hub.exit_status == 0


def test_users_and_tokens_made_beside_it_count_at_once(tmp_path: Path) -> None:
    with ProcessHub(str(tmp_path / "data")) as hub:
        token = hub.user("late")
        assert (
            httpx2.get(f"{hub.url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}).json()["name"]
            == "late"
        )


def kill_while_writing(hub: ProcessHub, seed: int) -> dict[str, bytes]:
    """Commit small and large files until the hub is killed; returns those whose commit was answered with 200."""
    chance = random.Random(seed)
    done: dict[str, bytes] = {}
    stop = threading.Event()

    def work(number: int) -> None:
        talk = Talk(hub.url, hub.admin_token)
        try:
            for turn in range(10_000):
                content = chance.randbytes(chance.choice([5, 5000, 400_000]))
                name = f"s{seed}/w{number}/{turn}"
                line = small(name, content) if len(content) < 6000 else large(name, talk.put_large("admin/m", content))
                if talk.commit("admin/m", line).status_code == 200:
                    done[name] = content
                if stop.is_set():
                    return
        except (httpx2.HTTPError, KeyError, ValueError):
            return
        finally:
            talk.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.02, 0.5))
    hub.kill()
    stop.set()
    for thread in threads:
        thread.join()
    return done


def survive(tmp_path: Path, rounds: int) -> None:
    kept: dict[str, bytes] = {}
    with ProcessHub(str(tmp_path / "data")) as hub:
        talk = Talk(hub.url, hub.admin_token)
        talk.create("admin/m").raise_for_status()
        for seed in range(rounds):
            kept |= kill_while_writing(hub, seed)
            hub.start()
            listing = talk.listing("admin/m")
            assert kept.keys() <= listing.keys(), "what was answered with 200 is there"
            for path in listing:
                content = talk.read("admin/m", path).content
                assert len(content) == listing[path]["size"]
                assert path not in kept or content == kept[path]
        talk.close()
    assert len(kept) > rounds


def test_it_survives_being_killed(tmp_path: Path) -> None:
    survive(tmp_path, rounds=3)


@pytest.mark.slow
def test_it_survives_being_killed_often(tmp_path: Path) -> None:
    survive(tmp_path, rounds=40)


def test_what_an_interrupted_upload_left_is_swept_at_a_later_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Hub.open(str(data)) as hub:
        spool, parts = Path(hub.parts.store.spool), Path(hub.parts.spool)
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "new-0123456789abcdef").write_bytes(b"left over")
    (parts / "upload-0123").mkdir()
    (parts / "upload-0123" / "00001-x").write_bytes(b"left over")
    with Hub.open(str(data)):
        assert (spool / "new-0123456789abcdef").exists(), "it may still be running"
    for path in (spool / "new-0123456789abcdef", parts / "upload-0123"):
        os.utime(path, (1, 1))
    with Hub.open(str(data)):
        assert not (spool / "new-0123456789abcdef").exists()
        assert not (parts / "upload-0123").exists()


def test_no_memory_is_needed_for_large_uploads_and_downloads(tmp_path: Path) -> None:
    """Eight at a time, 64 MB each: the process stays small."""
    with ProcessHub(str(tmp_path / "data")) as hub:
        talk = Talk(hub.url, hub.admin_token)
        talk.create("admin/m").raise_for_status()

        def work(number: int) -> None:
            mine = Talk(hub.url, hub.admin_token)
            data = bytes([number]) * (64 << 20)
            oid = mine.put_large("admin/m", data)
            mine.commit("admin/m", large(f"f{number}", oid)).raise_for_status()
            assert mine.read("admin/m", f"f{number}").content == data
            mine.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(talk.listing("admin/m")) == 9
        talk.close()
        status = Path(f"/proc/{hub._process.pid}/status").read_text()
        peak_kb = int(status.partition("VmHWM:")[2].split()[0])
        assert peak_kb < 250_000


def test_importing_the_server_starts_nothing() -> None:
    code = "import threading, tenuto.server.service; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_free_port_is_taken_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    with Hub.open(str(tmp_path / "data")) as hub:
        from tenuto.server.http.serving import Service

        service = Service(hub.app, hub.parts.log, "127.0.0.1", 0)

        def ready(url: str) -> None:
            told.append(url)
            service.stop()

        service.run(ready)
    assert told == [service.url]
    with socket.create_server(("127.0.0.1", int(service.url.rpartition(":")[2]))):
        pass
