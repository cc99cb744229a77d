"""Texts of records as they may leave the process: without secrets and personal data.

The cleaning is that of the LLM tier (`waybill.labelling.llm.privacy`), with the operator's own
patterns (``llm.private_patterns``). It takes 80 µs a text, so it is done when somebody looks.
"""

from __future__ import annotations

from waybill.core.prepare import without_escapes
from waybill.labelling.llm.errors import PrivacyError
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.memo import BoundedMap
from waybill.settings.addresses import ip_of

__all__ = ["HIDDEN", "Shown"]

#: Stands in for a text that could not be cleaned.
HIDDEN = "<private>"
_KEPT_BYTES = 512 << 10


class Shown:
    """Cleans texts and remembers some of them."""

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy
        self._kept: BoundedMap[str] = BoundedMap(_KEPT_BYTES)

    def text(self, text: str) -> str:
        """A message or a mask as it may be shown, on one line."""
        found = self._kept.get(text)
        if found is None:
            try:
                found = self._privacy.clean(without_escapes(text))
            except PrivacyError:
                found = HIDDEN
            self._kept.put(text, found)
        return found

    def source(self, name: str) -> str:
        """The name of a source; an address of a machine is one, and nothing to hide."""
        return self.text(name) if ip_of(name.strip("[]")) is None else name
