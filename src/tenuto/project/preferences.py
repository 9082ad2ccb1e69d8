"""What settings are made of: the environment, the `.env` of a project, and the user's own `settings.toml`."""

import os
import re
import tomllib
from collections.abc import Mapping

from tenuto.core.errors import UsageError
from tenuto.core.lockfile import literal
from tenuto.core.settings import SETTINGS, TOKEN_VARIABLES, Settings, resolve
from tenuto.project.dotenv import read_dotenv
from tenuto.store.disk import disk_errors, replace_file

PREFERENCES_NAME = "settings.toml"
_DEFAULT_FOLDER = next(str(setting.default) for setting in SETTINGS if setting.key == "config")


def settings_from(
    environment: Mapping[str, str],
    manifest: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
    root: str | None = None,
) -> Settings:
    """All settings, with the user's file read, and the tokens in the `.env` of the project at `root`, if there is one.

    Raises UsageError (BadCommand) for a value or file that cannot be read, StorageError.
    """
    is_given = any(environment.get(variable) for variable in TOKEN_VARIABLES)
    dotenv = read_dotenv(root).tokens if root and not is_given else {}
    return resolve(flags, environment, manifest, _read(environment), dotenv)


def _read(environment: Mapping[str, str]) -> dict[str, object]:
    folder = environment.get("TENUTO_CONFIG") or _DEFAULT_FOLDER
    file = os.path.join(os.path.expanduser(folder), PREFERENCES_NAME)
    if not os.path.exists(file):
        return {}
    try:
        with disk_errors(file), open(file, "rb") as opened:
            return tomllib.load(opened)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} is not valid: {error}", code="BadCommand", hint="correct it, or move it away"
        ) from error


def set_preference(settings: Settings, key: str, value: str | None) -> str:
    """Write one setting into the user's file, or take it out; the rest of the file stays as it is. Returns the file. Raises StorageError."""
    file = os.path.join(os.path.expanduser(settings.config), PREFERENCES_NAME)
    with disk_errors(file):
        os.makedirs(os.path.dirname(file), exist_ok=True)
        lines = _lines(file) if os.path.exists(file) else []
    own = re.compile(rf"\s*{re.escape(key)}\s*=")
    kept = [line for line in lines if not own.match(line)]
    added = [f"{key} = {literal(value)}"] if value is not None else []
    replace_file(file, "".join(f"{line}\n" for line in [*added, *kept]).encode())
    return file


def _lines(file: str) -> list[str]:
    with open(file, encoding="utf-8") as opened:
        return [line.rstrip("\n") for line in opened]
