"""The classes that saved encoders are made of: what isn't in these tables is neither saved nor loaded.

Names are those under which users import a class, so that a saved encoder doesn't depend on where it is defined.
"""

from __future__ import annotations

import importlib
import sys

# This package's classes, one line each, and what is left out, with its reason. A test finds those that are in neither.
OURS = (
    "sklearn_sae_encoding.activations.LMActivationTransformer",
    "sklearn_sae_encoding.banded.BandedRidgeEncoder",
    "sklearn_sae_encoding.encoder.SparseVoxelEncoder",
    "sklearn_sae_encoding.expectations.NextTokenPredictionError",
    "sklearn_sae_encoding.language_model.LanguageModel",
    "sklearn_sae_encoding.masking.MaskedTargetRegressor",
    "sklearn_sae_encoding.masking.PycortexMasker",
    "sklearn_sae_encoding.pipeline.BandedFeatureRegressor",
    "sklearn_sae_encoding.pipeline.TextFeatureUnion",
    "sklearn_sae_encoding.reading.CategorySums",
    "sklearn_sae_encoding.reading.ChosenFeatures",
    "sklearn_sae_encoding.reading.FeatureComponents",
    "sklearn_sae_encoding.residuals.FeaturePredictionError",
    "sklearn_sae_encoding.residuals.SAEResidual",
    "sklearn_sae_encoding.sae.SAEProjector",
    "sklearn_sae_encoding.surprisal.SurprisalTransformer",
    "sklearn_sae_encoding.timing.BandUnion",
    "sklearn_sae_encoding.timing.RunwiseDelayer",
    "sklearn_sae_encoding.timing.RunwiseRegressor",
    "sklearn_sae_encoding.timing.WordsToScans",
    "sklearn_sae_encoding._sae.arrays.SAEArrays",  # an SAE that was learnt, or given as an object
)
NOT_SAVED = {
    "sklearn_sae_encoding.analysis.RandomDictionary": "a control that compare_dictionaries draws again from its seed",
    "sklearn_sae_encoding.analysis.SemiNMF": "a dictionary of token rows, which compare_dictionaries fits again",
    "sklearn_sae_encoding.reading.ReadingTimeModel": "its formula may hold Python expressions, which run when it "
    "predicts; it is fitted again in seconds",
}

# scikit-learn's estimators whose fitted state is numbers that NumPy and SciPy compute with. Left out are those whose
# compiled code believes fitted indices or counts (trees, neighbours, libsvm, one-hot encoding, vocabularies), and
# searches, which make other estimators.
SCIKIT_LEARN = {
    "compose": "ColumnTransformer TransformedTargetRegressor",
    "cross_decomposition": "CCA PLSCanonical PLSRegression",
    "decomposition": "FactorAnalysis FastICA IncrementalPCA NMF PCA TruncatedSVD",
    "dummy": "DummyRegressor",
    "feature_selection": "GenericUnivariateSelect SelectKBest SelectPercentile VarianceThreshold",
    "impute": "MissingIndicator SimpleImputer",
    "kernel_approximation": "Nystroem RBFSampler",
    "kernel_ridge": "KernelRidge",
    "linear_model": "ARDRegression BayesianRidge ElasticNet ElasticNetCV HuberRegressor Lars LarsCV Lasso LassoCV "
    "LassoLars LassoLarsCV LassoLarsIC LinearRegression MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso "
    "MultiTaskLassoCV OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV Ridge RidgeCV SGDRegressor",
    "model_selection": "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut "
    "PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold "
    "StratifiedShuffleSplit TimeSeriesSplit",
    "multioutput": "MultiOutputRegressor RegressorChain",
    "pipeline": "FeatureUnion Pipeline",
    "preprocessing": "Binarizer FunctionTransformer KernelCenterer MaxAbsScaler MinMaxScaler "
    "Normalizer OrdinalEncoder PolynomialFeatures PowerTransformer QuantileTransformer RobustScaler "
    "StandardScaler",
    "random_projection": "GaussianRandomProjection SparseRandomProjection",
}
NILEARN = (
    "NiftiLabelsMasker NiftiMapsMasker NiftiMasker NiftiSpheresMasker SurfaceLabelsMasker SurfaceMapsMasker "
    "SurfaceMasker"
)

STATES = frozenset(OURS) | {f"sklearn.{at}.{name}" for at, names in SCIKIT_LEARN.items() for name in names.split()}
MASKERS = frozenset(f"nilearn.maskers.{name}" for name in NILEARN.split())


def name_of(kind: type) -> str | None:
    """The name of a class in the tables; None if it isn't in any."""
    for name in STATES | MASKERS if kind.__qualname__ in _SHORT_NAMES else ():
        module, _, short = name.rpartition(".")
        if short == kind.__qualname__ and getattr(sys.modules.get(module), short, None) is kind:
            return name
    return None


def find_class(name: str, table: frozenset[str]) -> type:
    """The class of a name in a table."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"it names the class {name}, which is not made from a file")
    module, _, short = name.rpartition(".")
    return getattr(importlib.import_module(module), short)


_SHORT_NAMES = {name.rpartition(".")[2] for name in STATES | MASKERS}
