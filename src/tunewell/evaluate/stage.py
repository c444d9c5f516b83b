"""The stage `evaluate`: base and tuned model on the same items, every answer kept."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from transformers import PreTrainedModel

from tunewell.bundled import asset
from tunewell.errors import DataError
from tunewell.evaluate.asks import Ask, brittleness_asks, constraint_asks, domain_asks, languages_of, leakage_asks
from tunewell.evaluate.constraints import follows
from tunewell.evaluate.domain import domain_measures
from tunewell.evaluate.leakage import SceneDetector
from tunewell.evaluate.metrics import corpus_metrics, rouge_l
from tunewell.evaluate.respond import AnswerLoss, Reply, Respondent
from tunewell.evaluate.retention import RetentionItem, retention_items
from tunewell.memory import release_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.generate import Decoding
from tunewell.model.load import load_base, load_tokenizer, load_tuned, number_format
from tunewell.recipe import Evaluate, Recipe
from tunewell.records import RESULT_SCHEMA, Example, Result, Summary, result_to_row
from tunewell.store import digest, folder_digest, read_examples, write_json, write_rows
from tunewell.template import check_contract, open_format

ModelName = Literal["base", "tuned"]


class _Questions(NamedTuple):
    asks: list[Ask]
    retention: list[RetentionItem]


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Ask both models everything and write `results/` (one row per model and item) and `metrics.json`.

    The tuned model is the base with the adapter folded in, as it is shipped. Raises `DataError` where there is no test item.
    """
    tests = list(read_examples(inputs["mix"] / "test"))
    if not tests:
        hint = "give `data.test`, or set `data.holdout` above 0 and more domain rows"
        raise DataError("there is no test item", where=str(inputs["mix"] / "test"), hint=hint)
    trained = list(read_examples(inputs["mix"] / "train"))
    questions = _questions(tests, settings.evaluate)
    detector = _scene_detector(trained, languages_of(tests))
    tokenizer = load_tokenizer(inputs["model"])
    chat = open_format(settings.template, tokenizer)
    check_contract(inputs["train"] / "adapter", chat, tokenizer)

    results: list[Result] = []
    for subject in _subjects(inputs["model"], inputs["train"] / "adapter"):
        model = subject.load()
        enable_packed_attention(model)
        decoding = Decoding(settings.evaluate.batch, chat.stop_ids, settings.evaluate.max_new_tokens)
        identity = digest([subject.weights, str(model.dtype), chat.hash, decoding.batch, decoding.max_new_tokens])
        respondent = Respondent(subject.name, model, chat, decoding, out_dir / "journal" / identity)
        results.extend(_question(subject.name, respondent, questions, detector))
        del model, respondent
        release_memory()

    count = write_rows(out_dir / "results", RESULT_SCHEMA, map(result_to_row, results))
    domain = [result for result in results if result.probe == "domain"]
    metrics = corpus_metrics(domain, confidence=settings.gate.confidence, seed=settings.seed)
    write_json(out_dir / "metrics.json", metrics)
    cut = sum(result.measures.get("cut", 0) == 1 for result in domain)
    details = {"scene_detector_accuracy": round(detector.accuracy, 4), "tests": folder_digest(inputs["mix"] / "test")}
    return Summary({"results": count, "items": count // 2, "cut": cut}, details)


class _Subject(NamedTuple):
    """A model under test: what loads it, and the hashes of its weights."""

    name: ModelName
    load: Callable[[], PreTrainedModel]
    weights: list[str]


def _subjects(base: Path, adapter: Path) -> list[_Subject]:
    dtype = number_format().dtype
    return [
        _Subject("base", lambda: load_base(base, dtype), [folder_digest(base)]),
        _Subject("tuned", lambda: load_tuned(base, adapter, dtype), [folder_digest(base), folder_digest(adapter)]),
    ]


def _questions(tests: Sequence[Example], plan: Evaluate) -> _Questions:
    languages = languages_of(tests)
    asks = [
        *domain_asks(tests, per_slice=plan.items),
        *brittleness_asks(tests, questions=plan.brittleness),
        *constraint_asks(tests, count=plan.constraints),
        *leakage_asks(languages, count=plan.leakage),
    ]
    return _Questions(asks, retention_items(languages, count=plan.retention) if plan.retention else [])


def _question(name: ModelName, respondent: Respondent, questions: _Questions, detector: SceneDetector) -> Iterator[Result]:
    replies = respondent.replies(questions.asks)
    domain = [ask for ask in questions.asks if ask.probe == "domain"]
    losses = dict(zip((ask.item for ask in domain), respondent.losses(domain), strict=True))
    for ask, reply in zip(questions.asks, replies, strict=True):
        yield _result(name, ask, reply.text, _measures(ask, reply, losses.get(ask.item), detector))
    for item, probabilities in zip(questions.retention, respondent.choices(questions.retention), strict=True):
        yield _retention_result(name, item, probabilities)


def _measures(ask: Ask, reply: Reply, loss: AnswerLoss | None, detector: SceneDetector) -> dict[str, float]:
    match ask.probe:
        case "domain":
            assert loss is not None, f"no loss for {ask.item}"
            return domain_measures(ask, reply, loss)
        case "brittleness":
            return {"rouge_l": rouge_l(reply.text, ask.reference), "held_out": float(ask.check["held_out"])}
        case "constraints":
            return {"followed": float(follows(reply.text, ask.check))}
        case _:
            leak = detector.judge(reply.text)
            return {"leak": float(leak.is_leak), "domain_probability": leak.domain_probability, "overlap": leak.overlap}


def _result(name: ModelName, ask: Ask, prediction: str, measures: Mapping[str, float]) -> Result:
    return Result(ask.probe, ask.variant, ask.item, ask.family, ask.language, name, ask.prompt, ask.reference, prediction, measures)


def _retention_result(name: ModelName, item: RetentionItem, probabilities: Sequence[float]) -> Result:
    chosen = max(range(len(probabilities)), key=probabilities.__getitem__)
    measures = {"correct": float(chosen == item.answer), "probability": probabilities[item.answer]}
    return Result(
        "retention",
        item.ability,
        item.question,
        item.question,
        item.language,
        name,
        item.question,
        item.choices[item.answer],
        item.choices[chosen],
        measures,
    )


def _scene_detector(trained: Sequence[Example], languages: Sequence[str]) -> SceneDetector:
    """Fitted on the answers of the run's own rows; the bundled general rows stand beside its open rows, which may be few."""
    domain = [example.answer for example in trained if example.pool == "domain"]
    general = [example.answer for example in trained if example.pool == "open"]
    for code in languages:
        rows = json.loads(asset("open", f"{code}.json").read_text(encoding="utf-8"))
        general.extend(row["output"] for row in rows)
    return SceneDetector(domain, sorted(set(general)))
