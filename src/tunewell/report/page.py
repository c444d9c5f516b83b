"""The HTML page: charts, template and scripts put together into one file that needs no network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
import vl_convert

import tunewell
from tunewell.bundled import asset
from tunewell.report import content, data_tables, generated, judges
from tunewell.report.facts import Facts
from tunewell.report.figures import figures
from tunewell.report.funnel import funnel_steps
from tunewell.report.slices import clip, leaks, new_questions, pairs, won_and_lost
from tunewell.report.words import Words, number, p_value, places, share, size

_PREVIEW_CHARACTERS = 4000


def render_page(facts: Facts, words: Words, *, title: str) -> str:
    """The whole report as one HTML text."""
    domain = new_questions(pairs(facts.results, "domain"))
    changes = [pair.difference("rouge_l") for pair in domain]
    steps = funnel_steps(facts, words)
    specs = figures(facts, words, steps=steps, changes=changes)
    scripts = [_bundle(), _text("page.js")]
    context = {
        "facts": facts,
        "words": words,
        "content": content,
        "data": data_tables,
        "generated": generated,
        "judges": judges,
        "title": title,
        "version": tunewell.__version__,
        "confidence": content.confidence_text(facts),
        "charts": specs.keys(),
        "steps": steps,
        "changes": changes,
        "seen_only": all(pair.tuned.variant == "seen" for pair in domain),
        "examples": won_and_lost(domain),
        "leaks": leaks(facts.results),
        "preview_characters": _PREVIEW_CHARACTERS,
        "policy": _policy(scripts),
        "styles": _text("page.css"),
        "scripts": scripts,
        "specs": _inline_json(specs),
        "theme": _inline_json(json.loads(_text("chart_theme.json"))),
    }
    return _environment().get_template("page.html.j2").render(context)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "places": places, "p_value": p_value, "share": share, "size": size, "clip": clip}
    return environment


def _inline_json(value: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, whatever text is inside."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _policy(scripts: Sequence[str]) -> str:
    """Only the scripts of the page may run, and nothing may be loaded from anywhere."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    # Vega and its tooltip set styles on elements; without a source to load from, that is harmless.
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    # A browser turns carriage returns into line feeds, and the hash would no longer fit.
    assert "\r" not in bundle
    return bundle.replace("</script", "<\\/script")


def _text(name: str) -> str:
    return asset("report", *name.split("/")).read_text(encoding="utf-8")
