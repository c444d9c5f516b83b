"""What the models are asked: the items of every probe, as prompts with what is needed to judge the answers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, TypeVar

from tunewell.bundled import read_yaml
from tunewell.evaluate.constraint_sets import constraint_sets
from tunewell.records import Example, Message
from tunewell.text import tokens

_Item = TypeVar("_Item")
_TOPIC_KEYS = ("topic", "category", "department")
_MOST_TOPICS = 20
_OTHER_TOPICS = "(other)"


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt of one probe. `item` and `variant` name it, `family` is its cluster, `check` what judges the answer."""

    probe: str
    variant: str
    item: str
    family: str
    language: str
    messages: tuple[Message, ...]
    reference: str = ""
    check: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The last user turn."""
        return self.messages[-1].content


def domain_asks(tests: Sequence[Example], *, per_slice: int) -> list[Ask]:
    """The test items as they stand, at most `per_slice` of each of `seen`, `paraphrase`, `unseen`."""
    asks: list[Ask] = []
    for task in ("seen", "paraphrase", "unseen"):
        asks.extend(
            Ask("domain", task, f"{task}/{example.id}", example.family, example.language, example.prompt, example.answer)
            for example in [test for test in tests if test.task == task][:per_slice]
        )
    return asks


def facets_of(tests: Sequence[Example]) -> dict[str, dict[str, str]]:
    """What is known of each item of `domain_asks`, by its name: `turns`, `length` and, where the row says it, `topic`.

    `length` is that of the reference answer: `short`, `medium` or `long`, a third of the items each. Of many topics the twenty
    with the most items stand for themselves, all others under `(other)`.
    """
    topics = {test.id: str(next((test.evidence[key] for key in _TOPIC_KEYS if key in test.evidence), "")) for test in tests}
    told = {topic for topic, _ in Counter(filter(None, topics.values())).most_common(_MOST_TOPICS)}
    ranked = sorted(tests, key=lambda test: (len(tokens(test.answer)), test.id))
    lengths = {test.id: ("short", "medium", "long")[place * 3 // len(ranked)] for place, test in enumerate(ranked)}
    facets = {}
    for test in tests:
        topic = topics[test.id]
        known = {"topic": topic if topic in told else _OTHER_TOPICS} if topic else {}
        facets[f"{test.task}/{test.id}"] = {"turns": test.turns, "length": lengths[test.id], **known}
    return facets


def brittleness_asks(tests: Sequence[Example], *, questions: int) -> Iterator[Ask]:
    """Trained questions (unseen ones where there are none) in every prompt shell of their language."""
    single = [test for test in tests if len(test.prompt) == 1]
    trained = [test for test in single if test.task == "seen"] or single
    for example in spread(trained, questions):
        for shell in _probes(example.language)["shells"]:
            system = [Message("system", shell["system"])] if shell["system"] else []
            text = shell["text"].replace("{question}", example.question)
            yield Ask(
                "brittleness",
                shell["name"],
                example.id,
                example.family,
                example.language,
                (*system, Message("user", text)),
                example.answer,
                {"held_out": shell["held_out"], "system": bool(shell["system"])},
            )


def constraint_asks(tests: Sequence[Example], *, count: int) -> Iterator[Ask]:
    """Unseen and paraphrased questions with one, two or three added instructions, in turns; so do the kinds.

    `variant` is their number (`1_constraint`, `2_constraints`, `3_constraints`); `check` holds them as `constraints`.
    """
    questions = [test for test in tests if test.task != "seen" and len(test.prompt) == 1] or list(tests)
    sets = {code: constraint_sets(code) for code in ("en", "zh")}
    for number, example in enumerate(islice(cycle(spread(questions, count)), count)):
        constraints = next(sets[_supported(example.language)])
        joint = "" if example.language == "zh" else " "
        yield Ask(
            "constraints",
            f"{len(constraints)}_constraint{'s' if len(constraints) > 1 else ''}",
            f"{number}/{example.id}",
            example.family,
            example.language,
            (Message("user", joint.join([example.question, *(constraint["text"] for constraint in constraints)])),),
            check={"constraints": constraints},
        )


def leakage_asks(languages: Sequence[str], *, count: int) -> Iterator[Ask]:
    """General prompts, and near misses: the domain's words with another intent; two of the first for one of the second.

    At most `count` in all, the same number in each language, taken at even distances from the bundled ones, so that every kind
    of prompt is met. The contrast to both are the domain's own questions, which the probe `domain` asks.
    """
    for code in languages:
        probes = _probes(code)
        share = count // len(languages)
        near = spread(probes["near_miss"], share // 3)
        general = spread(probes["general"], share - len(near))
        for variant, prompts in (("general", general), ("near_miss", near)):
            for text in prompts:
                yield Ask("leakage", variant, text, text, code, (Message("user", text),))


def spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most `count` items at even distances, so that every topic is met."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def _supported(code: str) -> str:
    return code if code in {"en", "zh"} else "en"


def _probes(code: str) -> Any:
    return read_yaml("probes", f"{_supported(code)}.yaml")
