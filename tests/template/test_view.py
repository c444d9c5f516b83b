"""An encoded conversation for the eye: the stretches laid end to end are the text, and say what is trained."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.template import Golden, golden_conversations, open_format, spans


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_model)


@pytest.mark.parametrize("golden", golden_conversations(), ids=lambda golden: golden.name)
def test_the_stretches_laid_end_to_end_are_the_conversation(golden: Golden, tokenizer: PreTrainedTokenizerBase) -> None:
    chat = open_format("chatml-qwen1.5", tokenizer)
    assert "".join(span.text for span in spans(chat.encode(golden.messages), tokenizer)) == chat.text(golden.messages)


def test_trained_stretches_are_the_answer_and_its_end_and_specials_stand_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    chat = open_format("chatml-qwen3", tokenizer)
    found = spans(chat.encode((Message("user", "Blue?"), Message("assistant", "Green"))), tokenizer)
    assert found == [
        ("<|im_start|>", False, True),
        ("user\nBlue?", False, False),
        ("<|im_end|>", False, True),
        ("\n", False, False),
        ("<|im_start|>", False, True),
        ("assistant\n", False, False),
        ("Green", True, False),
        ("<|im_end|>", True, True),
    ]
