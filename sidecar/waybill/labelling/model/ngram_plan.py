"""Which character n-grams a model reads. Apart from `ngrams`, which needs numpy.

Every command knows the options of ``waybill model train``, and few of them count anything.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Ngrams", "Reading"]

#: A way to read a record: `waybill.labelling.model.reading`.
Reading = Annotated[int, msgspec.Meta(ge=0, le=2)]


class Ngrams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which n-grams: ``low`` to ``high`` bytes long, hashed into ``buckets`` columns.

    Rows have the length ``weight``. ``reading`` is the way in which the text is read first
    (`waybill.labelling.model.reading`); the first ``chars`` of that count, 0: all. The rest of a
    long record would drown what it says.
    """

    low: Annotated[int, msgspec.Meta(ge=1, le=8)] = 3
    high: Annotated[int, msgspec.Meta(ge=1, le=8)] = 5
    buckets: Annotated[int, msgspec.Meta(ge=16, le=1 << 20)] = 8192
    weight: Annotated[float, msgspec.Meta(gt=0)] = 3.0
    reading: Reading = 0
    chars: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
