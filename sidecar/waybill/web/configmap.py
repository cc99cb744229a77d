"""One ConfigMap, read and patched through the Kubernetes API by the pod's own account.

A patch names the version that it was made from: where somebody else was faster, the API says so,
and the patch is made again from what is there now, if that is still what it was meant for.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from waybill.core.causes import cause_of
from waybill.core.errors import ConfigError, WaybillError
from waybill.core.foreign import read_json
from waybill.ops.answers import beginning_of
from waybill.ops.secret_file import SecretFile
from waybill.ops.sessions import open_session
from waybill.ops.tls import trusting
from waybill.settings.environment import kubernetes_server
from waybill.settings.sections.workbench import WorkbenchSettings

__all__ = ["MAX_BYTES", "ConfigMap", "ConfigMapError"]

#: What a ConfigMap may hold, names and texts together.
MAX_BYTES = 1 << 20
_TIMEOUT_SECS = 15.0
_TRIES = 5
_MERGE = {"Content-Type": "application/merge-patch+json"}
#: What the API may answer for one ConfigMap at most.
_MOST_ANSWER = 4 << 20


class ConfigMapError(WaybillError):
    """It was not read or not written; nothing has changed."""

    code = "not_written"


class Content(NamedTuple):
    """What it holds, and the version that the API gives to it."""

    version: str
    data: dict[str, str]


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str


class _Answer(msgspec.Struct):
    metadata: _Meta
    data: dict[str, str] | None = None


class ConfigMap:
    """The ConfigMap ``workbench.configmap``. Raises ConfigError: it cannot be asked for at all."""

    def __init__(self, settings: WorkbenchSettings) -> None:
        account = Path(settings.service_account)
        namespace, _, name = (settings.configmap or "").rpartition("/")
        if not name:
            raise ConfigError(["workbench.configmap: needed with workbench.apply configmap"])
        try:
            namespace = namespace or (account / "namespace").read_text().strip()
        except OSError as error:
            why = f"workbench.configmap: {name} has no namespace ({error}); write NAMESPACE/NAME"
            raise ConfigError([why]) from None
        self.name = f"{namespace}/{name}"
        self._url = f"{_server(settings)}/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._token = SecretFile(str(account / "token"), "workbench.service_account")
        self._tls: ssl.SSLContext | bool = True
        if self._url.startswith("https:"):
            self._tls = trusting(account / "ca.crt", "workbench.service_account")

    async def read(self) -> Content:
        """What is there now. Raises ConfigMapError."""
        status, body = await self._ask("GET", None)
        if status != 200:
            raise ConfigMapError(self._refusal(status, body))
        return self._content(body)

    async def put(
        self, key: str, text: str | None, expected: Sequence[str | None] | None = None
    ) -> None:
        """Exchange one key, all others stay; None removes it.

        ``expected``: what may stand there now. Raises ConfigMapError: nothing was written.
        """
        for _ in range(_TRIES):
            now = await self.read()
            there = now.data.get(key)
            if expected is not None and there not in expected:
                raise ConfigMapError(f"{key} in {self.name} was changed by others: try again")
            if there == text:
                return
            self._check_size(now.data, key, text)
            patch = {"metadata": {"resourceVersion": now.version}, "data": {key: text}}
            status, body = await self._ask("PATCH", msgspec.json.encode(patch))
            if status == 200:
                return
            if status != 409:
                raise ConfigMapError(self._refusal(status, body))
        raise ConfigMapError(f"{self.name} is changed by others all the time: try again")

    def _check_size(self, data: dict[str, str], key: str, text: str | None) -> None:
        size = 0
        for name, value in {**data, key: text or ""}.items():
            size += len(name) + len(value.encode("utf-8", "replace"))
        if size > MAX_BYTES:
            raise ConfigMapError(
                f"{self.name} would have {size} bytes, and a ConfigMap holds {MAX_BYTES}: use "
                "workbench.apply: follow"
            )

    async def _ask(self, method: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        if body is not None:
            headers |= _MERGE
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECS)
        try:
            async with (
                open_session(timeout=timeout, connector={"ssl": self._tls}) as session,
                session.request(
                    method, self._url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                return answer.status, await beginning_of(answer.content, _MOST_ANSWER)
        except TimeoutError:
            raise ConfigMapError(f"{self._url}: no answer within {_TIMEOUT_SECS:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConfigMapError(f"{self._url}: {cause_of(error)}") from None

    def _content(self, body: bytes) -> Content:
        try:
            answer = read_json(body, _Answer)
        except msgspec.DecodeError as error:
            raise ConfigMapError(f"{self._url}: no ConfigMap: {error}") from None
        return Content(answer.metadata.resource_version, answer.data or {})

    def _refusal(self, status: int, body: bytes) -> str:
        words = body[:300].decode("utf-8", "replace")
        # What is not a Status of the API is told by its beginning.
        with contextlib.suppress(msgspec.DecodeError, KeyError):
            words = str(read_json(body, dict[str, object])["message"])
        hint = ""
        if status == 403:
            hint = "; the service account needs get and patch on this ConfigMap"
        return f"{self.name}: the Kubernetes API answered {status}: {words[:300]}{hint}"


def _server(settings: WorkbenchSettings) -> str:
    if settings.kubernetes_api is not None:
        return settings.kubernetes_api.rstrip("/")
    server = kubernetes_server()
    if server is None:
        raise ConfigError(
            ["workbench.apply: configmap works in a pod; else set workbench.kubernetes_api"]
        )
    return server
