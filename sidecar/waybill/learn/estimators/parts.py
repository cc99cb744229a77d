"""What stands in for the functions that numpy and scikit-learn rebuild their objects with.

A pickle never gets the real ones: each here checks its arguments, takes no more than it needs, and
leaves no memory to be interpreted as something that it is not. Random generators come back as fresh
ones, since a prediction needs no random number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import IO, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from waybill.core.errors import BundleError

__all__ = ["FUNCTIONS", "ArrayPart", "DTypePart", "Ignored", "Marker", "plain", "refuse"]

Array: TypeAlias = npt.NDArray[np.generic]

#: Codes of types without object pointers, and of the object type itself.
_CODE = re.compile(r"[?biufcSUV]\d*|O8?")
_ENDIANS = frozenset("<>=|")
#: Positions in the state of a dtype: byte order, names, fields and item size (numpy's
#: dtype.__reduce__).
_ENDIAN, _NAMES, _FIELDS, _SIZE, _STATE_LENGTH = 1, 3, 4, 5, 8
#: Largest count of features, labels and outputs of a tree.
_MOST_COLUMNS = 1 << 24


def refuse(what: str) -> BundleError:
    """The error for a file that is not what joblib makes of a classifier."""
    return BundleError("pickle", f"{what}; only classifiers of scikit-learn are taken")


class Marker(msgspec.Struct, frozen=True):
    """A name that is only handed to one of `FUNCTIONS`."""

    name: str


class Ignored:
    """A part that a prediction does without; takes any state."""


class DTypePart:
    """A numpy type that is not finished before its state has come."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise refuse(f"the numpy type {code!r}")
        self.dtype = np.dtype(code)

    def set_state(self, state: object) -> None:
        """Take byte order and fields, and nothing that numpy itself would not say of
        such a type.
        """
        if not isinstance(state, tuple) or len(state) != _STATE_LENGTH:
            raise refuse("a numpy type with a malformed state")
        endian = state[_ENDIAN]
        if not isinstance(endian, str) or endian not in _ENDIANS:
            raise refuse("a numpy type without a byte order")
        made = self.dtype
        if state[_NAMES] is not None:
            made = _structure(state)
        elif endian in "<>":
            made = made.newbyteorder(endian)  # type: ignore[arg-type]
        told: tuple[object, ...] = made.__reduce__()[2]  # type: ignore[assignment]
        if _comparable(told) != _comparable(_with_plain_fields(state)):
            raise refuse(f"a numpy type that is not what it says: {made}")
        self.dtype = made


def _structure(state: tuple[object, ...]) -> np.dtype[np.void]:
    names, fields, size = state[_NAMES], state[_FIELDS], state[_SIZE]
    if not isinstance(names, tuple) or not isinstance(fields, dict) or not isinstance(size, int):
        raise refuse("a numpy record type without fields")
    formats: list[np.dtype[np.generic]] = []
    offsets: list[int] = []
    for name in names:
        field = fields.get(name)
        if not isinstance(field, tuple) or len(field) != 2 or not isinstance(field[0], DTypePart):
            raise refuse("a numpy record type without fields")
        formats.append(field[0].dtype)
        offsets.append(field[1])
    made = np.dtype(
        {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size}
    )
    if made.hasobject:
        raise refuse("a numpy record type with object fields")
    return made


def _with_plain_fields(state: tuple[object, ...]) -> tuple[object, ...]:
    """The state with finished types in its fields."""
    fields = state[_FIELDS]
    if not isinstance(fields, dict):
        return state
    finished: dict[object, object] = {}
    for name, field in fields.items():
        finished[name] = (field[0].dtype, *field[1:])
    return (*state[:_FIELDS], finished, *state[_SIZE:])


def _comparable(state: tuple[object, ...]) -> tuple[object, ...]:
    """A state without what may differ between versions and machines: version, byte order,
    alignment.
    """
    size, _, flags = state[_SIZE:]
    return (*state[2:_SIZE], size, flags)


class ArrayPart:
    """joblib's stand-in for an array whose bytes follow in the file."""

    def read(self, state: object, stream: IO[bytes], nested: Callable[[], object]) -> Array:
        """The array; ``nested`` reads the pickle that holds the values of an object array."""
        if not isinstance(state, Mapping) or not isinstance(state.get("dtype"), DTypePart):
            raise refuse("an array without a type")
        dtype, order = state["dtype"].dtype, state.get("order")
        shape = _checked_shape(state.get("shape"))
        count = math.prod(shape)
        if dtype.hasobject:
            found = nested()
            if not isinstance(found, np.ndarray) or found.dtype != object:
                raise refuse("a malformed array of objects")
            return found
        if state.get("numpy_array_alignment_bytes") is not None:
            stream.read(int.from_bytes(stream.read(1), "little"))
        data = stream.read(count * dtype.itemsize)
        if dtype.itemsize == 0 or len(data) != count * dtype.itemsize:
            raise refuse("an array that is cut off")
        array = np.frombuffer(data, dtype).copy()
        if order == "F":
            return _native(array.reshape(shape[::-1]).transpose())
        return _native(array.reshape(shape))


