import re
import string
from pathlib import Path

import pytest

import tunewell.report
from tunewell.bundled import asset
from tunewell.report.words import read_words

ROOM = Path(tunewell.report.__file__).parent
# Keys that are put together at run time: the kind before the code that another stage chose.
_COMPOSED = re.compile(
    r"(slice|stage|reason|pool|turns|metric|definition|language|questions|verdict|headline|masked|failure|judged|judge)_"
    r"|(brittleness|constraints|leakage|gap)(_(asks|measure|caption))?$"
)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_words() -> None:
    en, zh = read_words("en").table, read_words("zh").table
    assert list(en) == list(zh)
    for key in en:
        assert isinstance(en[key], str)
        assert zh[key].strip()
        assert fields(en[key]) == fields(zh[key]), key


def test_chinese_words_are_chinese() -> None:
    same = {key for key, text in read_words("zh").table.items() if text == read_words("en").table[key]}
    assert same == {"brittleness_measure", "gap_measure", "metric_bleu", "metric_chrf", "metric_rouge_l"}


def test_no_word_is_idle() -> None:
    sources = [*ROOM.glob("*.py"), *asset("report").rglob("*.j2")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"""["']([a-z_]+)["']""", code))
    assert not [key for key in read_words("en").table if key not in used and not _COMPOSED.match(key)]


def test_a_key_that_is_not_there_is_a_bug() -> None:
    with pytest.raises(KeyError):
        read_words("en")("no_such_key")


def test_codes_of_other_stages() -> None:
    words = read_words("zh")
    assert words.label("slice", "paraphrase") == "改写"
    assert words.label("slice", "some_new_shell") == "some new shell"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.42, "0.4 s"), (42.4, "42 s"), (99.4, "99 s"), (200, "3 min 20 s"), (5999, "99 min 59 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds: float, told: str) -> None:
    assert read_words("en").duration(seconds) == told


def test_texts_of_the_gate_fall_back_to_english() -> None:
    assert read_words("zh").of({"title": "Retention", "title_zh": "能力保持"}, "title") == "能力保持"
    assert read_words("zh").of({"title": "Retention"}, "title") == "Retention"
    assert read_words("en").of({"title": "Retention", "title_zh": "能力保持"}, "title") == "Retention"
