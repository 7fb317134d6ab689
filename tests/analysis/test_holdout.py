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


def test_the_best_of_many_useless_features_is_worth_nothing_in_the_one_left_out():
    """The circular way finds an effect in nothing; the summary's intervals hold zero as often as they say."""
    circular, held = [], []
    for seed in range(200):
        effects = np.random.default_rng(seed).normal(size=(8, 50))  # of each feature in each participant
        result = leave_one_participant_out(
            np.arange(8),
            choose=lambda others, effects=effects: int(np.argmax(effects[others].mean(axis=0))),
            test=lambda feature, own, effects=effects: effects[own, feature].mean(),
            random_state=0,
        )
        circular.append(effects.mean(axis=0).max())
        low, high = result.summary.loc["value", ["t_low", "t_high"]]
        held.append((result.summary.loc["value", "mean"], low <= 0 <= high))
    mean, covered = np.mean(held, axis=0)
    print(f"chosen on all {np.mean(circular):.2f}, on the others {mean:.3f}; intervals hold 0 in {covered:.1%}")
    assert np.mean(circular) > 0.6
    assert abs(mean) < 0.06
    assert covered > 0.88


def test_what_holds_in_everyone_is_found_in_everyone():
    effects = np.random.default_rng(0).normal(size=(8, 50))
    effects[:, 7] += 3
    result = leave_one_participant_out(
        np.arange(8), lambda others: int(np.argmax(effects[others].mean(axis=0))), lambda j, own: effects[own, j].mean()
    )
    assert set(result.choices.values()) == {7}
    assert result.summary.loc["value", "t_low"] > 1


def test_one_participant_and_results_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"two or more participants; got \['p1'\]"):
        leave_one_participant_out(["p1", "p1"], lambda mask: 1, lambda choice, mask: 1.0)
    with pytest.raises(ValueError, match="test must give numbers, but for participant 'p1'"):
        leave_one_participant_out(PARTICIPANTS, lambda mask: 1, lambda choice, mask: "high")