def set_array_state(array: Array, state: object) -> Array:
    """Give an empty array its content: numpy's ``ndarray.__setstate__``, checked."""
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DTypePart):
        raise refuse("an array with a malformed state")
    _, shape, part, is_fortran, data = state
    count = math.prod(_checked_shape(shape))
    expected = list if part.dtype.hasobject else bytes
    size = count if part.dtype.hasobject else count * part.dtype.itemsize
    if not isinstance(data, expected) or len(data) != size:
        raise refuse("an array whose content does not fit")
    array.__setstate__((1, shape, part.dtype, bool(is_fortran), data))  # type: ignore[arg-type]
    return array


def _native(array: Array) -> Array:
    if array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _checked_shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > 8:
        raise refuse("an array without a shape")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise refuse("an array without a shape")
    return shape


def _new_array(kind: object, shape: object, _: object) -> Array:
    """As numpy's ``_reconstruct``, for empty arrays of its own class."""
    if kind != Marker("ndarray") or shape != (0,):
        raise refuse("an array of a class of its own")
    return np.empty((0,), np.int8)


def _scalar(part: object, data: object = b"") -> np.generic:
    if not isinstance(part, DTypePart) or part.dtype.hasobject or not isinstance(data, bytes):
        raise refuse("a malformed number")
    if part.dtype.itemsize == 0 or len(data) != part.dtype.itemsize:
        raise refuse("a malformed number")
    found: np.generic = np.frombuffer(data, part.dtype)[0]
    return found


def _from_buffer(data: object, part: object, shape: object, order: object) -> Array:
    if not isinstance(part, DTypePart) or part.dtype.hasobject or not part.dtype.itemsize:
        raise refuse("an array without a type")
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F"):
        raise refuse("an array without content")
    if len(data) != math.prod(_checked_shape(shape)) * part.dtype.itemsize:
        raise refuse("an array whose content does not fit")
    flat = np.frombuffer(bytes(data), part.dtype).copy()
    return _native(flat.reshape(shape, order=order))  # type: ignore[call-overload]


def _bytes(text: object, encoding: object) -> bytes:
    """Bytes as protocol 2 spells them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise refuse("text in an encoding of its own")
    return text.encode("latin1")


def _tree(features: object, classes: object, outputs: object) -> object:
    """An empty decision tree."""
    from sklearn.tree._tree import Tree

    if not isinstance(features, int) or not isinstance(outputs, int):
        raise refuse("a tree without a size")
    if not 0 < features <= _MOST_COLUMNS or not 0 < outputs <= _MOST_COLUMNS:
        raise refuse("a tree without a size")
    if not isinstance(classes, np.ndarray) or classes.shape != (outputs,):
        raise refuse("a tree without a size")
    if classes.dtype != np.intp or (classes < 1).any() or (classes > _MOST_COLUMNS).any():
        raise refuse("a tree without a size")
    return Tree(features, classes, outputs)


def _loss(name: str) -> Callable[..., object]:
    def make(*_: object) -> object:
        from sklearn._loss import _loss

        return getattr(_loss, name)()

    return make


def _random_state(*_: object) -> object:
    return np.random.RandomState(0)


def _generator(*_: object) -> object:
    return np.random.default_rng(0)


def _ignored(*_: object) -> object:
    return Ignored()


#: (module, name) as a pickle spells it, and what it gets.
FUNCTIONS: dict[tuple[str, str], object] = {
    ("_codecs", "encode"): _bytes,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): ArrayPart,
    ("numpy", "dtype"): DTypePart,
    ("numpy", "ndarray"): Marker("ndarray"),
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy.random._mt19937", "MT19937"): Marker("MT19937"),
    ("numpy.random._pcg64", "PCG64"): Marker("PCG64"),
    ("numpy.random._pickle", "__bit_generator_ctor"): _ignored,
    ("numpy.random._pickle", "__generator_ctor"): _generator,
    ("numpy.random._pickle", "__randomstate_ctor"): _random_state,
    ("numpy.random.bit_generator", "SeedSequence"): Marker("SeedSequence"),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): _ignored,
    ("sklearn.tree._tree", "Tree"): _tree,
}
for _name in (
    "CyExponentialLoss",
    "CyHalfBinomialLoss",
    "CyHalfMultinomialLoss",
    "CyHalfSquaredError",
):
    FUNCTIONS["sklearn._loss._loss", _name] = _loss(_name)
    FUNCTIONS["sklearn._loss._loss", f"__pyx_unpickle_{_name}"] = _loss(_name)


def plain(value: object) -> object:
    """A value as an attribute: a type that is finished, never a function of ours."""
    if isinstance(value, DTypePart):
        return value.dtype
    if isinstance(value, Marker | type | FunctionType | BuiltinFunctionType):
        raise refuse("a function where a value belongs")
    return value
