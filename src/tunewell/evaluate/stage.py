"""The stage `evaluate`: base and tuned model on the same items, every answer kept."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from tunewell.bundled import asset
from tunewell.errors import DataError
from tunewell.evaluate.answers import borrow, keep, shelf
from tunewell.evaluate.asks import Ask, brittleness_asks, constraint_asks, domain_asks, facets_of, leakage_asks
from tunewell.evaluate.constraints import constraint_measures
from tunewell.evaluate.definitions import rouge_l
from tunewell.evaluate.domain import domain_measures
from tunewell.evaluate.drift import Divergence, Passage, drift_asks, passages_of
from tunewell.evaluate.leakage import SceneDetector
from tunewell.evaluate.metrics import corpus_metrics, facet_metrics
from tunewell.evaluate.overlap import without_trained
from tunewell.evaluate.probes import probe_metrics
from tunewell.evaluate.respond import AnswerLoss, Reply, Respondent
from tunewell.evaluate.subject import ModelName, Questions, retention_results
from tunewell.memory import release_memory
from tunewell.model.attention import enable_packed_attention
from tunewell.model.drift import Likeliest
from tunewell.model.generate import Decoding
from tunewell.model.lineage import Trained, open_trained
from tunewell.model.load import device, load_base, load_tokenizer, load_trained, number_format
from tunewell.recipe import Evaluate, Recipe
from tunewell.records import RESULT_SCHEMA, Example, Result, Summary, result_to_row
from tunewell.retention import languages_of, retention_items
from tunewell.store import digest, folder_digest, read_examples, write_json, write_rows
from tunewell.template import PromptFormat, check_contract, open_format


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Ask both models everything and write what they said, and what it amounts to.

    `results/` holds one row per model and item; `metrics.json` the metrics of the domain, `slices.json` some of them by topic,
    turns and length, `probes.json` drift and what the probes tell beside the gate's claims.

    The tuned model is the base with the adapter folded in, as it is shipped, or the model that full training left. What the base
    model answers is kept in the user's cache for the next run on the same items. Raises `DataError` where there is no test item,
    and where one that is meant to be new stands in training, unless the recipe says otherwise.
    """
    plan = settings.evaluate
    where = inputs["mix"] / "test"
    tests = list(read_examples(where))
    if not tests:
        hint = "give `data.test`, or set `data.holdout` above 0 and more domain rows"
        raise DataError("there is no test item", where=str(where), hint=hint)
    rows = list(read_examples(inputs["mix"] / "train"))
    tests, trained_tests = without_trained(tests, rows, policy=plan.trained_tests, where=str(where))
    questions = _questions(tests, plan)
    detector = _scene_detector(rows, languages_of(tests))
    tokenizer = load_tokenizer(inputs["model"])
    chat = open_format(settings.template, tokenizer)
    trained = open_trained(inputs["train"], inputs["model"])
    check_contract(trained.folder, chat, tokenizer)

    panel = _Panel(chat, Decoding(plan.batch, chat.stop_ids, plan.max_new_tokens), questions, detector, out_dir / "journal")
    base, tuned = _subjects(inputs["model"], trained)
    results, passages, seen, reused = panel.ask_base(base, drift=plan.drift)
    found, divergences = panel.ask_tuned(tuned, passages, seen)
    results = _judged([*results, *found], questions.asks, settings, out_dir)

    count = write_rows(out_dir / "results", RESULT_SCHEMA, map(result_to_row, results))
    domain = [result for result in results if result.probe == "domain"]
    level: dict[str, Any] = {"confidence": settings.gate.confidence, "seed": settings.seed}
    write_json(out_dir / "metrics.json", corpus_metrics(domain, **level))
    write_json(out_dir / "slices.json", facet_metrics(domain, facets_of(tests), **level))
    page = {"classifier": _described(detector), "metrics": probe_metrics(results, divergences, detector, **level)}
    write_json(out_dir / "probes.json", page)
    details = {"scene_detector_accuracy": round(detector.accuracy, 4), "tests": folder_digest(where)}
    counts = {"results": count, "items": count // 2, **_faults(results, domain), "trained_tests": trained_tests}
    return Summary({**counts, "base_answers_reused": reused}, details)


def _faults(results: Sequence[Result], domain: Sequence[Result]) -> dict[str, int]:
    """Domain answers of both models that the length limit ended or that say nothing, and results with a number that is NaN."""
    faults = {name: sum(result.measures.get(name, 0) == 1 for result in domain) for name in ("cut", "empty")}
    return {**faults, "not_a_number": sum(any(map(math.isnan, result.measures.values())) for result in results)}


def _described(detector: SceneDetector) -> dict[str, Any]:
    """What is known of the scene classifier, from the half of the run's answers on which it was not fitted."""
    area = detector.auroc
    return {"auroc": area.value, "low": area.low, "high": area.high, "n": area.n, "accuracy": detector.accuracy}


class _Panel(NamedTuple):
    """What both models are asked, and how."""

    chat: PromptFormat
    decoding: Decoding
    questions: Questions
    detector: SceneDetector
    journals: Path

    def ask_base(self, subject: "_Subject", *, drift: int) -> "_BaseAnswers":
        """The base model's results, the passages of drift as it sees them, and how many answers the user's cache held."""
        identity = self._identity(subject)
        journals = self.journals / digest(identity)
        kept = shelf([identity, self._items(), drift])
        borrowed = borrow(kept, journals)
        respondent = self._respondent(subject, journals)
        results = list(_question(subject.name, respondent, self.questions, self.detector))
        asks = drift_asks(self.questions.asks, count=drift)
        passages = passages_of(asks, [reply.text for reply in respondent.replies(asks)])
        seen = respondent.likeliest(passages)
        if not borrowed:
            keep(journals, kept)
        del respondent
        release_memory()
        return _BaseAnswers(results, passages, seen, len(results) if borrowed else 0)

    def ask_tuned(
        self, subject: "_Subject", passages: Sequence[Passage], seen: Sequence[Sequence[Likeliest]]
    ) -> tuple[list[Result], list[Divergence]]:
        """The tuned model's results, and how far it is from the base model."""
        respondent = self._respondent(subject, self.journals / digest(self._identity(subject)))
        results = list(_question(subject.name, respondent, self.questions, self.detector))
        divergences = respondent.divergences(passages, seen)
        del respondent
        release_memory()
        return results, divergences

    def _respondent(self, subject: "_Subject", journals: Path) -> Respondent:
        def load() -> PreTrainedModel:
            model = subject.load()
            enable_packed_attention(model)
            return model

        return Respondent(subject.name, load, self.chat, self.decoding, journals)

    def _identity(self, subject: "_Subject") -> list[Any]:
        where = [str(number_format().dtype), device().type]
        return [subject.weights, where, self.chat.hash, self.decoding.batch, self.decoding.max_new_tokens]

    def _items(self) -> list[Any]:
        asks = [[ask.probe, [[one.role, one.content] for one in ask.messages], ask.reference] for ask in self.questions.asks]
        return [asks, [[item.question, item.choices] for item in self.questions.retention]]


class _BaseAnswers(NamedTuple):
    results: list[Result]
    passages: list[Passage]
    seen: list[list[Likeliest]]
    reused: int


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


def _subjects(base: Path, trained: Trained) -> tuple[_Subject, _Subject]:
    dtype = number_format().dtype
    return (
        _Subject("base", lambda: load_base(base, dtype), [folder_digest(base)]),
        _Subject("tuned", lambda: load_trained(trained, dtype), list(map(folder_digest, trained.parts))),
    )


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
            shell = {name: float(ask.check[name]) for name in ("held_out", "system")}
            return {"rouge_l": rouge_l(reply.text, ask.reference), **shell, **reply.health()}
        case "constraints":
            return {**constraint_measures(reply.text, ask.check["constraints"]), **reply.health()}
        case _:
            leak = detector.judge(reply.text)
            found = {"leak": float(leak.is_leak), "domain_probability": leak.domain_probability, "overlap": leak.overlap}
            return {**found, **reply.health()}


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
