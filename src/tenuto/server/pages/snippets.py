"""How to use what a repo, or a folder of it, holds: lines to copy for tenuto, huggingface_hub and git."""

import shlex
from typing import NamedTuple

from tenuto.core.ids import Address, RepoId, RepoKind


class Snippet(NamedTuple):
    """Lines to copy, and what they are for."""

    name: str
    language: str
    text: str


def snippets(
    repo: RepoId, base_url: str, revision: str | None = None, folder: str = "", base_model: str = ""
) -> list[Snippet]:
    """Lines for a repo, at a revision if one is given, or for a folder in it; of an adapter of `base_model` also how it is loaded."""
    address = str(Address(repo, revision, folder))
    found = [
        Snippet("tenuto", "bash", f"tenuto add {shlex.quote(address)} \\\n  --hub {base_url}"),
        Snippet("huggingface_hub", "python", _stock(repo, base_url, revision, folder)),
        Snippet("git", "bash", _git(repo, base_url, revision)),
    ]
    if base_model:
        found.append(Snippet("peft", "python", _adapter(repo, revision, folder, base_model)))
    return found


def freeing(repo: RepoId, base_url: str) -> list[Snippet]:
    """Lines by which whoever administers a repo frees space in it."""
    kind = "" if repo.kind is RepoKind.MODEL else f", repo_type={repo.kind.value!r}"
    name = f"{repo.full_name!r}"
    begin = f"from huggingface_hub import HfApi\n\napi = HfApi(endpoint={base_url!r})\n"
    ends = f"api.delete_branch({name}, branch='NAME'{kind})\napi.delete_tag({name}, tag='NAME'{kind})"
    squash = f"api.super_squash_history({name}, branch='main'{kind})"
    purge = (
        f"files = [file for file in api.list_lfs_files({name}{kind})\n         if file.filename == 'PATH']\n"
        f"api.permanently_delete_lfs_files({name}, files{kind})"
    )
    named = (
        ("Delete a branch or a tag", ends),
        ("Make one commit of a branch", squash),
        ("Delete large files from all versions", purge),
    )
    return [Snippet(title, "python", begin + lines) for title, lines in named]


def _stock(repo: RepoId, base_url: str, revision: str | None, folder: str) -> str:
    options = [repr(repo.full_name)]
    if repo.kind is not RepoKind.MODEL:
        options.append(f"repo_type={repo.kind.value!r}")
    if revision:
        options.append(f"revision={revision!r}")
    if folder:
        options.append(f"allow_patterns={folder + '/*'!r}")
    options.append(f"endpoint={base_url!r}")
    lines = "".join(f"    {option},\n" for option in options)
    return f"from huggingface_hub import snapshot_download\n\nfolder = snapshot_download(\n{lines})"


def _git(repo: RepoId, base_url: str, revision: str | None) -> str:
    place = f"{base_url}/{repo.web_path}"
    if not revision:
        return f"git clone \\\n  {place}"
    return f"git clone \\\n  {place} {repo.name}\ngit -C {repo.name} checkout {shlex.quote(revision)}"


def _adapter(repo: RepoId, revision: str | None, folder: str, base_model: str) -> str:
    options = "".join(f", {name}={value!r}" for name, value in (("subfolder", folder), ("revision", revision)) if value)
    return (
        "# with HF_ENDPOINT set to this hub\nfrom peft import PeftModel\nfrom transformers import AutoModel\n\n"
        f"base = AutoModel.from_pretrained({base_model!r})\n"
        f"model = PeftModel.from_pretrained(base, {repo.full_name!r}{options})"
    )
