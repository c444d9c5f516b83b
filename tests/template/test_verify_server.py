"""What verify makes of each kind of server, and of servers that fail it. These are scripted; real ones have their own test."""

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.template.servers import Asked, Said, scripted
from tunewell.cli import main
from tunewell.errors import UserError
from tunewell.model.load import load_tokenizer
from tunewell.records import Message
from tunewell.template import FamilyFormat, PromptFormat, golden_conversations, load_family, open_format
from tunewell.template.verify import ServerReport, verify_server
from tunewell.template.verify.http import Http

Answers = Mapping[str, Callable[[Asked], Said]]
_CHAT = "/v1/chat/completions"
_KEY = "sk-very-secret-1234"


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> PromptFormat:
    return open_format("chatml-qwen3", load_tokenizer(tiny_model))


@pytest.fixture(scope="module")
def other(tiny_model: Path) -> PromptFormat:
    return open_format("chatml-qwen1.5", load_tokenizer(tiny_model))


def _messages(asked: Asked) -> list[Message]:
    return [Message(**turn) for turn in asked.body["messages"]]


def _models(*names: str) -> Callable[[Asked], Said]:
    return lambda _: Said({"data": [{"id": name} for name in names]})


def _completion(chat: PromptFormat, *, ids: bool = False, stops: bool = True) -> Callable[[Asked], Said]:
    """Chat completions as vLLM answers them, with or without the prompt's ids."""

    def answer(asked: Asked) -> Said:
        prompt = chat.prompt_ids(_messages(asked))
        finish = "stop" if asked.body.get("logit_bias") and stops else "length"
        told = {"prompt_token_ids": prompt} if ids and asked.body.get("return_token_ids") else {}
        return Said({"choices": [{"finish_reason": finish}], "usage": {"prompt_tokens": len(prompt)}} | told)

    return answer


def _vllm(chat: PromptFormat, **options: bool) -> Answers:
    return {
        "/v1/models": _models("base"),
        "/version": lambda _: Said({"version": "0.32.0"}),
        "/tokenizer_info": lambda _: Said({"eos_token": {"content": "<|im_end|>"}}),
        "/tokenize": lambda asked: Said({"tokens": chat.prompt_ids(_messages(asked))}),
        _CHAT: _completion(chat, **options),
    }


def _verified(chat: PromptFormat, answers: Answers, tiny_model: Path, **options: Any) -> ServerReport:
    with scripted(answers) as url:
        return verify_server(chat, load_tokenizer(tiny_model), f"{url}/v1", **options)


def _details(report: ServerReport) -> list[tuple[str, bool]]:
    return [(finding.check, finding.ok) for finding in report.findings]


@pytest.mark.parametrize("ids", [True, False])
def test_vllm_with_the_trained_prompts_passes(chat: PromptFormat, tiny_model: Path, *, ids: bool) -> None:
    report = _verified(chat, _vllm(chat, ids=ids), tiny_model)
    assert (report.kind, report.model, report.eos, report.compared) == ("vllm", "base", "<|im_end|>", "ids")
    assert _details(report) == [("the server's prompts", True), ("a completion reads the same", True), ("the server stops", True)]
    assert report.findings[0].detail == "20 of 20 are as trained. Token ids are compared"
    assert report.findings[2].detail == ("<|im_end|>, forced upon it, ended its answer; its end-of-sequence token is <|im_end|>")


def test_another_family_is_named(chat: PromptFormat, other: PromptFormat, tiny_model: Path) -> None:
    prompts, reasoning, *_ = _verified(chat, _vllm(other, ids=True), tiny_model).findings
    assert (prompts.ok, prompts.where) == (False, "one question")
    assert prompts.detail.startswith("16 of 20 differ: token 2: ‹<|im_start|>›«u»‹s")
    assert "Likely cause: the server has another default system text (" in prompts.detail
    assert "; the server writes the family `chatml-qwen1.5`. Remedy: send the trained system text" in prompts.detail
    assert reasoning.detail.startswith("1 of 20 differ: ")
    assert "Likely cause: the server keeps the reasoning in past answers; the server writes the family" in reasoning.detail


def test_a_completion_that_reads_something_else_is_found(chat: PromptFormat, other: PromptFormat, tiny_model: Path) -> None:
    answers = dict(_vllm(chat)) | {_CHAT: _completion(other)}
    report = _verified(chat, answers, tiny_model)
    assert _details(report)[:2] == [("the server's prompts", True), ("a completion reads the same", False)]
    assert report.findings[1].where == "one question"
    assert "tokens of the messages, a completion read " in report.findings[1].detail


