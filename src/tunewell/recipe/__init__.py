"""The recipe: one experiment, whole. `schema` says what may stand in it, `loading` reads it and reports every mistake at once.

To add a key: a field with its type, default and sentence in `schema`; if it lists paths, its name in `loading`; then `make docs`.
"""

from tunewell.recipe.loading import load_recipe, recipe_from_values, with_overrides
from tunewell.recipe.schema import (
    Budget,
    Clean,
    Data,
    DataUnit,
    Evaluate,
    Gate,
    Generate,
    Guard,
    Judge,
    Method,
    Prices,
    Ratio,
    Recipe,
    RuleName,
    StartFrom,
    TaskName,
    Teacher,
    Train,
    Turns,
    Variant,
    WhenShort,
    recipe_schema,
)

__all__ = [
    "Budget",
    "Clean",
    "Data",
    "DataUnit",
    "Evaluate",
    "Gate",
    "Generate",
    "Guard",
    "Judge",
    "Method",
    "Prices",
    "Ratio",
    "Recipe",
    "RuleName",
    "StartFrom",
    "TaskName",
    "Teacher",
    "Train",
    "Turns",
    "Variant",
    "WhenShort",
    "load_recipe",
    "recipe_from_values",
    "recipe_schema",
    "with_overrides",
]
