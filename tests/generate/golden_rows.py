"""Scripted answers to the tasks made from rows: good ones computed from the prompt, and faults on purpose, chosen by hash."""

import random
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from tests.generate.scripted import Answers
from tunewell.bundled import read_jsonl
from tunewell.store import short_digest
from tunewell.text import tokens

_FENCE = re.compile(r"<text ([0-9a-f]{8})>\n(.*?)\n</text \1>", re.DOTALL)
_TURN = re.compile(r"(User|Agent|用户|客服)[:：]\n<text ([0-9a-f]{8})>\n(.*?)\n</text \2>", re.DOTALL)
_GREETING = re.compile(r"(?i:hi|hello|hey)(?: there)?[,!.]+ |(?:您好|你好|在吗)[，！。？]+")
_POINTS_BACK = re.compile(r"(?i:and |what about |also )|那|还有")

_EASINGS = {
    "en": (
        "Could you please help me with something?",
        "Quick one, and thanks for any hint.",
        "So we were wondering about this in the shop today.",
        "Nothing on your pages told me, so here goes.",
    ),
    "zh": (
        "您好，想跟您咨询这样的事情。",
        "麻烦帮忙看看，谢谢啦。",
        "我在店里碰到了这种情况，不太明白。",
        "网页上翻来翻去都没有找到说明。",
    ),
}
_OPPOSITE = {"en": "Who in our team has to take care of this:", "zh": "这件事该由谁负责处理："}
_UNRELATED = {"en": "Good morning everybody", "zh": "早上好呀"}
_NUMBER = {"en": "That makes 7777 altogether.", "zh": "总共是7777。"}
_NAME = {"en": "We bank with Zanzibar Trust.", "zh": "我们用的是 Zanzibar 银行。"}
_NOBODY = {"en": "Nobody can say anything about it.", "zh": "谁也说不好。"}


def fences(text: str) -> list[str]:
    """The material in a prompt."""
    return [found[1] for found in _FENCE.findall(text)]


def _language(text: str) -> str:
    return "zh" if "JSON 作答" in text else "en"


def _bucket(text: str) -> int:
    return short_digest(text) % 16


def _eased(question: str, language: str, number: int) -> str:
    """The question behind as many words of politeness as make it another wording by ROUGE-L."""
    easings, words = _EASINGS[language], [_EASINGS[language][number]]
    while 4 * len(tokens(" ".join(words))) < len(tokens(question)):
        words.append(easings[(number + len(words)) % len(easings)])
    return ("" if language == "zh" else " ").join([*words, question])


def _paraphrases(text: str) -> Any:
    question, language = fences(text)[0], _language(text)
    first = {
        0: question,
        1: f"{question} {_NUMBER[language]}",
        2: f"{_NAME[language]} {_eased(question, language, 3)}",
    }.get(_bucket(question), _eased(question, language, 3))
    return {"questions": [first, _eased(question, language, 0), _eased(question, language, 1)]}


def _paraphrase_verdict(text: str) -> Any:
    _, _, wording = fences(text)
    return {"reason": "compared", "fits": _bucket(wording) != 3}


def _wordy(question: str, language: str, times: int) -> str:
    """The question behind so many words of politeness, a third of its own length each time at least."""
    easings = _EASINGS[language]
    words = [easings[number % len(easings)] for number in range(times)]
    while 3 * len(tokens(" ".join(words))) < times * len(tokens(question)):
        words.append(easings[len(words) % len(easings)])
    return ("" if language == "zh" else " ").join([*words, question])


def _similarity_pair(text: str) -> Any:
    """As teachers do, the opposites are nearer to the question than what means the same."""
    question, language = fences(text)[0], _language(text)
    sames = [_wordy(question, language, times) for times in (2, 3, 4)]
    others = [f"{_OPPOSITE[language]} {_wordy(question, language, times)}" for times in (0, 1, 2)]
    faults = {
        0: {"same": [question]},
        1: {"other": [_UNRELATED[language]]},
        2: {"other": [question]},
        4: {"same": [_wordy(question, language, 12)], "other": others[:1]},
    }
    return {"same": sames, "other": others} | faults.get(_bucket(question), {})


def _similarity_verdict(text: str) -> Any:
    _, second = fences(text)
    same = not second.startswith(_OPPOSITE[_language(text)])
    return {"reason": "compared", "same": same != (_bucket(second) == 3)}


class _Turn(NamedTuple):
    is_user: bool
    text: str


def _turns(text: str) -> list[_Turn]:
    return [_Turn(role in {"User", "用户"}, said) for role, _, said in _TURN.findall(text)]