def test_a_server_that_does_not_stop_is_found(chat: PromptFormat, tiny_model: Path) -> None:
    report = _verified(chat, _vllm(chat, ids=True, stops=False), tiny_model)
    assert report.findings[-1].detail == (
        "<|im_end|> ends an answer in training, but the server went on after it; its end-of-sequence token is <|im_end|>: "
        "send it as `stop`, or set its eos token"
    )


def test_a_server_that_refuses_conversations_is_found(chat: PromptFormat, tiny_model: Path) -> None:
    right = _completion(chat, ids=True)

    def refusing(asked: Asked) -> Said:
        has_system = asked.body["messages"][0]["role"] == "system"
        return Said({"error": {"message": "System role not supported\x1b[2J"}}, 400) if has_system else right(asked)

    report = _verified(chat, dict(_vllm(chat)) | {_CHAT: refusing}, tiny_model)
    assert _details(report)[:2] == [("the server takes the conversations", False), ("the server's prompts", True)]
    assert report.findings[0].where == "system text"
    assert (
        report.findings[0].detail
        == "the server refuses 3 of 20: /v1/chat/completions answers HTTP 400: System role not supported�[2J"
    )


def test_llama_cpp_is_asked_as_its_chat_path_works(chat: PromptFormat, tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    bodies: list[dict[str, Any]] = []

    def tokens(asked: Asked) -> Said:
        bodies.append(asked.body)
        return Said({"tokens": tokenizer(asked.body["content"], add_special_tokens=False)["input_ids"]})

    answers: Answers = {
        "/props": lambda _: Said({"default_generation_settings": {}, "eos_token": "<|im_end|>", "model_alias": "tiny"}),
        "/apply-template": lambda asked: Said({"prompt": chat.text(_messages(asked))}),
        "/tokenize": tokens,
        _CHAT: _completion(chat),
    }
    report = _verified(chat, answers, tiny_model)
    assert (report.kind, report.model, report.compared) == ("llama.cpp", "tiny", "ids")
    assert all(finding.ok for finding in report.findings)
    assert all(body["add_special"] and body["parse_special"] for body in bodies)


def _once(right: Callable[[Asked], Said], then: Said) -> Callable[[Asked], Said]:
    """The right answer to the first request, another to all that follow."""
    asked_before: list[Asked] = []

    def answer(asked: Asked) -> Said:
        asked_before.append(asked)
        return right(asked) if len(asked_before) == 1 else then

    return answer


_ONE_IS_RIGHT = ("the server's prompts", True)


def test_conversations_without_an_answer_are_found(chat: PromptFormat, tiny_model: Path) -> None:
    answers = dict(_vllm(chat))
    answers["/tokenize"] = _once(answers["/tokenize"], Said({"error": "boom"}, 500))
    report = _verified(chat, answers, tiny_model)
    assert _details(report)[:2] == [("the server takes the conversations", False), _ONE_IS_RIGHT]
    assert report.findings[0].detail == "the server refuses 19 of 20: /tokenize answers HTTP 500: boom"
    answers = {"/v1/models": _models("m"), _CHAT: _once(_completion(chat), Said({"choices": []}))}
    report = _verified(chat, answers, tiny_model)
    assert _details(report) == [("the server tells every prompt", False), _ONE_IS_RIGHT]
    assert report.findings[0].detail == "of 19 of 20 the server does not tell the number of tokens, as it does of others"


def test_a_server_that_tells_only_of_refused_conversations_tells_nothing(tiny_model: Path) -> None:
    strict = FamilyFormat(load_family("bloomz"), load_tokenizer(tiny_model))

    def counted(asked: Asked) -> Said:
        usage = {"prompt_tokens": 5} if asked.body["messages"][0]["role"] == "system" else {}
        return Said({"choices": [], "usage": usage})

    report = _verified(strict, {"/v1/models": _models("m"), _CHAT: counted}, tiny_model)
    assert (report.compared, _details(report)) == ("nothing", [("the server's prompts", False)])


@pytest.mark.parametrize("ids", [[-1, 5], [10**25], [True, False], ["a"], 7])
def test_what_is_no_token_id_is_found(chat: PromptFormat, tiny_model: Path, ids: object) -> None:
    report = _verified(chat, dict(_vllm(chat)) | {"/tokenize": lambda _: Said({"tokens": ids})}, tiny_model)
    assert report.findings[0].detail == "the server refuses 20 of 20: /tokenize tells no token ids"
    told = Said({"choices": [], "prompt_token_ids": ids, "usage": {"prompt_tokens": 5}})
    report = _verified(chat, {"/v1/models": _models("m"), _CHAT: lambda _: told}, tiny_model)
    assert report.findings[0].detail == "the server refuses 20 of 20: prompt_token_ids holds something other than token ids"


def test_half_a_character_and_a_missing_prompt_end_in_findings(chat: PromptFormat, tiny_model: Path) -> None:
    written = {"prompt": "a\ud83d"}
    answers: Answers = {
        "/props": lambda _: Said({"default_generation_settings": {}, "model_alias": "b\ud83d"}),
        "/apply-template": lambda _: Said(written),
        _CHAT: _completion(chat),
    }
    report = _verified(chat, answers, tiny_model)
    assert (report.model, report.compared) == ("b?", "text")
    assert all(finding.detail.encode() for finding in report.findings)
    written.clear()
    report = _verified(chat, answers, tiny_model)
    assert report.findings[0].detail == "the server refuses 20 of 20: /apply-template tells no prompt"


def test_a_nameless_model_is_none(chat: PromptFormat, tiny_model: Path) -> None:
    with pytest.raises(UserError, match="the server has no model"):
        _verified(chat, {"/v1/models": lambda _: Said({"data": [{}]})}, tiny_model)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Said({"error": "boom\x1b[2J"}, 500), "/v1/models answers HTTP 500: boom�[2J"),
        (Said({"error": {"message": "slow down"}}, 429), "/v1/models answers HTTP 429: slow down"),
        (Said("", 302, "http://u:secret@other.example/x"), "/v1/models is redirected to http://other.example/x (HTTP 302)"),
        (Said('{"data": ['), '/v1/models answers with something other than a JSON object: {"data": ['),
        (Said({"data": 3}), "/v1/models has no list of models"),
    ],
)
def test_what_an_unknown_server_said_is_told(chat: PromptFormat, tiny_model: Path, answer: Said, said: str) -> None:
    with pytest.raises(UserError) as caught:
        _verified(chat, {"/v1/models": lambda _: answer}, tiny_model)
    assert caught.value.what.endswith(f" speaks no protocol that is known here: {said}")


