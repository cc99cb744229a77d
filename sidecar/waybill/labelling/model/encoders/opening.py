"""From a manifest's word to an encoder."""

from __future__ import annotations

from collections.abc import Mapping

from waybill.core.errors import BundleError
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.labelling.model.encoders.gemini import GeminiEncoder
from waybill.labelling.model.encoders.onnx import TextEncoder
from waybill.labelling.model.encoders.sentence import SentenceEncoder
from waybill.labelling.model.manifest import Encoder


def open_encoder(
    encoder: Encoder, files: Mapping[str, bytes], sha256: Mapping[str, str], threads: int
) -> VectorEncoder:
    """The encoder that a manifest names. Raises BundleError (``encoder``)."""
    if encoder.pooling != "mean":
        raise BundleError("encoder", f"unknown pooling {encoder.pooling!r}")
    match encoder.kind:
        case "onnx" if encoder.file and encoder.tokenizer:
            text_encoder = TextEncoder(
                files[encoder.file], files[encoder.tokenizer], encoder.max_tokens, threads=threads
            )
            text_encoder.identity = (
                f"{sha256[encoder.file]}-{sha256[encoder.tokenizer]}-{encoder.max_tokens}"
            )
            return text_encoder
        case "sentence-transformers" if encoder.model:
            return SentenceEncoder(encoder.model, encoder.max_tokens)
        case "gemini" if encoder.model:
            return GeminiEncoder(encoder.model, encoder.dimensions)
        case _:
            raise BundleError(
                "encoder", f"unknown kind {encoder.kind!r}, or its file or model is missing"
            )