def _real_questions(text: str) -> Any:
    asked = [_GREETING.sub("", turn.text, count=1).strip() for turn in _turns(text) if turn.is_user]
    found = [question for question in asked if len(tokens(question)) > 3]
    changed = [f"{question}, exactly" if _bucket(question) == 0 else question for question in found]
    return {"reason": "read" if found else "small talk alone", "questions": changed[:3]}


def _real_alone(text: str) -> Any:
    question = fences(text)[0]
    alone = not _POINTS_BACK.match(question)
    return {"reason": "clear" if alone else "points back", "alone": alone}


def _said_to(question: str, turns: Sequence[_Turn]) -> str:
    """What the agent says next to the question."""
    places = [
        place for place, turn in enumerate(turns) if turn.is_user and " ".join(question.split()) in " ".join(turn.text.split())
    ]
    return next((turn.text for turn in turns[places[0] :] if not turn.is_user), "") if places else ""


def _real_answer(text: str) -> Any:
    question, language = fences(text)[-1], _language(text)
    said = _said_to(question, _turns(text))
    faults = {1: "", 2: f"{said} {_NUMBER[language]}", 3: f"{said} {_NAME[language]}"}
    return {"answer": faults.get(_bucket(question), said)}


def _real_second(text: str) -> Any:
    question = fences(text)[0]
    said = _said_to(question, _turns(text))
    return {"answer": _NOBODY[_language(text)] if _bucket(question) == 4 else said}


@cache
def _known_answers() -> dict[str, str]:
    """The answers of the bundled domain, which the prompt of a solution does not show."""
    rows = [row["messages"] for code in ("en", "zh") for row in read_jsonl("support", code, "qa.jsonl")]
    return {messages[0]["content"]: messages[-1]["content"] for messages in rows if len(messages) == 2}


def _need(text: str) -> Any:
    question, answer = fences(text)
    steps = re.search(r"[0-9]", answer) is not None
    reason = "numbers are to be put together" if steps else "a plain fact"
    return {"reason": reason, "steps": steps, "complete": _bucket(question) != 1}


def _solution(text: str) -> Any:
    question, language = fences(text)[0], _language(text)
    summands = re.search(r"(\d+) ?(?:\+|plus|加) ?(\d+)", question)
    known = str(int(summands[1]) + int(summands[2])) if summands else _known_answers().get(question, _NOBODY[language])
    answer = _NOBODY[language] if _bucket(question) == 0 else known
    steps = {"en": f"First look at what is given. Then put it together: {known}", "zh": f"先看已知条件。再把它们合起来：{known}"}
    return {"reasoning": steps[language], "answer": answer}


def _parted(*lists: str) -> list[str]:
    return [part for text in lists for part in re.split(", |、", text)]


