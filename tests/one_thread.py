"""Imported before numpy: its matrices are small here, and a second thread would only spin.

OpenBLAS reads the variable when numpy is imported. A training of the tests took 28 s of processor
time with two threads and 8 s with one, as `waybill.cli.main` finds when serving. The child
processes of the tests inherit it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
