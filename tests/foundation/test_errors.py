"""Errors: what, where, hint, exit code; and a tree that its own docstring tells truly."""

import inspect

from tunewell import errors


def test_an_error_says_what_where_and_how_to_mend_it() -> None:
    error = errors.DataError("a comma is missing", where="rows.jsonl:3", hint="add it")
    assert str(error) == "rows.jsonl:3: a comma is missing\n\nhint: add it"
    assert str(errors.DataError("bare")) == "bare"


def test_the_docstring_names_every_error_with_its_exit_code() -> None:
    assert errors.__doc__ is not None
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.TunewellError)]
    assert len(classes) == 10
    for kind in classes:
        assert kind.__name__ in errors.__doc__
    assert (errors.TunewellError.exit_code, errors.DataError.exit_code, errors.RequirementNotMet.exit_code) == (1, 2, 3)
    assert errors.Preempted.exit_code == 0
