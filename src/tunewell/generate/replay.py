"""`replay`: the base model's own answers to general prompts become open data.

Trained beside the domain rows they hold the model where it was, the cheapest guard against forgetting there is: no data to
license and no teacher to pay (self-distillation: Yang et al. 2024, arXiv 2402.13669).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tunewell.bundled import asset
from tunewell.errors import DataError
from tunewell.recipe import Generate
from tunewell.records import Example, Message, Origin
from tunewell.store import digest, folder_digest, read_examples
from tunewell.text import language


def replay_prompts(plan: Generate, collected: Path) -> list[Message]:
    """The prompts that `generate.replay` asks for, of the recipe's files or the bundled ones. Raises `DataError`."""
    files = [Path(path) for path in plan.replay_prompts] or _bundled_prompts(collected)
    lines = [line.strip() for path in files for line in _lines(path)]
    unique = list(dict.fromkeys(line for line in lines if line))
    if len(unique) < plan.replay:
        where = ", ".join(str(path) for path in files)
        hint = f"set generate.replay to {len(unique)} or less, or add files to generate.replay_prompts"
        raise DataError(f"{plan.replay} replay prompts are asked for, {len(unique)} are there", where=where, hint=hint)
    return [Message("user", line) for line in unique[: plan.replay]]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "generate.replay_prompts names text files in UTF-8 with one prompt a line"
        raise DataError(f"cannot be read: {error}", where=str(path), hint=hint) from error


def _bundled_prompts(collected: Path) -> list[Path]:
    """The bundled prompts in the languages of the domain rows."""
    languages = Counter(example.language for example in read_examples(collected / "examples") if example.pool == "domain")
    return [asset("replay", f"{code}.txt") for code, _ in languages.most_common() if code in {"en", "zh"}]


def replay(prompts: Sequence[Message], base: Path, template: str, *, max_new_tokens: int, out_dir: Path) -> list[Example]:
    """One row for each prompt that the base model answers to the end within the limit; `out_dir` keeps a journal."""
    from tunewell.model.attention import enable_packed_attention
    from tunewell.model.generate import Decoding, answer_all
    from tunewell.model.load import load_base, load_tokenizer, number_format
    from tunewell.template import open_format

    chat = open_format(template, load_tokenizer(base))
    model = load_base(base, number_format().dtype)
    enable_packed_attention(model)
    decoding = Decoding(batch=48, stop_ids=chat.stop_ids, max_new_tokens=max_new_tokens)
    identity = digest([folder_digest(base), str(model.dtype), chat.hash, max_new_tokens])
    answers = answer_all(
        model,
        {digest(prompt.content): chat.prompt_ids((prompt,)) for prompt in prompts},
        decoding,
        journal=out_dir / "journal" / f"replay-{identity}.jsonl",
        title="replay",
    )
    rows = []
    for number, prompt in enumerate(prompts, start=1):
        answer = answers[digest(prompt.content)]
        text = chat.decode(answer.ids).strip()
        if text and not answer.cut:
            messages = (prompt, Message("assistant", text))
            rows.append(
                Example(messages, "open", Origin("replay", number), task="replay", language=language(prompt.content + text))
            )
    return rows
