"""Choices are made without the participant on whom they are tested."""

import numpy as np
import pytest

from sklearn_sae_encoding.analysis import leave_one_participant_out

PARTICIPANTS = np.repeat(["p1", "p2", "p3", "p4"], [3, 5, 2, 4])


def test_the_masks_part_the_voxels_and_the_choice_reaches_its_own_test():
    seen = []

    def choose(others):
        return others

    def test(choice, own):
        assert not (choice & own).any()
        assert (choice | own).all()
        seen.append(set(PARTICIPANTS[own]))
        return {"n": own.sum(), "others": choice.sum()}

    result = leave_one_participant_out(PARTICIPANTS, choose, test)
    assert seen == [{"p1"}, {"p2"}, {"p3"}, {"p4"}]
    assert result.results["n"].tolist() == [3, 5, 2, 4]
    assert result.results["others"].tolist() == [11, 9, 12, 10]
    assert result.results.index.tolist() == list(result.choices) == ["p1", "p2", "p3", "p4"]
    assert result.summary.loc["n", "mean"] == 3.5
    assert result.summary.loc["n", "n"] == 4


@pytest.mark.parametrize("choose_on", [None, [0, 1, 2, 3]], ids=["leave one out", "four and four"])
def test_the_best_of_many_useless_features_is_worth_nothing_where_it_was_not_chosen(choose_on):
    """The circular way finds an effect in nothing; intervals, where they are given, hold zero as often as they say."""
    circular, means, held = [], [], []
    for seed in range(300):
        effects = np.random.default_rng(seed).normal(size=(8, 50))  # of each feature in each participant
        result = leave_one_participant_out(
            np.arange(8),
            choose=lambda others, effects=effects: int(np.argmax(effects[others].mean(axis=0))),
            test=lambda feature, own, effects=effects: effects[own, feature].mean(),
            choose_on=choose_on,
            n_bootstraps=10,
            random_state=0,
        )
        circular.append(effects.mean(axis=0).max())
        mean, low, high = result.summary.loc["value", ["mean", "t_low", "t_high"]]
        means.append(mean)
        held.append(low <= 0 <= high)
    print(
        f"chosen on all {np.mean(circular):.2f}, without {np.mean(means):.3f}; intervals hold 0 in {np.mean(held):.1%}"
    )
    assert np.mean(circular) > 0.6
    assert abs(np.mean(means)) < 0.1
    if choose_on is None:
        assert np.isnan([low, high]).all()
    else:
        assert abs(np.mean(held) - 0.95) < 0.03


def test_one_choice_serves_all_that_it_was_not_made_on():
    used = []
    result = leave_one_participant_out(
        PARTICIPANTS,
        lambda mask: used.append(set(PARTICIPANTS[mask])) or "choice",
        lambda choice, own: own.sum(),
        choose_on=["p4", "p1"],
    )
    assert used == [{"p1", "p4"}]
    assert result.results["value"].to_dict() == {"p2": 5, "p3": 2}
    for wrong in (["p5"], [], ["p1", "p2", "p3", "p4"]):
        with pytest.raises(ValueError, match="must be some of the participants"):
            leave_one_participant_out(PARTICIPANTS, lambda mask: 1, lambda choice, own: 1.0, choose_on=wrong)


def test_what_holds_in_everyone_is_found_in_everyone():
    effects = np.random.default_rng(0).normal(size=(8, 50))
    effects[:, 7] += 3
    result = leave_one_participant_out(
        np.arange(8), lambda others: int(np.argmax(effects[others].mean(axis=0))), lambda j, own: effects[own, j].mean()
    )
    assert set(result.choices.values()) == {7}
    assert result.summary.loc["value", "mean"] > 2


def test_one_participant_and_results_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"two or more participants; got \['p1'\]"):
        leave_one_participant_out(["p1", "p1"], lambda mask: 1, lambda choice, mask: 1.0)
    with pytest.raises(ValueError, match="test must give numbers, but for participant 'p1'"):
        leave_one_participant_out(PARTICIPANTS, lambda mask: 1, lambda choice, mask: "high")
