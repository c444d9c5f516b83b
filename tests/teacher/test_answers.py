"""Reading answers: what is repaired, what is asked again, and what a strict schema looks like."""

from typing import Any

import pytest
from pydantic import BaseModel

from tunewell.teacher.answers import Problem, correction, in_words, read, response_format
from tunewell.teacher.cache import Completion


class Part(BaseModel):
    name: str
    size: int = 1


class Whole(BaseModel):
    title: str
    parts: list[Part]


def _completion(text: str, finish: str = "stop", refusal: str = "") -> Completion:
    return Completion(text, finish, refusal, 10, 5, None)


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "a", "parts": [{"name": "b", "size": 2}]}',
        '```json\n{"title": "a", "parts": [{"name": "b", "size": 2}]}\n```',
        'Sure, here it is: {"title": "a", "parts": [{"name": "b", "size": 2},],}',
        "{'title': 'a', 'parts': [{'name': 'b', 'size': 2}]}",
        '{"title": "a", "parts": [{"name": "b", "size": "2"}]}',
    ],
)
def test_json_in_any_dress_is_read(text: str) -> None:
    assert read(_completion(text), Whole) == Whole(title="a", parts=[Part(name="b", size=2)])


@pytest.mark.parametrize(
    ("completion", "problem"),
    [
        (_completion("I would rather not."), Problem("not_json", "expected JSON, got 'I would rather not.'")),
        (_completion("  \n"), Problem("empty", "the answer has no text")),
        (_completion('{"title": "a", "parts": [', "length"), Problem("cut", "not at its end after 5 tokens")),
        (_completion("", refusal="No."), Problem("refused", "No.")),
        (_completion("x", "content_filter"), Problem("refused", "stopped by the server's content filter")),
        (_completion('{"title": "a"}'), Problem("wrong_shape", "parts: Field required")),
        (
            _completion('{"title": "a", "parts": [{"name": "b", "size": 7.5}]}'),
            Problem("wrong_shape", "parts.0.size: Input should be a valid integer, got a number with a fractional part"),
        ),
    ],
)
def test_what_cannot_be_used_has_a_reason(completion: Completion, problem: Problem) -> None:
    assert read(completion, Whole) == problem


@pytest.mark.parametrize("thoughts", ["<think>{'title': 'no'}</think>", "<thinking>\nHm.\n</thinking>\n", "[ is odd… </think>"[1:]])
def test_what_a_model_thinks_aloud_is_no_part_of_its_answer(thoughts: str) -> None:
    answer = '{"title": "a </think> b", "parts": []}'
    assert read(_completion(thoughts + answer), Whole) == Whole(title="a </think> b", parts=[])
    assert read(_completion(answer), Whole) == Whole(title="a </think> b", parts=[])
    assert read(_completion(f"{thoughts} Hello."), None) == "Hello."
    assert read(_completion("<think>Only that.</think>"), None) == Problem("empty", "the answer has no text")


@pytest.mark.parametrize("text", ['{"title": "cut \\ud83d", "parts": []}', 'Here: {"title": "cut \\ud83d", "parts": []}'])
def test_half_a_character_never_gets_into_a_row(text: str) -> None:
    assert read(_completion(text), Whole) == Whole(title="cut ?", parts=[])


def test_free_text_is_taken_as_it_is() -> None:
    assert read(_completion(" Hello. \n"), None) == "Hello."


def test_nesting_without_end_is_no_crash() -> None:
    assert isinstance(read(_completion("[" * 100_000), Whole), Problem)
    assert read(_completion("{" * 5_000), Whole) == Problem("not_json", "nested without end")


def test_the_schema_is_strict_all_the_way_down() -> None:
    form = response_format(Whole)["json_schema"]
    assert (form["name"], form["strict"]) == ("Whole", True)

    def objects(schema: Any) -> list[Any]:
        inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
        here = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
        return here + [found for part in inner for found in objects(part)]

    found = objects(form["schema"])
    assert len(found) == 2
    for schema in found:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
        assert not any("default" in value for value in schema["properties"].values())


def test_a_second_asking_names_the_fault_and_the_shape() -> None:
    problem = Problem("wrong_shape", "parts: Field required")
    assert correction(problem, Whole).startswith("Your answer cannot be used: parts: Field required. Answer again. Give one JSON")
    assert in_words(Whole) in correction(problem, Whole)
    assert correction(Problem("cut", ""), None) == "Your answer was too long and was cut off. Answer again, much shorter."