def test_an_answer_without_end_is_given_up(chat: PromptFormat, tiny_model: Path) -> None:
    with pytest.raises(UserError, match="answers /props with more than 16 MiB"):
        _verified(chat, {"/props": lambda _: Said(" " * (16 * 2**20 + 1))}, tiny_model)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_an_answer_drop_by_drop_is_given_up(said: bytes) -> None:
    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(said)
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Http(url, seconds=0.4) as http, pytest.raises(UserError, match="did not answer /props in time"):
            http.get("/props")
        dripping.join(5)
    assert not dripping.is_alive()


def test_a_password_in_the_address_is_sent_and_never_shown(chat: PromptFormat, tiny_model: Path) -> None:
    keys: list[str] = []

    def refusing(asked: Asked) -> Said:
        keys.append(asked.key)
        return Said({"error": "no se/cret for me"}, 400)

    with scripted({"/v1/models": refusing}) as url, pytest.raises(UserError) as caught:
        verify_server(chat, load_tokenizer(tiny_model), url.replace("//", "//me:se%2Fcret@"))
    assert keys == [f"Basic {base64.b64encode(b'me:se/cret').decode()}"]
    assert caught.value.what == f"{url} speaks no protocol that is known here: /v1/models answers HTTP 400: no *** for me"
    with pytest.raises(UserError) as caught:
        verify_server(chat, load_tokenizer(tiny_model), "http://me:se/cret@127.0.0.1:1")
    assert "cret" not in str(caught.value)


def _ollama(answer: Callable[[Asked], Said]) -> Answers:
    return {
        "/api/version": lambda _: Said({"version": "0.33.2"}),
        "/api/tags": lambda _: Said({"models": [{"model": "tiny:latest"}]}),
        "/api/chat": answer,
    }


