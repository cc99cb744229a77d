"""From a manifest's word to an encoder."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

from waybill.core.errors import BundleError
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.labelling.model.encoders.gemini import GeminiEncoder
from waybill.labelling.model.encoders.onnx import TextEncoder
from waybill.labelling.model.encoders.sentence import SentenceEncoder
from waybill.labelling.model.manifest import Encoder


class Encoders:
    """The encoders that are in use, so that bundles with the same one share it.

    Those that nobody uses any more are forgotten. May be asked from several threads.
    """

    def __init__(self) -> None:
        self._open: weakref.WeakValueDictionary[str, VectorEncoder] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def open(
        self, encoder: Encoder, files: Mapping[str, bytes], sha256: Mapping[str, str]
    ) -> VectorEncoder:
        """As `open_encoder`, but the one that is open already. Raises as it does."""
        _check_pooling(encoder)
        identity = identity_of(encoder, sha256)
        if identity is None:
            return open_encoder(encoder, files, sha256)
        with self._lock:
            found = self._open.get(identity)
            if found is None:
                found = open_encoder(encoder, files, sha256)
                self._open[identity] = found
            return found


def identity_of(encoder: Encoder, sha256: Mapping[str, str]) -> str | None:
    """Names an encoder whose files are listed; None for one that is a service or a library."""
    if encoder.kind != "onnx" or not encoder.file or not encoder.tokenizer:
        return None
    order = ("", "-telling-first", "-reading-2")[encoder.way]
    return f"{sha256[encoder.file]}-{sha256[encoder.tokenizer]}-{encoder.max_tokens}{order}"


def open_encoder(
    encoder: Encoder, files: Mapping[str, bytes], sha256: Mapping[str, str]
) -> VectorEncoder:
    """The encoder that a manifest names. Raises BundleError (``encoder``)."""
    _check_pooling(encoder)
    match encoder.kind:
        case "onnx" if encoder.file and encoder.tokenizer:
            text_encoder = TextEncoder(
                files[encoder.file],
                files[encoder.tokenizer],
                encoder.max_tokens,
                reading=encoder.way,
            )
            text_encoder.identity = identity_of(encoder, sha256) or ""
            return text_encoder
        case "sentence-transformers" if encoder.model:
            return SentenceEncoder(encoder.model, encoder.max_tokens)
        case "gemini" if encoder.model:
            return GeminiEncoder(encoder.model, encoder.dimensions)
        case _:
            raise BundleError(
                "encoder", f"unknown kind {encoder.kind!r}, or its file or model is missing"
            )


def _check_pooling(encoder: Encoder) -> None:
    if encoder.pooling != "mean":
        raise BundleError("encoder", f"unknown pooling {encoder.pooling!r}")
