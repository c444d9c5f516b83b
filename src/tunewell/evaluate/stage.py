"""The stage `evaluate`: base and tuned model on the same items, every answer kept."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from tunewell.bundled import asset
from tunewell.errors import DataError
from tunewell.evaluate.asks import Ask, brittleness_asks, constraint_asks, domain_asks, facets_of, leakage_asks
from tunewell.evaluate.constraints import constraint_measures
from tunewell.evaluate.definitions import rouge_l
from tunewell.evaluate.domain import domain_measures
from tunewell.evaluate.leakage import SceneDetector
from tunewell.evaluate.metrics import corpus_metrics, facet_metrics
from tunewell.evaluate.respond import AnswerLoss, Reply, Respondent
from tunewell.evaluate.subject import ModelName, Questions, retention_results
from tunewell.memory import release_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.generate import Decoding
from tunewell.model.lineage import Trained, open_trained
from tunewell.model.load import load_base, load_tokenizer, load_trained, number_format
from tunewell.recipe import Evaluate, Recipe
from tunewell.records import RESULT_SCHEMA, Example, Result, Summary, result_to_row
from tunewell.retention import languages_of, retention_items
from tunewell.store import digest, folder_digest, read_examples, write_json, write_rows
from tunewell.template import check_contract, open_format


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Ask both models everything and write `results/` (one row per model and item), `metrics.json` and `slices.json`.

    The tuned model is the base with the adapter folded in, as it is shipped, or the model that full training left. Raises
    `DataError` where there is no test item.
    """
    tests = list(read_examples(inputs["mix"] / "test"))
    if not tests:
        hint = "give `data.test`, or set `data.holdout` above 0 and more domain rows"
        raise DataError("there is no test item", where=str(inputs["mix"] / "test"), hint=hint)
    rows = list(read_examples(inputs["mix"] / "train"))
    questions = _questions(tests, settings.evaluate)
    detector = _scene_detector(rows, languages_of(tests))
    tokenizer = load_tokenizer(inputs["model"])
    chat = open_format(settings.template, tokenizer)
    trained = open_trained(inputs["train"], inputs["model"])
    check_contract(trained.folder, chat, tokenizer)

    results: list[Result] = []
    for subject in _subjects(inputs["model"], trained):
        model = subject.load()
        enable_packed_attention(model)
        decoding = Decoding(settings.evaluate.batch, chat.stop_ids, settings.evaluate.max_new_tokens)
        identity = digest([subject.weights, str(model.dtype), chat.hash, decoding.batch, decoding.max_new_tokens])
        respondent = Respondent(subject.name, model, chat, decoding, out_dir / "journal" / identity)
        results.extend(_question(subject.name, respondent, questions, detector))
        del model, respondent
        release_memory()

    results = _judged(results, questions.asks, settings, out_dir)
    count = write_rows(out_dir / "results", RESULT_SCHEMA, map(result_to_row, results))
    domain = [result for result in results if result.probe == "domain"]
    metrics = corpus_metrics(domain, confidence=settings.gate.confidence, seed=settings.seed)
    write_json(out_dir / "metrics.json", metrics)
    slices = facet_metrics(domain, facets_of(tests), confidence=settings.gate.confidence, seed=settings.seed)
    write_json(out_dir / "slices.json", slices)
    cut = sum(result.measures.get("cut", 0) == 1 for result in domain)
    details = {"scene_detector_accuracy": round(detector.accuracy, 4), "tests": folder_digest(inputs["mix"] / "test")}
    return Summary({"results": count, "items": count // 2, "cut": cut}, details)


def _judged(results: list[Result], asks: Sequence[Ask], settings: Recipe, out_dir: Path) -> list[Result]:
    """The results, with `judge_score` where every judge scored both models' answers; what is known of the judges is written."""
    plan = settings.judge
    if not plan.by:
        return results
    from tunewell.evaluate.judge import Item, Terms, conversation, judge_answers

    answers = {(result.model, result.item): result.prediction for result in results if result.probe == "domain"}
    taken: Counter[str] = Counter()
    items = []
    for ask in asks:
        taken[ask.variant] += ask.probe == "domain"
        if ask.probe == "domain" and taken[ask.variant] <= plan.items:
            question = conversation(ask.messages, ask.language)
            both = (answers["base", ask.item], answers["tuned", ask.item])
            items.append(Item(ask.item, ask.family, ask.language, question, ask.reference, *both))
    terms = Terms(plan.mode, plan.repeats, plan.agreement, settings.gate.confidence, settings.seed)
    found = judge_answers(items, plan.by, out_dir / "judge", terms)
    write_json(out_dir / "judge.json", found.health)
    scores = {(model, item): score for model, of_items in found.scores.items() for item, score in of_items.items()}
    return [
        replace(result, measures={**result.measures, "judge_score": scores[result.model, result.item]})
        if result.probe == "domain" and (result.model, result.item) in scores
        else result
        for result in results
    ]


class _Subject(NamedTuple):
    """A model under test: what loads it, and the hashes of its weights."""

    name: ModelName
    load: Callable[[], PreTrainedModel]
    weights: list[str]


def _subjects(base: Path, trained: Trained) -> list[_Subject]:
    dtype = number_format().dtype
    return [
        _Subject("base", lambda: load_base(base, dtype), [folder_digest(base)]),
        _Subject("tuned", lambda: load_trained(trained, dtype), list(map(folder_digest, trained.parts))),
    ]


def _questions(tests: Sequence[Example], plan: Evaluate) -> Questions:
    languages = languages_of(tests)
    asks = [
        *domain_asks(tests, per_slice=plan.items),
        *brittleness_asks(tests, questions=plan.brittleness),
        *constraint_asks(tests, count=plan.constraints),
        *leakage_asks(languages, count=plan.leakage),
    ]
    return Questions(asks, retention_items(languages, count=plan.retention) if plan.retention else [])


def _question(name: ModelName, respondent: Respondent, questions: Questions, detector: SceneDetector) -> Iterator[Result]:
    replies = respondent.replies(questions.asks)
    domain = [ask for ask in questions.asks if ask.probe == "domain"]
    losses = dict(zip((ask.item for ask in domain), respondent.losses(domain), strict=True))
    for ask, reply in zip(questions.asks, replies, strict=True):
        yield _result(name, ask, reply.text, _measures(ask, reply, losses.get(ask.item), detector))
    yield from retention_results(name, respondent, questions.retention)


def _measures(ask: Ask, reply: Reply, loss: AnswerLoss | None, detector: SceneDetector) -> dict[str, float]:
    match ask.probe:
        case "domain":
            assert loss is not None, f"no loss for {ask.item}"
            return domain_measures(ask, reply, loss)
        case "brittleness":
            return {"rouge_l": rouge_l(reply.text, ask.reference), "held_out": float(ask.check["held_out"])}
        case "constraints":
            return constraint_measures(reply.text, ask.check["constraints"])
        case _:
            leak = detector.judge(reply.text)
            return {"leak": float(leak.is_leak), "domain_probability": leak.domain_probability, "overlap": leak.overlap}


def _result(name: ModelName, ask: Ask, prediction: str, measures: Mapping[str, float]) -> Result:
    return Result(ask.probe, ask.variant, ask.item, ask.family, ask.language, name, ask.prompt, ask.reference, prediction, measures)


def _scene_detector(trained: Sequence[Example], languages: Sequence[str]) -> SceneDetector:
    """Fitted on the answers of the run's own rows; the bundled general rows stand beside its open rows, which may be few."""
    domain = [example.answer for example in trained if example.pool == "domain"]
    general = [example.answer for example in trained if example.pool == "open"]
    for code in languages:
        rows = json.loads(asset("open", f"{code}.json").read_text(encoding="utf-8"))
        general.extend(row["output"] for row in rows)
    return SceneDetector(domain, sorted(set(general)))
