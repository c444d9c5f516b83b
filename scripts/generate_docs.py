"""Write the pages of docs/ that come from the code; `--check` only says whether they are current."""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from tunewell.clean import decide, rules
from tunewell.clean.contamination import contaminated
from tunewell.clean.near_duplicates import near_duplicates
from tunewell.clean.noise import noise
from tunewell.clean.novelty import novel_rows
from tunewell.clean.personal import personal
from tunewell.clean.reviewed import rejected
from tunewell.clean.superseded import superseded
from tunewell.clean.words import blacklist, control_tokens
from tunewell.cli.app import app
from tunewell.recipe import recipe_schema

DOCS = Path(__file__).parent.parent / "docs"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {
        DOCS / "cli.md": cli_page(),
        DOCS / "recipe.md": recipe_page(),
        DOCS / "rules.md": rules_page(),
        DOCS / "recipe.schema.json": json.dumps(recipe_schema(), indent=2) + "\n",
    }


def cli_page() -> str:
    """The help of every command."""
    command = get_command(app)
    context = typer.Context(command, info_name="tunewell", terminal_width=100, max_content_width=100)
    parts = ["# The command line", "Written by `make docs` from the commands' own help."]
    for name, help_text in _helps(context):
        parts += [f"## `{name}`", f"```text\n{help_text.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _helps(context: Any) -> Iterator[tuple[str, str]]:
    yield context.command_path, context.command.get_help(context)
    for name in getattr(context.command, "commands", {}):
        command = context.command.commands[name]
        yield from _helps(typer.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100))


def recipe_page() -> str:
    """Every key of a recipe with its type, default and meaning."""
    schema = recipe_schema()
    parts = [
        "# The recipe",
        "Written by `make docs` from the schema. Paths are relative to the recipe; unknown keys are errors.",
        "`recipe.schema.json` beside this page gives completion in editors.",
    ]
    own = {name: field for name, field in schema["properties"].items() if "$ref" not in field}
    parts += ["## Top level", _table(own, schema)]
    for name, field in schema["properties"].items():
        if "$ref" in field:
            section = _resolve(field, schema)
            parts += [f"## `{name}`", section["description"].strip(), _table(section["properties"], schema)]
    return "\n\n".join(parts) + "\n"


_RULES: dict[str, Callable[..., Any]] = {
    "rejected": rejected,
    "superseded": superseded,
    "empty": rules.empty,
    "too_short": rules.too_short,
    "too_long": rules.too_long,
    "language": rules.language,
    "noise": noise,
    "blacklist": blacklist,
    "echo": rules.echo,
    "control_tokens": control_tokens,
    "personal": personal,
    "contamination": contaminated,
    "duplicate": decide.duplicate,
    "contradiction": decide.contradiction,
    "near_duplicate": near_duplicates,
    "novelty": novel_rows,
}


def rules_page() -> str:
    """Every rule of cleaning, from its docstring."""
    assert tuple(_RULES) == rules.RULES, "every rule has its place here, in order"
    parts = [
        "# The rules of cleaning",
        "Written by `make docs` from the rules' own docstrings. They are applied in this order, each to the rows that the earlier "
        "ones left. `clean.skip: [NAME]` turns one off; every dropped row is in `3-clean/dropped` with its reason and detail.",
    ]
    for name, rule in _RULES.items():
        summary, _, body = (inspect.getdoc(rule) or "").partition("\n\n")
        facts = re.split(r"\n(?=[A-Z][a-z ]+: )", body.partition("\n\nArgs:")[0])
        parts += [
            f"## `{name}`",
            summary,
            "\n".join(f"- **{head}:** {_line(text)}" for head, _, text in (f.partition(": ") for f in facts)),
        ]
    return "\n\n".join(parts) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(fields: dict[str, Any], schema: dict[str, Any]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        default = json.dumps(field["default"], ensure_ascii=False) if "default" in field else "required"
        rows.append(f"| `{name}` | {_type(field, schema)} | `{default}` | {_cell(field['description'])} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in field:
        section = _resolve(field, schema)
        return "{" + ", ".join(f"{name}: {_type(inner, schema)}" for name, inner in section["properties"].items()) + "}"
    if "anyOf" in field:
        return " or ".join(_type(option, schema) for option in field["anyOf"])
    if "enum" in field or "const" in field:
        return " or ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "object":
        return f"mapping of text to {_type(field['additionalProperties'], schema)}"
    if field["type"] == "array":
        return f"list of {_type(field['items'], schema)}"
    bounds = [f"{sign} {field[key]}" for key, sign in _BOUNDS.items() if key in field]
    return " ".join([field["type"], ", ".join(bounds)]).strip()


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _resolve(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
    return section


def main() -> None:
    """Write the pages, or with `--check` list those that differ and exit 1."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"out of date: {', '.join(path.name for path in stale)}; run `make docs`")
        return
    DOCS.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
