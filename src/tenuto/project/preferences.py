"""The user's own settings file, `settings.toml` in the folder of user settings."""

import os
import tomllib
from collections.abc import Mapping

from tenuto.core.errors import UsageError
from tenuto.core.settings import SETTINGS, Settings, resolve
from tenuto.store.disk import disk_errors

PREFERENCES_NAME = "settings.toml"
_DEFAULT_FOLDER = next(str(setting.default) for setting in SETTINGS if setting.key == "config")


def settings_from(
    environment: Mapping[str, str],
    manifest: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """All settings, with the user's file read. Raises UsageError (BadCommand) for a value or file that cannot be read, StorageError."""
    return resolve(flags, environment, manifest, _read(environment))


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
