"""A terminal chat with base and tuned model side by side."""

import json
from pathlib import Path
from typing import TextIO

from transformers import PreTrainedModel

from tunewell.errors import TemplateError, UserError
from tunewell.model.generate import greedy_answers
from tunewell.model.lineage import open_trained
from tunewell.model.load import load_base, load_tokenizer, load_trained, number_format
from tunewell.model.locate import locate
from tunewell.records import Message
from tunewell.template import PromptFormat, open_contract

_FORGET = "/new"


class _Speaker:
    """A model with its own history: the two models go on from what each of them said."""

    def __init__(self, name: str, model: PreTrainedModel, chat: PromptFormat, *, system: str) -> None:
        self.name = name
        self._model = model
        self._chat = chat
        self._opening = [Message("system", system)] if system else []
        self.forget()

    def forget(self) -> None:
        self._history = list(self._opening)

    def answer(self, question: str, *, max_new_tokens: int) -> str:
        history = [*self._history, Message("user", question)]
        prompt = self._chat.prompt_ids(history)
        [answer] = greedy_answers(self._model, [prompt], stop_ids=self._chat.stop_ids, max_new_tokens=max_new_tokens)
        text = self._chat.decode(answer.ids).strip()
        self._history = [*history, Message("assistant", text)]
        return text


def chat_side_by_side(run_dir: Path, questions: TextIO, answers: TextIO, *, system: str, max_new_tokens: int) -> None:
    """Read a question a line and write both answers, until an empty line or the end.

    Raises `UserError` where the folder is no run, or its training is not done.
    """
    trainings = sorted(run_dir.glob("*-train"))
    if not (run_dir / "run.json").exists() or not trainings:
        hint = "give the folder of a run, such as runs/demo-en, after `tunewell train` or `tunewell run`"
        raise UserError("there is no trained model here", where=str(run_dir), hint=hint)
    base = locate(json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["model"])
    trained = open_trained(trainings[0], base)
    dtype = number_format().dtype
    chat = open_contract(trained.folder, load_tokenizer(base))
    speakers = [
        _Speaker("base", load_base(base, dtype), chat, system=system),
        _Speaker("tuned", load_trained(trained, dtype), chat, system=system),
    ]
    interactive = questions.isatty()
    while True:
        if interactive:
            answers.write("\nyou    ")
            answers.flush()
        question = questions.readline().strip()
        if not question:
            return
        if question == _FORGET:
            for speaker in speakers:
                speaker.forget()
            continue
        for speaker in speakers:
            try:
                said = speaker.answer(question, max_new_tokens=max_new_tokens)
            except TemplateError as error:
                said = f"(this question cannot be asked: {error.what})"
            answers.write(f"{speaker.name:<6} {said}\n")
            answers.flush()
