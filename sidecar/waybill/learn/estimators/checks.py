"""What compiled code takes on trust: indices and shapes of trees, sparse matrices and support
vectors.

A wrong index there would be read from memory that is not the array's. Each check raises
BundleError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from waybill.learn.estimators.parts import refuse
from waybill.learn.estimators.stream import MOST_BYTES

__all__ = ["check_part"]

_VALUE_BYTES = 8
#: Of what holds itself.
_ENDLESS = 2 * MOST_BYTES
Ints = npt.NDArray[np.integer]


def check_part(part: object) -> None:
    """Check one object of the file, now that all of it is there."""
    _check_extent(part)
    check = _CHECKS.get(type(part).__name__)
    if sparse.issparse(part):
        check = _check_sparse
    if check is not None:
        check(part)


def _check_extent(part: object) -> None:
    """What stands in many places counts in each: lists of lists that are the same one are small in
    a file, and an array that is made of them is not.
    """
    attributes: dict[str, object] = getattr(part, "__dict__", {})
    if "n_jobs" in attributes:
        attributes["n_jobs"] = None  # threads are ours to choose
    known: dict[int, int] = {}
    for value in attributes.values():
        if _extent(value, known) > MOST_BYTES:
            raise refuse(f"an attribute of {type(part).__name__} that becomes too large")


def _extent(value: object, known: dict[int, int]) -> int:
    """Bytes of ``value`` when it is written out, about; ``known`` is that of containers by id."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.nbytes
    if isinstance(value, np.ndarray):
        inner: Iterable[object] = value.flat
    elif isinstance(value, dict):
        inner = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    else:
        return _VALUE_BYTES
    extent = known.setdefault(id(value), -1)
    if extent == -1:
        known[id(value)] = _ENDLESS  # until it is known, for what holds itself
        extent = known[id(value)] = sum(_extent(one, known) for one in inner) + _VALUE_BYTES
    return extent


def _check_sparse(matrix: object) -> None:
    for name in ("data", "indices", "indptr"):
        if not isinstance(getattr(matrix, name, None), np.ndarray):
            raise refuse("a sparse matrix without content")
    try:
        matrix.check_format(full_check=True)  # type: ignore[attr-defined]
    except Exception as error:  # scipy raises many kinds, assertions among them
        raise refuse(f"a malformed sparse matrix: {error}") from error


def _check_tree(tree: object) -> None:
    """Nodes of scikit-learn's trees stand before their children, so every way ends in a leaf."""
    left, right, features = (
        np.asarray(getattr(tree, name)) for name in ("children_left", "children_right", "feature")
    )
    _check_children(left, right, left == -1, len(left))
    inner = features[left != -1]
    if (inner < 0).any() or (inner >= tree.n_features).any():  # type: ignore[attr-defined]
        raise refuse("a tree that reads features that there are not")


def _check_predictor(predictor: object) -> None:
    nodes = getattr(predictor, "nodes", None)
    if not isinstance(nodes, np.ndarray) or not {"left", "right", "is_leaf"} <= set(
        nodes.dtype.names or ()
    ):
        raise refuse("a tree without nodes")
    if len(nodes) == 0 or nodes["is_categorical"].any():
        raise refuse("a tree without nodes, or with categories")
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_children(left, right, nodes["is_leaf"].astype(bool), len(nodes))


def _check_children(left: Ints, right: Ints, is_leaf: npt.NDArray[np.bool_], count: int) -> None:
    own = np.arange(count)
    for children in (left, right):
        inner = ~is_leaf
        if (children[inner] <= own[inner]).any() or (children[inner] >= count).any():
            raise refuse("a tree whose nodes lead nowhere")


def _check_support_vectors(machine: object) -> None:
    """Shapes that libsvm does not check (sklearn.svm._base, BaseLibSVM)."""
    vectors = getattr(machine, "support_vectors_", None)
    counts = getattr(machine, "_n_support", None)
    if vectors is None:  # not fitted: a part of another that is
        return
    if not isinstance(vectors, np.ndarray) or not isinstance(counts, np.ndarray):
        raise refuse("a support vector machine without vectors")
    labels, rows = len(counts), len(vectors)
    pairs = labels * (labels - 1) // 2
    shapes = {
        "_dual_coef_": (labels - 1, rows), "_intercept_": (pairs,), "support_": (rows,),
        "_probA": (pairs,), "_probB": (pairs,),
    }  # fmt: skip
    if (counts < 0).any() or int(counts.sum()) != rows:
        raise refuse("a support vector machine whose counts do not fit")
    for name, shape in shapes.items():
        found = getattr(machine, name, None)
        if not isinstance(found, np.ndarray) or found.shape != shape:
            raise refuse(f"a support vector machine whose {name} does not fit")


def _check_columns(estimator: object) -> None:
    """A tree reads no column behind those that its estimator takes."""
    tree = getattr(estimator, "tree_", None)
    if tree is not None and tree.n_features != getattr(estimator, "n_features_in_", None):
        raise refuse("a tree of another number of features")


def _check_boosted_columns(estimator: object) -> None:
    columns = getattr(estimator, "n_features_in_", 0)
    for stage in getattr(estimator, "_predictors", ()):
        for predictor in stage:
            nodes = predictor.nodes
            if nodes["feature_idx"].min() < 0 or nodes["feature_idx"].max() >= columns:
                raise refuse("a tree that reads features that there are not")


def _check_neighbours(estimator: object) -> None:
    """Labels are indices there (sklearn.metrics, ArgKminClassMode)."""
    labels, rows = getattr(estimator, "_y", None), getattr(estimator, "_fit_X", None)
    if rows is None:
        return
    classes = getattr(estimator, "classes_", None)
    if not isinstance(labels, np.ndarray) or not isinstance(classes, np.ndarray):
        raise refuse("neighbours without labels")
    if labels.dtype.kind != "i" or labels.shape != (rows.shape[0],):
        raise refuse("neighbours without labels")
    if (labels < 0).any() or (labels >= len(classes)).any():
        raise refuse("neighbours with labels that there are not")


_CHECKS: dict[str, Callable[[object], None]] = {
    "DecisionTreeClassifier": _check_columns,
    "DecisionTreeRegressor": _check_columns,
    "ExtraTreeClassifier": _check_columns,
    "HistGradientBoostingClassifier": _check_boosted_columns,
    "KNeighborsClassifier": _check_neighbours,
    "NuSVC": _check_support_vectors,
    "SVC": _check_support_vectors,
    "Tree": _check_tree,
    "TreePredictor": _check_predictor,
}
