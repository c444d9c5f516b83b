"""KL on the base model's answers: exact where every token is looked at, never above that where some are lumped together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tunewell.evaluate.asks import Ask
from tunewell.evaluate.drift import divergence, drift_asks
from tunewell.model.attention import enable_packed_attention
from tunewell.model.drift import Likeliest, likeliest_tokens, log_probabilities_at
from tunewell.model.score import Continuations
from tunewell.records import Message

_ITEMS = [Continuations([1, 40, 41, 42], [[50, 51, 52]]), Continuations([1, 60], [[70]])]


def test_over_all_tokens_it_is_the_kl_of_both_models_and_over_some_it_is_less(tiny_model: Path) -> None:
    base, tuned = (AutoModelForCausalLM.from_pretrained(tiny_model).eval() for _ in range(2))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in tuned.parameters():
            weight += 0.1 * torch.randn_like(weight)
        expected = []
        for item in _ITEMS:
            ids = torch.tensor([[*item.prompt, *item.choices[0]]])
            one, other = (model(ids).logits[0, len(item.prompt) - 1 : -1].double().log_softmax(-1) for model in (base, tuned))
            expected.append(float((one.exp() * (one - other)).sum()))
    for model in (base, tuned):
        enable_packed_attention(model)
    for count in (1000, 64, 4):
        seen = list(likeliest_tokens(base, _ITEMS, count=count))
        assert [len(places) for places in seen] == [3, 1]
        found = [divergence(*pair) for pair in zip(seen, log_probabilities_at(tuned, _ITEMS, seen), strict=True)]
        assert all(0 < value <= most + 1e-4 for value, most in zip(found, expected, strict=True))
        if count == 1000:
            assert found == pytest.approx(expected, rel=1e-3)
        again = list(log_probabilities_at(base, _ITEMS, seen))
        assert [divergence(*pair) for pair in zip(seen, again, strict=True)] == pytest.approx([0, 0], abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=3, max_size=8), st.integers(1, 2))
def test_it_is_never_negative_and_a_bucket_never_adds_to_it(weights: list[tuple[float, float]], kept: int) -> None:
    base, tuned = (np.array(side) / sum(side) for side in zip(*weights, strict=True))

    def seen(shares: np.ndarray, count: int) -> list[Likeliest]:
        rest = float(shares[count:].sum())
        return [Likeliest(list(range(count)), np.log(shares[:count]).tolist(), float(np.log(rest)) if rest else -1e4)]

    whole = divergence(seen(base, len(base)), seen(tuned, len(base)))
    assert whole == pytest.approx(float((base * np.log(base / tuned)).sum()), abs=1e-9)
    assert 0 <= divergence(seen(base, kept), seen(tuned, kept)) <= whole + 1e-9


def test_half_of_the_prompts_are_domain_questions_and_half_general_ones() -> None:
    asks = [
        Ask(probe, variant, f"{variant}{number}", "f", "en", (Message("user", f"{number}?"),))
        for probe, variant in (("domain", "unseen"), ("leakage", "general"), ("leakage", "near_miss"))
        for number in range(20)
    ]
    chosen = drift_asks(asks, count=9)
    assert [ask.variant for ask in chosen] == ["unseen"] * 5 + ["general"] * 4
    assert drift_asks(asks, count=0) == []
