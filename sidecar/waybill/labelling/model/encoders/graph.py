"""A graph of a bundle: an onnxruntime session that reads no other file and whose runs end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import onnxruntime as ort

from waybill.core.errors import BundleError

__all__ = ["Graph", "open_graph"]

#: A graph may have loops. A text takes milliseconds, and longer where a machine is very busy.
_TEXT_SECS = 20.0
#: Where a graph may look for weights of its own: no folder, so that it has none but those that the
#: manifest names.
_ELSEWHERE = "/dev/null"

Run = Callable[[Mapping[str, Any]], list[Any]]


class Graph:
    """Inputs in, outputs out. Thread-safe."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    @contextlib.contextmanager
    def limited(self, texts: int) -> Iterator[Run]:
        """Runs for so many texts; those that take too long are ended.

        They raise what onnxruntime raises.
        """
        options = ort.RunOptions()
        limit = threading.Timer(_TEXT_SECS * texts, setattr, (options, "terminate", True))
        limit.daemon = True
        limit.start()
        try:
            yield lambda inputs: self._session.run(None, inputs, options)
        finally:
            limit.cancel()


def open_graph(code: Literal["encoder", "classifier"], content: bytes) -> Graph:
    """A graph that grows no memory arena and does not spin while idle.

    It has one thread: the model tier works on several texts side by side instead. Raises
    `BundleError`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _ELSEWHERE
    )
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise BundleError(code, f"onnxruntime refuses the {code}: {error}") from error
    # It keeps the file for a change of providers, which never comes: 22 MB of the default encoder.
    session._model_bytes = None  # noqa: SLF001 - there is no other way
    return Graph(session)