def test_of_ollama_the_texts_are_compared(chat: PromptFormat, tiny_model: Path) -> None:
    def rendered(asked: Asked) -> Said:
        assert asked.body["_debug_render_only"] is True
        return Said({"_debug_info": {"rendered_template": chat.text(_messages(asked))}})

    report = _verified(chat, _ollama(rendered), tiny_model)
    assert (report.kind, report.model, report.compared) == ("ollama", "tiny:latest", "text")
    assert _details(report) == [("the server's prompts", True)]
    assert report.findings[0].detail.endswith("only the texts are compared, without the beginning of sequence")

    def spaced(asked: Asked) -> Said:
        return Said({"_debug_info": {"rendered_template": chat.text(_messages(asked)) + " "}})

    [broken] = _verified(chat, _ollama(spaced), tiny_model).findings
    assert not broken.ok
    assert "the generation prompt ends with one sign of white space more than in training" in broken.detail


def test_of_an_older_ollama_only_numbers_are_compared(chat: PromptFormat, tiny_model: Path) -> None:
    def counted(more: int) -> Callable[[Asked], Said]:
        return lambda asked: Said({"prompt_eval_count": len(chat.prompt_ids(_messages(asked))) + more})

    [passed] = _verified(chat, _ollama(counted(0)), tiny_model).findings
    assert passed.ok
    assert passed.detail == "20 of 20 are as trained. The server tells no token ids: only the numbers of tokens are compared"
    [broken] = _verified(chat, _ollama(counted(1)), tiny_model).findings
    assert not broken.ok
    assert "Likely cause: one token more in every conversation" in broken.detail


def test_of_another_server_only_numbers_are_compared(chat: PromptFormat, other: PromptFormat, tiny_model: Path) -> None:
    report = _verified(chat, {"/v1/models": _models("m"), _CHAT: _completion(chat)}, tiny_model)
    assert (report.kind, report.compared) == ("openai", "counts")
    assert _details(report) == [("the server's prompts", True)]
    [broken] = _verified(chat, {"/v1/models": _models("m"), _CHAT: _completion(other)}, tiny_model).findings
    assert not broken.ok
    assert "only conversations without a system text differ" in broken.detail


def test_a_server_that_tells_nothing_is_said_to(chat: PromptFormat, tiny_model: Path) -> None:
    report = _verified(chat, {"/v1/models": _models("m"), _CHAT: lambda _: Said({"choices": []})}, tiny_model)
    assert report.compared == "nothing"
    assert report.findings[0].detail == "the server tells neither token ids nor text nor numbers of tokens"


