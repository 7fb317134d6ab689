"""Crossed random intercepts against dense evaluation, statsmodels and published fits."""

import numpy as np
import pytest
from scipy import optimize, stats

from sklearn_sae_encoding._solvers.mixed import (
    FixedParameters,
    crossed_sums,
    density_of_sums,
    design,
    fit,
    fit_mixed,
    level_effects,
    log_density,
)

# Davies and Goldsmith (eds), Statistical Methods in Research and Production, 4th ed. (1972), section 6.6: diameters on
# 24 plates (rows) of 6 penicillin samples.
PENICILLIN = np.fromstring(
    """27 23 26 23 23 21  27 23 26 23 23 21  25 21 25 24 24 20  26 23 25 23 23 20  25 22 26 22 23 20  24 22 25 23 22 19
    24 20 23 21 22 19  26 22 26 24 24 21  24 21 24 22 22 20  24 21 24 23 22 19  26 23 26 24 24 21  25 22 26 24 24 20
    26 24 26 24 25 22  26 23 26 23 23 20  26 23 25 24 24 22  25 22 25 23 23 20  25 21 24 23 23 20  25 22 24 23 23 19
    24 21 23 21 21 19  26 23 26 24 24 21  25 21 24 22 22 18  25 22 25 22 22 20  24 21 24 22 24 19  24 21 24 22 21 18
    """,
    sep=" ",
)
# Davies (1947): yields of 6 batches of dyestuff; and Box and Tiao (1973), simulated with no variance between batches.
DYESTUFF = np.fromstring(
    """1545 1440 1440 1520 1580  1540 1555 1490 1560 1495  1595 1550 1605 1510 1560  1445 1440 1595 1465 1545
    1595 1630 1515 1635 1625  1520 1455 1450 1480 1445""",
    sep=" ",
)
DYESTUFF2 = np.fromstring(
    """7.298 3.846 2.434 9.566 7.990  5.220 6.556 .608 11.788 -.892  .110 10.386 13.434 5.510 8.166
    2.212 4.852 7.092 9.288 4.980  .282 9.014 4.458 9.446 7.198  1.722 4.782 8.106 .758 3.758""",
    sep=" ",
)


def crossed_data(seed=0, n_rows=150, sizes=(7, 12), n_predictors=3):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(size, size=n_rows) for size in sizes]
    predictors = np.column_stack([np.ones(n_rows), rng.normal(3, 2, (n_rows, n_predictors - 1))])
    effects = sum(sd * rng.normal(size=size)[code] for sd, size, code in zip((1, 0.7, 0.5), sizes, codes, strict=False))
    return predictors, 5 + predictors @ rng.normal(size=n_predictors) + effects + rng.normal(size=n_rows), codes


def dense_covariance(codes, sizes, at):
    covariance = np.eye(len(codes[0]))
    for code, size, ratio in zip(codes, sizes, at.sd_ratios, strict=True):
        indicator = np.eye(size)[code]
        covariance += ratio**2 * indicator @ indicator.T
    return at.residual_variance * covariance


@pytest.mark.parametrize("sizes", [(9,), (7, 12), (12, 7), (5, 20, 8)])
def test_the_density_is_that_of_the_dense_normal_distribution(sizes):
    _, y, codes = crossed_data(sizes=sizes)
    at = FixedParameters(np.array([0.8, 0.3, 1.4])[: len(sizes)], 1.7)
    expected = stats.multivariate_normal(np.zeros(len(y)), dense_covariance(codes, sizes, at)).logpdf(y)
    assert log_density(y, codes, sizes, at) == pytest.approx(expected, abs=1e-9)


def test_the_density_of_rows_given_others_is_the_conditional_normal_density_with_new_levels_integrated_out():
    _, y, codes = crossed_data(sizes=(7, 12))
    at, sizes = FixedParameters(np.array([0.8, 0.6]), 1.3), (7, 12)
    test = codes[1] < 3  # these items occur in no other row
    covariance = dense_covariance(codes, sizes, at)
    inner = np.linalg.solve(covariance[np.ix_(~test, ~test)], covariance[np.ix_(~test, test)])
    mean = y[~test] @ inner
    conditional = covariance[np.ix_(test, test)] - covariance[np.ix_(test, ~test)] @ inner
    expected = stats.multivariate_normal(mean, conditional).logpdf(y[test])
    known, new = (crossed_sums(y[rows][:, None], [c[rows] for c in codes], sizes) for rows in (~test, test))
    assert density_of_sums(known.plus(new), at) - density_of_sums(known, at) == pytest.approx(expected, abs=1e-9)


