"""Prices: the recipe's before the table's, dated names, batches, and money that cannot be counted."""

import pytest

from tunewell.errors import TeacherError
from tunewell.recipe import Budget, Prices, Teacher
from tunewell.teacher.prices import Price, price_of


def _teacher(model: str, **options: object) -> Teacher:
    return Teacher.model_validate({"server": "http://127.0.0.1:1/v1", "model": model, **options})


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_names_of_one_model_have_one_price(model: str) -> None:
    assert price_of(_teacher(model)) == price_of(_teacher("gpt-4o-mini")) == Price(0.15 / 1e6, 0.6 / 1e6, "USD")


@pytest.mark.parametrize("model", ["gpt-4o-mini-audio", "my-gpt-4o", "smollm2"])
def test_another_model_has_no_price(model: str) -> None:
    assert price_of(_teacher(model)) is None


def test_the_recipe_goes_before_the_table_and_batches_cost_half() -> None:
    teacher = _teacher("gpt-4o", prices=Prices(input=4, output=8, currency="CNY"), batch=True)
    price = price_of(teacher)
    assert price == Price(2e-6, 4e-6, "CNY")
    assert price.of(1_000_000, 500_000) == pytest.approx(4.0)


def test_money_cannot_be_limited_without_a_price() -> None:
    with pytest.raises(TeacherError) as caught:
        price_of(_teacher("smollm2", budget=Budget(money=1)))
    assert caught.value.where == "teacher.budget.money"
    assert caught.value.what == "no price is known for the model smollm2, so its cost cannot be limited"
    assert "teacher.prices" in caught.value.hint
