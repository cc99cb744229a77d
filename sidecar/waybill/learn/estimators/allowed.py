"""The exact names that a joblib file of a classifier may use. Nothing else is ever looked up.

A pickle names what it wants by module and name, and whatever is found can be called. So no module
is trusted as a whole: a class is here when a scikit-learn classifier with ``predict_proba`` is made
of it and its own code does nothing but arithmetic on its attributes. Classes whose compiled code
trusts what it is given (trees of neighbours) are not here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

__all__ = ["CLASSES", "resolve"]

#: Classes of which an object without arguments is made and then given its attributes.
CLASSES: Mapping[str, frozenset[str]] = {
    "scipy.sparse._csr": frozenset({"csr_matrix", "csr_array"}),
    "sklearn._loss.link": frozenset(
        {"IdentityLink", "Interval", "LogitLink", "LogLink", "MultinomialLogit"}
    ),
    "sklearn._loss.loss": frozenset(
        {"ExponentialLoss", "HalfBinomialLoss", "HalfMultinomialLoss", "HalfSquaredError"}
    ),
    "sklearn.calibration": frozenset(
        {
            "CalibratedClassifierCV",
            "_CalibratedClassifier",
            "_SigmoidCalibration",
            "_TemperatureScaling",
        }
    ),
    "sklearn.decomposition._pca": frozenset({"PCA"}),
    "sklearn.decomposition._truncated_svd": frozenset({"TruncatedSVD"}),
    "sklearn.discriminant_analysis": frozenset(
        {"LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"}
    ),
    "sklearn.dummy": frozenset({"DummyClassifier"}),
    "sklearn.ensemble._bagging": frozenset({"BaggingClassifier"}),
    "sklearn.ensemble._forest": frozenset({"ExtraTreesClassifier", "RandomForestClassifier"}),
    "sklearn.ensemble._gb": frozenset({"GradientBoostingClassifier"}),
    "sklearn.ensemble._hist_gradient_boosting.binning": frozenset({"_BinMapper"}),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": frozenset(
        {"HistGradientBoostingClassifier"}
    ),
    "sklearn.ensemble._hist_gradient_boosting.predictor": frozenset({"TreePredictor"}),
    "sklearn.ensemble._stacking": frozenset({"StackingClassifier"}),
    "sklearn.ensemble._voting": frozenset({"VotingClassifier"}),
    "sklearn.ensemble._weight_boosting": frozenset({"AdaBoostClassifier"}),
    "sklearn.isotonic": frozenset({"IsotonicRegression"}),
    "sklearn.linear_model._logistic": frozenset({"LogisticRegression", "LogisticRegressionCV"}),
    "sklearn.linear_model._ridge": frozenset({"RidgeClassifier", "RidgeClassifierCV"}),
    "sklearn.linear_model._stochastic_gradient": frozenset({"SGDClassifier"}),
    "sklearn.multiclass": frozenset({"OneVsOneClassifier", "OneVsRestClassifier"}),
    "sklearn.naive_bayes": frozenset(
        {"BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB"}
    ),
    "sklearn.neighbors._classification": frozenset({"KNeighborsClassifier"}),
    "sklearn.neighbors._nearest_centroid": frozenset({"NearestCentroid"}),
    "sklearn.neural_network._multilayer_perceptron": frozenset({"MLPClassifier"}),
    "sklearn.neural_network._stochastic_optimizers": frozenset({"AdamOptimizer", "SGDOptimizer"}),
    "sklearn.pipeline": frozenset({"Pipeline"}),
    "sklearn.preprocessing._data": frozenset(
        {"MaxAbsScaler", "MinMaxScaler", "Normalizer", "RobustScaler", "StandardScaler"}
    ),
    "sklearn.preprocessing._label": frozenset({"LabelBinarizer", "LabelEncoder"}),
    "sklearn.svm._classes": frozenset({"LinearSVC", "NuSVC", "SVC"}),
    "sklearn.tree._classes": frozenset(
        {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier"}
    ),
    "sklearn.utils._bunch": frozenset({"Bunch"}),
}


def resolve(module: str, name: str) -> type | None:
    """The class of exactly that name in exactly that module; None when it is not listed.

    The class must say of itself that it is of that module: a name that only leads there is refused.
    """
    if name not in CLASSES.get(module, ()):
        return None
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
    if isinstance(found, type) and found.__module__ == module and found.__name__ == name:
        return found
    return None