def test_effects_of_levels_are_the_posterior_means_of_the_dense_model():
    _, y, codes = crossed_data(sizes=(12, 7))
    at, sizes = FixedParameters(np.array([0.8, 0.6]), 1.3), (12, 7)
    weights = np.linalg.solve(dense_covariance(codes, sizes, at), y)
    effects = level_effects(y, codes, sizes, at)
    for effect, code, size, ratio in zip(effects, codes, sizes, at.sd_ratios, strict=True):
        np.testing.assert_allclose(effect, ratio**2 * at.residual_variance * np.eye(size)[code].T @ weights, atol=1e-10)


@pytest.mark.parametrize("sizes", [(9,), (7, 12), (5, 20, 8)])
def test_the_gradient_is_the_slope_of_the_deviance(sizes):
    predictors, y, codes = crossed_data(sizes=sizes)
    basis = design.orthonormal_basis(predictors)
    sums = crossed_sums(np.column_stack([basis.columns, y]), codes, list(sizes))
    at = np.array([0.9, 0.4, 1.3])[: len(sizes)]
    slope = optimize.approx_fprime(at, lambda ratios: fit._profile(sums, ratios).deviance, 1e-7)
    np.testing.assert_allclose(fit._profile(sums, at).gradient, slope, rtol=1e-4, atol=1e-4)


def test_the_fit_is_the_maximum_of_the_dense_likelihood():
    predictors, y, codes = crossed_data(sizes=(7, 12))
    fitted = fit_mixed(predictors, y, codes, [7, 12])

    def deviance(parameters):
        at = FixedParameters(np.exp(parameters[:2]), np.exp(parameters[2]))
        residuals = y - predictors @ parameters[3:]
        return -stats.multivariate_normal(np.zeros(len(y)), dense_covariance(codes, (7, 12), at)).logpdf(residuals)

    start = np.concatenate([np.log(fitted.parameters.sd_ratios), [np.log(fitted.parameters.residual_variance)]])
    best = optimize.minimize(deviance, np.append(start + 0.2, fitted.coefficients), method="BFGS")
    assert fitted.log_likelihood == pytest.approx(-deviance(np.append(start, fitted.coefficients)), abs=1e-9)
    assert fitted.log_likelihood >= -best.fun - 1e-9
    np.testing.assert_allclose(fitted.coefficients, best.x[3:], atol=1e-3)
    assert fitted.scaled_gradient < 1e-8


def test_statsmodels_finds_the_same_likelihood_coefficients_and_standard_errors():
    import pandas as pd
    import statsmodels.formula.api as smf

    predictors, y, codes = crossed_data(seed=3, n_rows=200, sizes=(6, 9))
    fitted = fit_mixed(predictors, y, codes, [6, 9])
    table = pd.DataFrame({"y": y, "a": predictors[:, 1], "b": predictors[:, 2], "p": codes[0], "i": codes[1], "all": 1})
    parts = {"p": "0 + C(p)", "i": "0 + C(i)"}
    theirs = smf.mixedlm("y ~ a + b", table, groups="all", vc_formula=parts, re_formula="0").fit(reml=False)
    assert fitted.log_likelihood == pytest.approx(theirs.llf, abs=1e-4)
    np.testing.assert_allclose(fitted.coefficients, theirs.fe_params, atol=1e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(fitted.covariance)), theirs.bse_fe, rtol=5e-3)


def test_penicillin_gives_the_published_maximum_likelihood_fit():
    # tests of MixedModels.jl (plstwoscalar.jl), which agree with lme4's printed 332.2, .8456, 1.7706, .5499, .7446.
    fitted = fit_mixed(np.ones((144, 1)), PENICILLIN, [np.repeat(np.arange(24), 6), np.tile(np.arange(6), 24)], [24, 6])
    assert -2 * fitted.log_likelihood == pytest.approx(332.18834867227616, abs=1e-7)
    assert fitted.coefficients[0] == pytest.approx(22.972222222220246, abs=1e-9)
    assert np.sqrt(fitted.covariance[0, 0]) == pytest.approx(0.7445959664728862, abs=1e-6)
    np.testing.assert_allclose(fitted.parameters.sd_ratios, [1.5375772508259862, 3.2197509968696556], rtol=2e-5)
    assert np.sqrt(fitted.parameters.residual_variance) == pytest.approx(0.5499330872843194, abs=1e-6)


