"""Handback by HTTP push: to Vector's ``http_server`` source or Fluent Bit's ``in_http`` input.

Their rules differ and both are kept (``return.*`` settings):

===================  =========================  ===========================================
                     Vector ``http_server``     Fluent Bit ``in_http``
``return.format``    ``ndjson``                 ``json`` (one array per request)
``return.url``       ``http://host:port/``      ``http://host:port/{tag}`` (path becomes tag)
request size         100 MiB                    about 2 MB: ``return.max_bytes``
idle connections     kept                       closed after 10 s: ``return.idle_secs`` is 8
one bad record       refuses the whole request  stops there, keeps the ones before
===================  =========================  ===========================================
"""

from __future__ import annotations

from collections.abc import Sequence

from waybill.core.batch import Batch
from waybill.core.names import HandbackName
from waybill.core.records import Verdict
from waybill.handback.http_client import HttpClient
from waybill.handback.rendering import rendered
from waybill.settings.schema import ReturnSettings
from waybill.wire.codec import Codec
from waybill.wire.convert.to_json import JsonForm


class HttpHandback:
    """Pushes labelled records as JSON; done when every part was answered 2xx."""

    name: HandbackName = "http"

    def __init__(self, settings: ReturnSettings) -> None:
        self._form = JsonForm(lines=settings.format != "json")
        self._client = HttpClient(settings)

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in parts of at most ``max_bytes``.

        Raises:
            HandbackError: ``timeout``, ``connect``, ``closed``, ``refused`` or ``unavailable``.
        """
        records = await rendered(codec, batch, verdicts, self._form)
        await self._client.push(records, batch.tag)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._client.close()
