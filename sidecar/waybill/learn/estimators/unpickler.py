"""Reads a classifier from a joblib file without running anything that the file says.

A pickle is a program for a small machine. This machine knows only the instructions that joblib's
files of classifiers are written in, looks up nothing but listed names (`allowed`, `parts`), calls
nothing but functions of ours, makes objects without arguments, and gives attributes only to those
it has made.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from waybill.core.errors import BundleError
from waybill.learn.estimators.allowed import resolve
from waybill.learn.estimators.checks import check_part
from waybill.learn.estimators.parts import (
    FUNCTIONS,
    ArrayPart,
    DTypePart,
    Ignored,
    plain,
    refuse,
    set_array_state,
)
from waybill.learn.estimators.stream import open_joblib

__all__ = ["load_estimator"]

#: The reader in Python, whose instructions can be chosen; the one in C cannot be narrowed.
_Unpickler = vars(pickle)["_Unpickler"]

#: What protocols 2 to 5 write for numbers, text, containers, names and objects.
_INSTRUCTIONS = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK",
    "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "NONE",
    "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "LONG4", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES",
    "BINBYTES", "BINBYTES8", "BYTEARRAY8", "EMPTY_TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "TUPLE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT",
    "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET", "GLOBAL",
    "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD",
)  # fmt: skip
_FAULTS = (
    pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, AttributeError,
    ImportError, IndexError,
    KeyError, OverflowError, MemoryError, RecursionError, AssertionError,
)  # fmt: skip


class EstimatorUnpickler(_Unpickler):  # type: ignore[misc,valid-type]
    """The machine; one for each pickle (arrays of objects hold one of their own)."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        getattr(pickle, name)[0]: _Unpickler.dispatch[getattr(pickle, name)[0]]
        for name in _INSTRUCTIONS
    }

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._stream = stream
        #: The objects that were made; what is not among them gets no attributes.
        self.made: list[object] = []

    def load(self) -> object:
        """The object. Raises BundleError and what `_FAULTS` names."""
        try:
            return super().load()
        except KeyError as error:
            if isinstance(error.args[0], int):  # an instruction that is not in ``dispatch``
                raise refuse(f"the pickle instruction {bytes(error.args)!r}") from None
            raise

    def find_class(self, module: str, name: str) -> object:
        """What a listed name stands for. Raises BundleError for any other."""
        if (module, name) in FUNCTIONS:
            return FUNCTIONS[module, name]
        found = resolve(module, name)
        if found is None:
            raise refuse(f"the file wants {module}.{name}")
        return found

    def persistent_load(self, _: object) -> object:
        """Refuse references to what is outside the file."""
        raise refuse("a reference to something outside the file")

    def load_reduce(self) -> None:
        """Call a function of ours."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if function is ArrayPart or not _is_ours(function) or not isinstance(arguments, tuple):
            raise refuse(f"a call of {function!r}")
        self.stack[-1] = self._remember(function(*arguments))

    def load_newobj(self) -> None:
        """Make an object of a listed class, without arguments."""
        arguments = self.stack.pop()
        kind = self.stack.pop()
        is_listed = isinstance(kind, type) and (
            kind is ArrayPart or resolve(kind.__module__, kind.__name__) is kind
        )
        if not is_listed or arguments != ():
            raise refuse(f"an object of {kind!r}")
        self.stack.append(self._remember(kind.__new__(kind)))

    def load_build(self) -> None:
        """Give attributes to an object that was made here."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not any(target is one for one in reversed(self.made)):
            raise refuse(f"a state for {type(target).__name__}")
        if isinstance(target, ArrayPart):
            array = target.read(state, self._stream, self._nested)
            self.stack[-1] = array
        elif isinstance(target, DTypePart):
            target.set_state(state)
        elif isinstance(target, np.ndarray):
            set_array_state(target, state)
        elif not isinstance(target, Ignored | np.random.RandomState | np.random.Generator):
            _set_attributes(target, state)

    def load_append(self) -> None:
        """Append to a list."""
        self._must_hold(-2, list)
        super().load_append()

    def load_appends(self) -> None:
        """Append to a list."""
        self._must_hold_below_mark(list)
        super().load_appends()

    def load_setitem(self) -> None:
        """Set one item of a dict."""
        self._must_hold(-3, dict)
        super().load_setitem()

    def load_setitems(self) -> None:
        """Set items of a dict."""
        self._must_hold_below_mark(dict)
        super().load_setitems()

    def load_additems(self) -> None:
        """Add to a set."""
        self._must_hold_below_mark(set)
        super().load_additems()

    def _must_hold(self, at: int, kind: type) -> None:
        if not isinstance(self.stack[at], kind):
            raise refuse(f"items for {type(self.stack[at]).__name__}")

    def _must_hold_below_mark(self, kind: type) -> None:
        if not isinstance(self.metastack[-1][-1], kind):
            raise refuse(f"items for {type(self.metastack[-1][-1]).__name__}")

    def _remember(self, made: object) -> object:
        self.made.append(made)
        return made

    def _nested(self) -> object:
        """The pickle that stands here in the stream: the values of an array of objects."""
        inner = EstimatorUnpickler(self._stream)
        found = inner.load()
        self.made += inner.made
        return found


for _name in ("REDUCE", "NEWOBJ", "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"):
    EstimatorUnpickler.dispatch[getattr(pickle, _name)[0]] = getattr(
        EstimatorUnpickler, f"load_{_name.lower()}"
    )


def _is_ours(function: object) -> bool:
    return callable(function) and any(function is one for one in FUNCTIONS.values())


def _set_attributes(target: object, state: object) -> None:
    """Set what the state names, unless it would stand in for a method."""
    if not isinstance(state, Mapping):
        raise refuse(f"a state of {type(target).__name__} without names")
    attributes: dict[str, object] = {}
    for name, value in state.items():
        if (
            not isinstance(name, str)
            or name.startswith("__")
            or callable(getattr(type(target), name, None))
        ):
            raise refuse(f"an attribute {name!r} of {type(target).__name__}")
        attributes[name] = plain(value)
    set_state = getattr(target, "__setstate__", None)
    if set_state is not None:
        set_state(attributes)
    else:
        vars(target).update(attributes)


def load_estimator(path: Path) -> object:
    """The classifier in a joblib file.

    Raises BundleError: ``missing_file``, ``pickle`` (not a file that joblib makes of a classifier
    of scikit-learn, or damaged), ``classifier`` (fitted, but without ``predict_proba``).
    """
    machine = EstimatorUnpickler(open_joblib(path))
    try:
        estimator = machine.load()
        for part in machine.made:
            check_part(part)
        is_classifier = _is_classifier(estimator)
    except BundleError as error:
        raise BundleError(error.code, f"{path}: {error.detail}") from error
    except _FAULTS as error:
        raise BundleError("pickle", f"{path}: {error}") from error
    if not is_classifier:
        raise BundleError(
            "classifier",
            f"{path}: {type(estimator).__name__} is not a fitted classifier with predict_proba",
        )
    return estimator


def _is_classifier(found: object) -> bool:
    kind = type(found)
    if resolve(kind.__module__, kind.__name__) is not kind:
        return False
    return hasattr(found, "predict_proba") and hasattr(found, "classes_")