_TASKS = {
    "en": (
        "Explain to a curious child how {subject} came about, {manner}.",
        "Compare {subject} with the opposite, and say which suits beginners, {manner}.",
        "What should a careful buyer know about {subject} before paying? Answer {manner}.",
        "Write a letter that thanks a neighbour for help with {subject}, {manner}.",
        "List common mistakes around {subject} and how people avoid them, {manner}.",
        "Invent a riddle whose solution is {subject}; give hints {manner}.",
        "Plan a rainy Saturday devoted to {subject}, hour by hour, {manner}.",
        "Summarise the report below about {subject} for a busy manager, {manner}.",
    ),
    "zh": (
        "请给好奇的小朋友讲讲{subject}是怎么来的，{manner}。",
        "把{subject}和它的反面作对比，说明哪种更适合新手，{manner}。",
        "细心的买家在为{subject}付钱之前应当了解什么？回答时{manner}。",
        "写信感谢邻居在{subject}方面帮的忙，{manner}。",
        "列出人们在{subject}上常犯的错误以及避免的办法，{manner}。",
        "编谜语，谜底是{subject}，提示要{manner}。",
        "为下雨的周末安排围绕{subject}的活动，逐小时写清楚，{manner}。",
        "替忙碌的经理概括下面关于{subject}的报告，{manner}。",
    ),
}
_SUBJECTS = {
    "en": _parted(
        "sourdough bread, bicycle brakes, mountain railways, paper money, wool blankets, street lamps, chess clocks",
        "rooftop gardens, folding umbrellas, village theatres, salt mines, night buses, wooden toys, tea houses",
        "public libraries, kitchen knives, stone bridges, weather forecasts, second-hand pianos, beekeeping, winter tyres",
    ),
    "zh": _parted(
        "酵母面包、自行车刹车、登山铁路、纸币、羊毛毯、路灯、港口吊机、象棋比赛、屋顶菜园、折叠雨伞、乡村戏台、盐井、夜班公交、木头玩具",
        "灯塔看守、茶馆、公共图书馆、菜刀、石拱桥、天气预报、二手钢琴、养蜂、冬季轮胎、手语",
    ),
}
_MANNERS = {
    "en": _parted(
        "in at most eighty words, with a warm closing line, as a table with named columns, without any technical terms",
        "in the voice of an old sailor, using only short sentences, with a surprising comparison, as questions and replies",
        "for readers abroad, in the order of importance, with honest doubts where they belong, as if spoken on local radio",
    ),
    "zh": _parted(
        "不超过八十字、结尾要温暖、用带表头的表格、不用任何术语、用老水手的口气、只用短句、打个出人意料的比方、用问答的形式",
        "写给外国读者、按重要程度排列、有疑问就老实说明、像在电台里播讲",
    ),
}
_SORTING: dict[str, dict[str, list[str]]] = {
    "en": {
        "Does the note below about {subject} give advice, complain or tell a story? Answer {manner}.": [
            "advice",
            "complaint",
            "story",
        ],
        "Say whether this message on {subject} is urgent or can wait, {manner}.": ["urgent", "can wait"],
        "Who wrote the lines below on {subject}, a buyer or a seller? Decide {manner}.": ["buyer", "seller"],
    },
    "zh": {
        "下面这段关于{subject}的话是建议、抱怨还是故事？判断时{manner}。": ["建议", "抱怨", "故事"],
        "看看这条提到{subject}的消息，着急还是可以等等？{manner}。": ["着急", "可以等等"],
        "以下几句谈{subject}的话，写的人是买家还是卖家？{manner}。": ["买家", "卖家"],
    },
}
_FLAWED = {
    "en": ("Go on", "Draw a picture of {subject} {manner}.", "- Praise {subject} {manner}."),
    "zh": ("继续", "画一幅表现{subject}的画，{manner}。", "、夸夸{subject}，{manner}。"),
}


def _new_tasks(text: str) -> Any:
    language, draw = _language(text), random.Random(text)
    sorting = _SORTING[language]
    patterns = [*draw.sample(_TASKS[language], 4), draw.choice(list(sorting)), *_FLAWED[language]]

    def filled(pattern: str) -> str:
        manner = ("，" if language == "zh" else " and ").join(draw.sample(_MANNERS[language], 2))
        return pattern.format(subject=draw.choice(_SUBJECTS[language]), manner=manner)

    tasks = [{"instruction": filled(pattern), "labels": sorting.get(pattern, [])} for pattern in patterns]
    copy = {"instruction": fences(text)[0], "labels": []}
    one_label = {"instruction": filled(patterns[0]), "labels": ["yes"]}
    return {"tasks": [copy, one_label, *tasks]}


def _instances(text: str) -> Any:
    instruction, language = fences(text)[-1], _language(text)
    done = {"en": f"Here is the result of: {instruction}", "zh": f"这是完成的结果。{instruction}"}[language]
    note = {"en": "A note from Tuesday.", "zh": "星期天写的便条。"}[language]
    good = [{"input": "", "output": done}] if _bucket(instruction) % 2 else [{"input": note, "output": done}]
    faults = {
        0: [{"input": "", "output": ""}],
        1: [{"input": note, "output": done}, {"input": note, "output": f"{done} {done}"}],
        2: [{"input": "", "output": f"{done}:"}],
        3: [{"input": note, "output": note}],
        4: [{"input": note, "output": done}, {"input": note, "output": done}],
    }
    return {"instances": faults.get(_bucket(instruction), good)}


def _classified(text: str) -> Any:
    instruction, *labels = fences(text)
    given = ["?", *labels[1:]] if _bucket(instruction) == 0 else labels
    words = {"en": "Somebody wrote this on page {} of the notebook.", "zh": "有人在本子上写了这段话，编号{}。"}[_language(text)]
    return {"examples": [{"label": label, "input": words.format(short_digest(label) % 1000)} for label in given]}


ANSWERS: Answers = {
    "ParaphraseList": _paraphrases,
    "ParaphraseVerdict": _paraphrase_verdict,
    "SimilarityPair": _similarity_pair,
    "SimilarityVerdict": _similarity_verdict,
    "RealQaQuestions": _real_questions,
    "RealQaAlone": _real_alone,
    "RealQaAnswer": _real_answer,
    "RealQaSecond": _real_second,
    "CotNeed": _need,
    "CotSolution": _solution,
    "SelfInstructTasks": _new_tasks,
    "SelfInstructInstances": _instances,
    "SelfInstructClassified": _classified,
}
