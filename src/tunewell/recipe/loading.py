"""From a YAML file and `--set section.key=value` to a recipe, or to every mistake in it at once."""

import copy
import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tunewell.errors import RecipeError
from tunewell.recipe.schema import Recipe

_PATHS = {"data": ("domain", "open", "test"), "generate": ("seeds", "replay_prompts")}
"""The keys of each section that list paths, which are relative to the recipe."""

_MAY_HOLD_SECRETS = {
    "teacher.key": "expected the name of an environment variable, such as OPENAI_API_KEY, never the key itself",
    "teacher.server": "expected an address such as http://127.0.0.1:8000/v1, without user, password or query",
}
"""What is said of these keys in place of a value that might be a secret."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply overrides such as `train.epochs=2`, and make its paths absolute.

    Raises `RecipeError` with every problem at once, each as `section.key: what, allowed, did you mean`.
    """
    values = with_overrides(_read_yaml(path), overrides, where=str(path))
    return recipe_from_values(values, where=str(path), folder=path.parent)


def with_overrides(values: dict[str, Any], overrides: Sequence[str], *, where: str) -> dict[str, Any]:
    """The values with each `section.key=value` set in them; values are written as in YAML. Raises `RecipeError`."""
    changed = copy.deepcopy(values)
    for override in overrides:
        _apply_override(changed, override, where=where)
    return changed


def recipe_from_values(values: Mapping[str, Any], *, where: str, folder: Path) -> Recipe:
    """Check values against the schema and resolve relative paths against `folder`. Raises `RecipeError`."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems = {_location(details): _explain(details) for details in error.errors()}
        raise RecipeError(list(problems.values()), where=where, hint="docs/recipe.md lists every key with its default") from None
    return _with_absolute_paths(recipe, folder.resolve())


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(["there is no such file"], where=str(path), hint="`tunewell init DIR` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([f"cannot be read: {error}"], where=str(path)) from None
    except yaml.YAMLError as error:
        raise RecipeError([f"is not YAML: {' '.join(str(error).split())}"], where=str(path)) from None
    if not isinstance(values, dict):
        raise RecipeError(["holds no keys"], where=str(path), hint="`tunewell init DIR` writes one to start from")
    return values


def _apply_override(values: dict[str, Any], override: str, *, where: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise RecipeError([f"--set {override}: expected section.key=value"], where=where)
    *sections, last = key.strip().split(".")
    target = values
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError([f"--set {override}: `{section}` is not a section"], where=where)
        target = inner
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError([f"--set {override}: is not YAML: {' '.join(str(error).split())}"], where=where) from None


def _location(details: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in details["loc"] if not str(part).startswith(("literal[", "list[", "[key]")))


def _explain(details: Mapping[str, Any]) -> str:
    location = details["loc"]
    name = _location(details)
    if details["type"] == "missing":
        return f"{name}: this key is required here"
    if details["type"] == "extra_forbidden":
        return f"{name}: unknown key; {_choices(location[-1], _allowed_keys(location[:-1]))}"
    if details["type"] == "contradiction":
        return str(details["msg"])
    given = details["input"]
    secret = _MAY_HOLD_SECRETS.get(re.sub(r"^judge\.by\.\d+\.", "teacher.", name))
    if secret:
        return f"{name}: {secret}"
    message = details["msg"][0].lower() + details["msg"][1:]
    if details["type"] == "literal_error":
        expected = str(details.get("ctx", {}).get("expected", ""))
        message = _choices(given, [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")])
    return f"{name}: {given!r} is not valid; {message}"


def _choices(given: object, allowed: Sequence[str]) -> str:
    guess = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    return f"allowed: {', '.join(allowed)}" + (f"; did you mean `{guess[0]}`?" if guess else "")


def _allowed_keys(location: Iterable[str | int]) -> list[str]:
    section: type[BaseModel] = Recipe
    for part in location:
        annotation: Any = section.model_fields[str(part)].annotation
        options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        section = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return list(section.model_fields)


def _with_absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    update: dict[str, Any] = {}
    for name, keys in _PATHS.items():
        section = getattr(recipe, name)
        update[name] = section.model_copy(update={key: [str(folder / path) for path in getattr(section, key)] for key in keys})
    if isinstance(recipe.train.start, dict):
        start = {how: str(folder / adapter) for how, adapter in recipe.train.start.items()}
        update["train"] = recipe.train.model_copy(update={"start": start})
    if (folder / recipe.model).is_dir():
        update["model"] = str(folder / recipe.model)
    if recipe.template.endswith((".yaml", ".yml")):
        update["template"] = str(folder / recipe.template)
    return recipe.model_copy(update=update)