def test_conversations_that_the_family_refuses_are_left_out(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    strict = FamilyFormat(load_family("bloomz"), tokenizer)
    refused = sum(golden.messages[0].role == "system" for golden in golden_conversations())

    def counted(asked: Asked) -> Said:
        messages = _messages(asked)
        ids = [1] if messages[0].role == "system" else strict.prompt_ids(messages)
        return Said({"choices": [], "usage": {"prompt_tokens": len(ids)}})

    report = _verified(strict, {"/v1/models": _models("m"), _CHAT: counted}, tiny_model)
    assert report.findings[0].detail.startswith(f"{20 - refused} of 20 are as trained.")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://", "/v1"])
def test_what_is_no_address_is_refused(chat: PromptFormat, tiny_model: Path, url: str) -> None:
    with pytest.raises(UserError, match="is no address of a server") as caught:
        verify_server(chat, load_tokenizer(tiny_model), url)
    assert caught.value.where == "--server"


def test_a_server_that_is_down_is_one_clear_error(chat: PromptFormat, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:1 cannot be reached: ") as caught:
        verify_server(chat, load_tokenizer(tiny_model), "http://127.0.0.1:1")
    assert (caught.value.where, caught.value.hint) == ("--server", "is the server running, and is this its address?")


@pytest.mark.parametrize("answer", [Said("<html>hello</html>"), Said([1, 2]), Said({"data": 3}), Said("[" * 100_000)])
def test_a_server_that_speaks_something_else_is_one_clear_error(chat: PromptFormat, tiny_model: Path, answer: Said) -> None:
    with pytest.raises(UserError, match="speaks no protocol that is known here") as caught:
        _verified(chat, {"/v1/models": lambda _: answer, "/version": lambda _: answer, "/props": lambda _: answer}, tiny_model)
    assert caught.value.hint == "vLLM, llama.cpp, Ollama, and servers with OpenAI's /v1/chat/completions are understood"


def test_a_server_that_still_loads_its_model_is_one_clear_error(chat: PromptFormat, tiny_model: Path) -> None:
    loading = Said({"error": {"message": "Loading model"}}, 503)
    with pytest.raises(UserError, match="is not ready: Loading model") as caught:
        _verified(chat, {"/props": lambda _: loading}, tiny_model)
    assert caught.value.hint == "try again once its model is loaded"


def test_a_key_is_wanted_taken_and_never_shown(chat: PromptFormat, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(answer: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
        return lambda asked: answer(asked) if asked.key == _KEY else Said({"error": f"no: {asked.key}"}, 401)

    answers = {path: guarded(answer) for path, answer in _vllm(chat, ids=True).items()}
    with pytest.raises(UserError, match=r"wants a key \(HTTP 401\)") as caught:
        _verified(chat, answers, tiny_model)
    assert caught.value.hint == "name the environment variable that holds it: --api-key-env VARIABLE"
    monkeypatch.setenv("TUNEWELL_TEST_KEY", "sk-wrong-and-secret")
    with pytest.raises(UserError, match="refuses the key") as caught:
        _verified(chat, answers, tiny_model, key_variable="TUNEWELL_TEST_KEY")
    assert "sk-wrong" not in str(caught.value)
    monkeypatch.setenv("TUNEWELL_TEST_KEY", _KEY)
    assert all(finding.ok for finding in _verified(chat, answers, tiny_model, key_variable="TUNEWELL_TEST_KEY").findings)
    echoing = answers | {_CHAT: lambda asked: Said({"error": {"message": f"quota of {asked.key} is used up"}}, 400)}
    refused = _verified(chat, echoing, tiny_model, key_variable="TUNEWELL_TEST_KEY").findings[0]
    assert "quota of *** is used up" in refused.detail


def test_an_empty_variable_is_named(chat: PromptFormat, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNEWELL_TEST_KEY", raising=False)
    with pytest.raises(UserError, match=r"TUNEWELL_TEST_KEY holds no key for https://models\.example") as caught:
        verify_server(chat, load_tokenizer(tiny_model), "https://models.example/v1", key_variable="TUNEWELL_TEST_KEY")
    assert caught.value.where == "--api-key-env"


def test_of_several_models_one_must_be_named(chat: PromptFormat, tiny_model: Path) -> None:
    answers = dict(_vllm(chat, ids=True)) | {"/v1/models": _models("base", "tuned")}
    with pytest.raises(UserError, match="the server has 2 models") as caught:
        _verified(chat, answers, tiny_model)
    assert (caught.value.where, caught.value.hint) == ("--model", "name one: base, tuned")
    assert _verified(chat, answers, tiny_model, model="tuned").model == "tuned"


def _tunewell(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["tunewell", "template", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def _last_line(captured: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(captured.readouterr().out.strip().splitlines()[-1])
    return value


def test_the_command_exits_0_where_all_holds_and_1_where_not(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _tunewell(monkeypatch, "--family", "chatml-qwen3", "--tokenizer", tiny_model) == 0
    shown = capsys.readouterr().out
    assert shown.count("✓") == 7
    assert "✗" not in shown
    assert _tunewell(monkeypatch, "--family", "alpaca", "--tokenizer", tiny_model, "--json") in {0, 1}
    told = _last_line(capsys)
    assert told["server"] is None
    assert told["ok"] is all(check["ok"] for check in told["checks"])
    assert set(told["checks"][0]) == {"check", "ok", "detail", "where"}


def test_the_command_tells_of_the_server(
    chat: PromptFormat,
    other: PromptFormat,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options: Sequence[str | Path] = ("--family", "chatml-qwen3", "--tokenizer", tiny_model)
    with scripted(_vllm(chat, ids=True)) as url:
        assert _tunewell(monkeypatch, *options, "--server", url, "--json") == 0
        told = _last_line(capsys)
        assert told["ok"] is True
        assert told["server"] == {"url": url, "kind": "vllm", "model": "base", "eos": "<|im_end|>", "compared": "ids"}
    with scripted(_vllm(other, ids=True)) as url:
        assert _tunewell(monkeypatch, *options, "--server", url) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "✗ the server's prompts one question:" in shown
    assert f"server: vllm at {url}, model base" in shown


def test_the_command_ends_in_one_clear_error_where_the_server_is_down(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _tunewell(monkeypatch, "--family", "chatml-qwen3", "--tokenizer", tiny_model, "--server", "http://127.0.0.1:1")
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.startswith("error: --server: http://127.0.0.1:1 cannot be reached: ")
    assert "Traceback" not in captured.err
