"""A file that holds one secret, read again when it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from waybill.core.errors import ConfigError
from waybill.ops.watched import WatchedFile
from waybill.settings.schema import Secret
from waybill.settings.secrets import secret_in

log = logging.getLogger(__name__)


class SecretFile:
    """The secret in a file, as of now.

    A change is seen within a second. What no secret can be (an empty file, two lines, a file that
    is half written) leaves the secret as it was: a rotation in two steps must not lock anyone out.
    ``setting`` is the setting that names the file; ``is_header`` as of `secret_in`.

    Raises:
        ConfigError: the file cannot be read at first, or does not hold one secret.
    """

    def __init__(
        self,
        path: str,
        setting: str,
        *,
        is_header: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = f"{setting}: {path}"
        self._is_header = is_header
        try:
            self._file = WatchedFile(Path(path), clock)
        except OSError as error:
            raise ConfigError([f"{setting}: cannot read {path}: {error.strerror}"]) from None
        self._secret = self._parse()

    def __call__(self) -> Secret:
        """The secret to use now."""
        if self._file.refresh():
            try:
                self._secret = self._parse()
            except ConfigError as error:
                message = "a secret was refused; the one before stays"
                log.warning(message, extra={"problems": error.problems})
        return self._secret

    def _parse(self) -> Secret:
        return secret_in(self._file.content, self._origin, is_header=self._is_header)


class LateSecret:
    """A secret from a file that may come late, else ``value``; for ``llm.api_key_file``."""

    def __init__(self, path: str | None, setting: str, value: Secret | None = None) -> None:
        self._path = path
        self._setting = setting
        self._value = value
        self._file: SecretFile | None = None

    def __call__(self) -> Secret | None:
        """The secret to use now; None without one."""
        if self._path is None:
            return self._value
        if self._file is None:
            try:
                self._file = SecretFile(self._path, self._setting)
            except ConfigError as error:
                log.warning("there is no secret yet", extra={"problems": error.problems})
                return self._value
        return self._file()