def test_dyestuff_gives_the_published_fit_of_one_random_intercept():
    fitted = fit_mixed(np.ones((30, 1)), DYESTUFF, [np.repeat(np.arange(6), 5)], [6])
    assert -2 * fitted.log_likelihood == pytest.approx(327.3270598811428, abs=1e-6)
    assert fitted.parameters.sd_ratios[0] == pytest.approx(0.752580, abs=1e-5)
    assert fitted.parameters.residual_variance == pytest.approx(2451.2501089607676, rel=1e-5)
    assert np.sqrt(fitted.covariance[0, 0]) == pytest.approx(17.69455188898009, rel=1e-5)


def test_a_variance_between_batches_that_is_not_there_is_exactly_zero_and_the_rest_is_ordinary_least_squares():
    fitted = fit_mixed(np.ones((30, 1)), DYESTUFF2, [np.repeat(np.arange(6), 5)], [6])
    assert fitted.parameters.sd_ratios[0] == 0.0
    assert fitted.parameters.residual_variance == pytest.approx(DYESTUFF2.var(), rel=1e-12)
    assert -2 * fitted.log_likelihood == pytest.approx(
        -2 * stats.norm(DYESTUFF2.mean(), DYESTUFF2.std()).logpdf(DYESTUFF2).sum()
    )


def test_the_order_of_the_factors_changes_nothing():
    predictors, y, codes = crossed_data(sizes=(5, 20, 8))
    one = fit_mixed(predictors, y, codes, [5, 20, 8])
    other = fit_mixed(predictors, y, codes[::-1], [8, 20, 5])
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(one.parameters.sd_ratios, other.parameters.sd_ratios[::-1], atol=1e-7)


def test_without_random_intercepts_it_is_least_squares():
    predictors, y, _ = crossed_data()
    fitted = fit_mixed(predictors, y, [], [])
    expected, square = np.linalg.lstsq(predictors, y)[:2]
    np.testing.assert_allclose(fitted.coefficients, expected, atol=1e-10)
    assert fitted.parameters.residual_variance == pytest.approx(square[0] / len(y))


def test_a_shift_and_scale_of_the_response_move_the_intercept_and_scale_the_rest():
    predictors, y, codes = crossed_data()
    one, other = (fit_mixed(predictors, response, codes, [7, 12]) for response in (y, 1000 + 20 * y))
    np.testing.assert_allclose(other.coefficients, 20 * one.coefficients + [1000, 0, 0], rtol=1e-8)
    np.testing.assert_allclose(other.parameters.sd_ratios, one.parameters.sd_ratios, rtol=1e-6)
    assert other.log_likelihood == pytest.approx(one.log_likelihood - len(y) * np.log(20), abs=1e-7)


def test_columns_that_earlier_ones_determine_are_left_out_and_change_nothing():
    predictors, y, codes = crossed_data()
    more = np.column_stack([predictors, 1e6 * (predictors[:, 1] - predictors[:, 2]), np.full(len(y), 3.0)])
    one, other = fit_mixed(predictors, y, codes, [7, 12]), fit_mixed(more, y, codes, [7, 12])
    assert np.isnan(other.coefficients).tolist() == [False] * 3 + [True] * 2
    np.testing.assert_allclose(other.coefficients[:3], one.coefficients, atol=1e-9)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-9)


def test_a_sparse_table_of_co_occurrences_gives_the_same_fit(monkeypatch):
    predictors, y, codes = crossed_data()
    dense = fit_mixed(predictors, y, codes, [7, 12])
    monkeypatch.setattr(design, "_SPARSE_FROM", 0)
    monkeypatch.setattr(design, "_SPARSE_BELOW", 2.0)
    assert not isinstance(crossed_sums(predictors, codes, [7, 12]).cross, np.ndarray)
    sparse = fit_mixed(predictors, y, codes, [7, 12])
    assert sparse.log_likelihood == pytest.approx(dense.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(sparse.coefficients, dense.coefficients, atol=1e-8)
