"""The bearer tokens as a part of the service that follows its file."""

from __future__ import annotations

from waybill.core.errors import ConfigError
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.ops.tokens import Tokens
from waybill.ops.watched import WatchedFile


class TokensPart:
    """The tokens of ``http.tokens_file``, and their state for `/readyz` and the metrics.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """

    def __init__(self, path: str, metrics: Metrics) -> None:
        self._path = path
        self.state = LoadState("tokens", metrics)
        try:
            file = WatchedFile(path)
        except OSError as error:
            why = f"http.tokens_file: cannot read {path}: {error.strerror}"
            raise ConfigError([why]) from None
        self.tokens = Tokens(file, self._note)

    def _note(self, count: int, problem: str) -> None:
        if problem:
            stays = f"http.tokens_file: {self._path} {problem}; the tokens before it stay valid"
            self.state.refused([stays])
        else:
            self.state.accepted(f"{count} valid")

    async def start(self) -> None:
        """Nothing to do: the file was read when this was made."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def reload(self) -> None:
        """Look at the file again."""
        self.tokens.refresh()

    def describe(self) -> dict[str, object]:
        """The state as plain data."""
        return self.state.describe()

    def edition(self) -> dict[str, object]:
        """What is valid as plain data."""
        return self.state.edition()
