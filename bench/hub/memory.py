"""The memory of a fresh hub under eight uploads of 1 GB at once: by Xet, and as whole objects."""

from concurrent.futures import ThreadPoolExecutor

from bench.hub.books import peak_bytes
from bench.hub.downloads import NAME, write_token_url
from bench.hub.site import OURS, Job, Site

UPLOADS, UPLOAD_BYTES = 8, 1_000_000_000
PART = 0.25


def memory(site: Site) -> None:
    """Measure both, once: a peak needs no median."""
    by_xet(site)
    as_objects(site)


def by_xet(site: Site) -> None:
    """Eight clients with random bytes that are on no disk, each into a repo of its own."""
    size_bytes = int(UPLOAD_BYTES * site.scale)
    with site.folder() as place, site.hub(place / "hub", site.cores.all) as talk:
        start_bytes = peak_bytes(talk.hub.pid)
        repos = [talk.create(f"repo-{number}") for number in range(UPLOADS)]
        jobs: list[Job] = [
            {
                "action": "up",
                "random_bytes": size_bytes,
                "seed": number,
                "token": talk.hub.token,
                "token_url": write_token_url(talk, repo),
            }
            for number, repo in enumerate(repos)
        ]
        for repo, told in zip(repos, site.together("xet", jobs, home=place / "homes"), strict=True):
            talk.commit_large(repo, NAME, told["sha256"], told["bytes"])
        site.add("memory, xet", OURS, {"start_bytes": start_bytes, "peak_bytes": peak_bytes(talk.hub.pid)})


def as_objects(site: Site) -> None:
    """The same file into eight repos, each of which must get every byte of it."""
    file = site.workload("W2", PART).folder / NAME
    with site.folder() as place, site.hub(place / "hub", site.cores.all) as talk:
        start_bytes = peak_bytes(talk.hub.pid)
        repos = [talk.create(f"repo-{number}") for number in range(UPLOADS)]
        with ThreadPoolExecutor(UPLOADS) as threads:
            for done in [threads.submit(talk.put_whole, repo, NAME, file) for repo in repos]:
                done.result()
        site.add("memory, whole", OURS, {"start_bytes": start_bytes, "peak_bytes": peak_bytes(talk.hub.pid)})
