"""Recipes: every mistake at once, and nothing that is misspelt passes in silence."""

from collections import Counter
from pathlib import Path

import pytest

from tunewell.bundled import asset
from tunewell.errors import RecipeError
from tunewell.recipe import Recipe, load_recipe


def _write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_five_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        """
        modle: smollm2-135m
        data: {ratio: {open: 1, domian: 3}}
        train: {method: loar, rank: 0, epoch: 3}
        """,
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.exit_code == 2
    assert caught.value.where == str(path)
    assert str(caught.value).startswith(f"{path}: 5 mistakes in the recipe\n")
    assert sorted(caught.value.problems) == [
        "data.ratio.domian: unknown key; allowed: open, domain; did you mean `domain`?",
        next(problem for problem in caught.value.problems if problem.startswith("modle: unknown key; allowed: model, template")),
        next(problem for problem in caught.value.problems if problem.startswith("train.epoch: unknown key")),
        "train.method: 'loar' is not valid; allowed: full, lora, qlora; did you mean `lora`?",
        "train.rank: 0 is not valid; input should be greater than or equal to 1",
    ]
    assert any(problem.endswith("did you mean `model`?") for problem in caught.value.problems)
    assert any(problem.endswith("did you mean `epochs`?") for problem in caught.value.problems)


def test_a_value_with_several_allowed_types_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(_write(tmp_path, "train: {targets: 5}"))
    assert len(caught.value.problems) == 1


def test_a_missing_key_inside_a_section_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.turns\.multi: this key is required here"):
        load_recipe(_write(tmp_path, "data: {turns: {single: 3}}"))


@pytest.mark.parametrize(
    ("text", "words"), [("", "holds no keys"), ("- a\n- b", "holds no keys"), ("a: [1", "is not YAML"), ("model: \x00", "YAML")]
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(_write(tmp_path, text))


def test_a_missing_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file") as caught:
        load_recipe(tmp_path / "nothing.yaml")
    assert "tunewell init" in caught.value.hint


def test_overrides_change_single_keys_and_are_checked(tmp_path: Path) -> None:
    path = _write(tmp_path, "train: {rank: 4}")
    recipe = load_recipe(path, ["train.epochs=2.5", "data.ratio.open=0", "train.targets=[q_proj, v_proj]"])
    assert (recipe.train.rank, recipe.train.epochs, recipe.data.ratio.open) == (4, 2.5, 0)
    assert recipe.train.targets == ["q_proj", "v_proj"]
    with pytest.raises(RecipeError, match=r"train\.rnak: unknown key"):
        load_recipe(path, ["train.rnak=2"])
    with pytest.raises(RecipeError, match=r"expected section\.key=value"):
        load_recipe(path, ["train.rank"])
    with pytest.raises(RecipeError, match="`rank` is not a section"):
        load_recipe(path, ["train.rank.x=2"])
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, ["train.targets=[q_proj"])
    assert caught.value.problems[0].startswith("--set train.targets=[q_proj: is not YAML: while parsing a flow sequence")
    assert caught.value.where == str(path)


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = """
        model: model
        data: {domain: [a.jsonl], open: [/b.json], test: [test/*.jsonl]}
        generate: {replay_prompts: [c.txt], seeds: [d.jsonl, e.jsonl], max_new_tokens: 7}
    """
    recipe = load_recipe(_write(tmp_path, text))
    assert recipe.model == str(tmp_path / "model")
    assert recipe.data.domain == [str(tmp_path / "a.jsonl")]
    assert recipe.data.open == ["/b.json"]
    assert recipe.data.test == [str(tmp_path / "test" / "*.jsonl")]
    assert recipe.generate.replay_prompts == [str(tmp_path / "c.txt")]
    assert recipe.generate.seeds == [str(tmp_path / "d.jsonl"), str(tmp_path / "e.jsonl")]
    assert recipe.generate.max_new_tokens == 7


def test_a_model_that_is_no_folder_is_left_as_a_name(tmp_path: Path) -> None:
    assert load_recipe(_write(tmp_path, "model: owner/name")).model == "owner/name"


def test_every_shipped_recipe_is_valid() -> None:
    recipes = [path for path in asset().rglob("*.yaml") if path.parent.name in {"demo", "init"}]
    assert len(recipes) >= 3
    for path in recipes:
        recipe = load_recipe(path)
        assert recipe.data.domain
        for source in (*recipe.data.domain, *recipe.data.open, *recipe.data.test):
            assert Path(source).exists(), f"{path.name} names {source}"


def test_every_key_is_documented_and_no_section_is_long() -> None:
    schema = Recipe.model_json_schema()
    sections = {"Recipe": schema, **schema["$defs"]}
    fields = [(section, name, value) for section, part in sections.items() for name, value in part["properties"].items()]
    assert [f"{section}.{name}" for section, name, value in fields if not value.get("description")] == []
    assert {section: n for section, n in Counter(section for section, _, _ in fields).items() if n > 16} == {}
    assert len(fields) <= 120, "sections themselves counted"


def test_the_smallest_recipe_of_the_design_is_valid(tmp_path: Path) -> None:
    load_recipe(_write(tmp_path, "model: m\ndata: {domain: [x], open: [y], ratio: {open: 1, domain: 3}}"))
