"""Each rule of the diagnosis fires where it should, and is silent on a good training."""

import numpy as np
import pytest

from convia.report.diagnosis import RULES, Course, diagnose
from convia.texts import LANGUAGES, speaker

GOOD = {
    "loss": [1.5, 0.6, 0.3, 0.2, 0.17, 0.165],
    "accuracy": [0.5, 0.8, 0.9, 0.94, 0.95, 0.95],
    "val_loss": [1.2, 0.6, 0.35, 0.26, 0.25, 0.251],
    "val_accuracy": [0.6, 0.8, 0.88, 0.92, 0.93, 0.93],
    "learning_rate": [0.001] * 6,
}
SIZES = {"images": [100] * 4, "class_names": list("abcd"), "tested": 400, "held_out": 500, "accuracy": 0.93}


def course(history=None, **facts):
    return Course(GOOD | (history or {}), **(SIZES | facts))


CASES = {
    "diverged": [course({"loss": [1.0, 2.0, np.nan], "val_loss": [1.0, np.nan, np.nan]})],
    "rate_too_high": [
        course({"loss": [1.5, 0.9, 1.4, 0.8, 1.3, 0.9]}),
        course({"loss": [1.5, 1.6, 1.59, 1.58, 1.57, 1.56]}),
    ],
    "not_learning": [course({"accuracy": [0.24, 0.25, 0.26, 0.25, 0.25, 0.25]})],
    "overfitting": [
        course({"val_loss": [1.2, 0.6, 0.4, 0.45, 0.5, 0.6]}),
        course({"accuracy": [0.5, 0.8, 0.95, 0.99, 1.0, 1.0], "val_accuracy": [0.5, 0.6, 0.7, 0.7, 0.7, 0.7]}),
    ],
    "not_converged": [course({"val_loss": [1.4, 1.2, 1.0, 0.8, 0.65, 0.5]})],
    "underfitting": [course({"accuracy": [0.4, 0.5, 0.55, 0.56, 0.56, 0.56]})],
    "leak": [course(duplicates=5)],
    "imbalance": [course(images=[500, 100, 100, 50])],
    "few_test": [course(tested=40)],
}


def found(given):
    return [finding.rule for finding in diagnose(given, speaker("en"))]


def test_every_rule_has_cases():
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize(("rule", "given"), [(rule, given) for rule, every in CASES.items() for given in every])
def test_a_rule_fires(rule, given):
    assert rule in found(given)


def test_a_good_training_is_healthy():
    assert found(course()) == ["healthy"]


@pytest.mark.parametrize(
    "given",
    [
        course(duplicates=2),  # of 500
        course(tested=0),
        course(images=[100, 90, 80, 20]),
        course({"loss": [1.5, 0.6, 0.3, 0.2, 0.17, 0.172]}),  # noise at the end
        Course({"loss": [0.5]}),
        Course({"loss": [1.0, 0.5, 0.49, 0.49], "mae": [1.0, 0.5, 0.4, 0.4]}),
    ],
)
def test_noise_is_no_finding(given):
    assert found(given) == ["healthy"]


def test_what_is_fine_tuned_should_be_fine_tuned_longer():
    given = course({"val_loss": [1.4, 1.2, 1.0, 0.8, 0.65, 0.5]}, border=2)
    remedies = {finding.rule: finding.remedy for finding in diagnose(given, speaker("en"))}
    assert remedies["not_converged"] == "Train longer: --fine-tune 10."


def test_texts_say_what_was_seen_and_what_to_do():
    texts = {finding.rule: finding for finding in diagnose(CASES["overfitting"][0], speaker("en"))}
    assert "validation loss 0.6 in the end, 0.4 at its best" in texts["overfitting"].text
    assert "weights of epoch 3" in texts["overfitting"].remedy
    high = {finding.rule: finding for finding in diagnose(CASES["rate_too_high"][0], speaker("es"))}["rate_too_high"]
    assert high.remedy == "Pruebe --learning-rate 0.0001." and "subió en 2 de 5 épocas" in high.text
    few = diagnose(CASES["few_test"][0], speaker("en"))[0]
    assert "± 8%" in few.text  # 1.96 · √(0.93 · 0.07 / 40) = 0.079


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("given", [given for every in CASES.values() for given in every])
def test_all_texts_are_filled_in(given, lang):
    for finding in diagnose(given, speaker(lang)):
        assert finding.text and finding.remedy and "{" not in finding.text + finding.remedy
