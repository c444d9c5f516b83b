"""The sections of a recipe. Each field has a type, a default, and beneath it the sentence that documents it."""

from types import SimpleNamespace
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]

WhenShort = Literal["shrink", "repeat", "fail"]
"""What happens when a pool is too small for the ratio."""

DataUnit = Literal["rows", "tokens"]
"""What a ratio counts."""

TaskName = Literal["self_instruct", "doc2qa", "doc2conv", "real_qa", "paraphrase", "similarity", "summary", "cot"]
"""The tasks of a teacher."""

Method = Literal["full", "lora", "qlora"]
"""What is trained."""

Variant = Literal["lora", "rslora", "dora"]
Reporter = Literal["tensorboard", "wandb", "mlflow", "trackio"]
"""Forms of an adapter."""

StartFrom = Literal["continue", "merge"]
"""What is done with an adapter that training starts from."""

_SHAPE = ("rank", "alpha", "targets", "variant")

RuleName = Literal[
    "rejected",
    "superseded",
    "empty",
    "too_short",
    "too_long",
    "language",
    "noise",
    "blacklist",
    "echo",
    "control_tokens",
    "personal",
    "contamination",
    "duplicate",
    "contradiction",
    "near_duplicate",
    "novelty",
]
"""The rules of cleaning, in the order in which they are applied."""


def _contradiction(problem: str) -> PydanticCustomError:
    """A mistake that lies in no key alone."""
    return PydanticCustomError("contradiction", "{problem}", {"problem": problem})


def _one_mistake(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Report what is neither `base` nor one adapter as one mistake, not as one for each form."""
    try:
        start = handler(value)
    except ValidationError:
        start = {}
    if isinstance(start, dict) and len(start) != 1:
        raise PydanticCustomError("start", "expected `base`, `{continue: ADAPTER}` or `{merge: ADAPTER}`")
    return start


class Section(BaseModel):
    """A part of the recipe: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Ratio(Section):
    """Shares of the two pools, of what `by` counts. `open: 1, domain: 3` is one open row beside three domain rows."""

    open: Annotated[float, Field(ge=0)] = 1
    """Share of general instruction rows."""
    domain: Annotated[float, Field(gt=0)] = 3
    """Share of domain rows."""


class Turns(Section):
    """Shares of single-turn and multi-turn rows within each pool."""

    single: Annotated[float, Field(ge=0)]
    """Share of rows in which the user speaks once."""
    multi: Annotated[float, Field(ge=0)]
    """Share of rows in which the user speaks more than once."""


class Data(Section):
    """What is read, and in which proportion it is mixed. Paths are files, folders or globs, relative to the recipe."""

    domain: list[str] = []
    """Question-answer logs and documents of your field."""
    open: list[str] = []
    """General instruction data, the guard against forgetting."""
    test: list[str] = []
    """Test items (`seen`, `paraphrase`, `unseen`). Without any, families are held out of the domain rows."""
    ratio: Ratio = Ratio()
    """Open data beside domain data."""
    by: DataUnit = "rows"
    """What the ratio counts: rows, or tokens of the base model."""
    turns: Turns | None = None
    """Single-turn beside multi-turn rows in each pool. Unset: as they come."""
    caps: dict[str, Positive] = {}
    """Most rows that a source may give to training, by file name or glob (`logs-*.jsonl: 5000`), each matching file for itself."""
    when_short: WhenShort = "shrink"
    """What happens when a pool is too small for the ratio: take less of the other, repeat rows, or stop."""
    holdout: Share = 0.1
    """Share of domain families kept out of training as test items when `test` is empty. A teacher's rows are test items only where
    the domain has no others."""


class Collect(Section):
    """Reading of files into examples."""

    on_error: Literal["stop", "drop"] = "stop"
    """What happens on a broken row: stop before training, or leave it out with its reason on disk."""


class Budget(Section):
    """What a teacher may cost in one run, resumed as often as need be. When it is spent, the run goes on with what is there."""

    tokens: NotNegative = 0
    """Most tokens, of prompts and answers together. 0 sets no limit."""
    money: Annotated[float, Field(ge=0)] = 0
    """Most money, in the currency of the prices. 0 sets no limit."""


class Prices(Section):
    """What a million tokens cost."""

    input: Annotated[float, Field(ge=0)]
    """A million tokens of prompts."""
    output: Annotated[float, Field(ge=0)]
    """A million tokens of answers."""
    currency: str = "USD"
    """The currency of these prices and of `teacher.budget.money`."""


class Teacher(Section):
    """The model behind an OpenAI-compatible server that writes and checks data."""

    server: Annotated[str, Field(pattern=r"^(https?://[^\s@?#]+)?$")] = ""
    """Address of the server, such as `http://127.0.0.1:8000/v1`. Unset: no teacher."""
    model: str = ""
    """The model's name on that server."""
    key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key, never the key itself. A server on this machine needs none."""
    concurrency: Positive = 16
    """Requests in flight."""
    requests_per_minute: NotNegative = 0
    """Most requests begun in a minute. 0 sets no limit. Batch files have limits of their own."""
    tokens_per_minute: NotNegative = 0
    """Most tokens asked for in a minute, prompts and longest answers together. 0 sets no limit."""
    timeout: Annotated[float, Field(gt=0)] = 120
    """Seconds that one answer may take."""
    patience: Annotated[float, Field(gt=0)] = 600
    """Seconds without any answer after which a server counts as gone, and the run stops; the same command goes on. A server that
    has not answered yet has 30."""
    budget: Budget = Budget()
    """What may be spent."""
    prices: Prices | None = None
    """Prices of the model. Unset: those of the bundled price table, if it lists the model."""
    batch: bool = False
    """Send requests as batch files of the provider, at half the price and within a day, instead of one by one."""


class Generate(Section):
    """Rows that a model writes."""

    tasks: dict[TaskName, Positive] = {}
    """Rows that the teacher is to write, by task (`doc2qa: 200`); fewer where the checks reject more than the material gives."""
    seeds: list[str] = []
    """Seed tasks of your own for `self_instruct`, in any format of rows. Unset: the 350 bundled ones."""
    languages: list[Literal["en", "zh"]] = []
    """Languages that `self_instruct` writes in. Unset: those of the domain rows and documents."""
    unanswerable: Share = 0.1
    """Share of `doc2qa` rows whose honest answer is that the document does not say."""
    agreement: Share = 0.5
    """Smallest ROUGE-L F1 between an answer and a second one given without seeing the first. Below it the row is rejected."""
    closed_book: Literal["drop", "keep", "off"] = "drop"
    """What happens to a row that the teacher answers alike without the document: it is rejected, or kept with that noted; `off`
    does not ask."""
    cot_share: Share = 1.0
    """Share of the `cot` rows whose answer shows the reasoning; the others are asked for the answer alone."""
    keep: NotNegative = 0
    """Most rows of each task that are kept, by `select`. 0 keeps all."""
    select: Annotated[list[Literal["difficulty", "diversity"]], Field(min_length=1)] = ["difficulty", "diversity"]
    """How `keep` chooses: rows whose question helps the base model little to foresee the answer, and rows far from each other."""

    replay: NotNegative = 0
    """How many general prompts the base model answers itself; the answers become open data. 0 turns it off."""
    replay_prompts: list[str] = []
    """Text files with one prompt a line. Unset: the bundled prompts in the languages of the domain rows."""
    max_new_tokens: Positive = 96
    """Longest generated answer, in tokens. A longer one is left out, never cut."""


class Clean(Section):
    """What is dropped before mixing. Every dropped row is kept on disk with its reason."""

    skip: list[RuleName] = []
    """Rules that are not applied."""
    min_chars: NotNegative = 2
    """Shortest question and answer, in characters."""
    max_chars: Positive = 8000
    """Longest question or answer, in characters."""
    languages: list[Literal["en", "zh"]] = []
    """Languages to keep. Unset: all."""
    noise: Share = 0.5
    """Drop a text of which more than this share is noise: damaged characters, runs of signs, one piece over and over."""
    personal: Literal["mask", "drop"] = "mask"
    """What happens to phone, identity and bank card numbers and e-mail addresses: replaced by a word, or the row is dropped."""
    contacts: list[str] = []
    """Numbers and addresses of your own, which answers may give. What three answers give and no user writes needs no naming."""
    novelty: Share = 0.7
    """Drop a question whose ROUGE-L F1 with an earlier kept one of its pool is above this. 1 turns it off."""
    near_duplicates: Share = 1.0
    """Drop a conversation whose five-token pieces agree with those of an earlier kept one by at least this share (MinHash). 1 turns
    it off."""


class Train(Section):
    """How the base model is adapted."""

    method: Method = "lora"
    """What is trained: every weight (`full`), an adapter (`lora`), or an adapter on a base that is kept in 4 bits (`qlora`)."""
    rank: Positive = 16
    """LoRA rank."""
    alpha: Positive = 32
    """LoRA scale: the update is multiplied by alpha / rank."""
    targets: Literal["all-linear"] | list[str] = "all-linear"
    """Layers that get an adapter: all linear layers but the output head, or a list of module names."""
    variant: Variant = "lora"
    """Form of the adapter: plain, scaled by alpha / √rank (`rslora`), or with the length of the weights apart (`dora`)."""
    start: Annotated[Literal["base"] | dict[StartFrom, str], WrapValidator(_one_mistake)] = "base"
    """What training starts from: the base, an adapter that is trained on (`continue: ADAPTER`, whose rank, alpha, targets and
    variant stay), or the base with an adapter folded in and a new adapter (`merge: ADAPTER`). ADAPTER is its folder or a run."""
    epochs: Annotated[float, Field(gt=0)] = 3
    """Passes over the mixed rows."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Peak learning rate; it warms up over the first steps and falls to zero along a cosine."""
    warmup: Share = 0.05
    """Share of steps over which the learning rate warms up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW weight decay."""
    context: Annotated[int, Field(ge=16)] = 512
    """Longest example in tokens. A longer one is left out, and listed."""
    answers: Literal["every", "last"] = "every"
    """Which answers of a conversation are trained."""
    reasoning: Literal["train", "mask"] = "train"
    """Whether the reasoning in an answer, up to `</think>`, is trained, or only what follows it."""
    batch_tokens: Positive = 1024
    """Tokens in one step; examples are laid end to end, without padding."""
    save_every: Positive = 25
    """Steps between checkpoints."""
    report_to: list[Reporter] = []
    """Services that get loss, learning rate and gradient norm of each step as training goes on, each through its own package."""

    @property
    def said(self) -> dict[str, Any]:
        """What the recipe itself says of the adapter's shape."""
        return {name: getattr(self, name) for name in _SHAPE if name in self.model_fields_set}

    @model_validator(mode="after")
    def _full_has_no_adapter(self) -> Self:
        if self.method == "full" and isinstance(self.start, dict) and "continue" in self.start:
            raise _contradiction(
                "train.start: `continue` trains an adapter on, and `train.method: full` has none; take lora or qlora"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_what_the_adapter_decides(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A recipe that is written down must read as it was given: the shape of an adapter that is trained on is not said."""
        values: dict[str, Any] = handler(self)
        if isinstance(self.start, dict) and "continue" in self.start:
            return {name: value for name, value in values.items() if name not in _SHAPE or name in self.model_fields_set}
        return values


class Guard(Section):
    """Guards against forgetting while training goes on, beside the share of open data."""

    kl: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the divergence of the tuned from the base model on answers of replay rows (`generate.replay`). 0 turns it off."""
    floor: Share = 0.0
    """Largest relative loss on the quick retention suite; beyond it training stops, and the last weights within it are kept. 0
    turns it off."""
    every: Positive = 25
    """Steps between looks at the quick retention suite."""
    keep: Positive = 2
    """Checkpoints that are kept while training goes on: the newest so many. The weights of the last look within the floor are
    kept beside them."""


class Evaluate(Section):
    """What base and tuned model are asked."""

    items: Positive = 300
    """Most test items per slice (`seen`, `paraphrase`, `unseen`)."""
    max_new_tokens: Positive = 96
    """Longest answer, in tokens. How many were cut there is counted."""
    batch: Positive = 48
    """Answers decoded at once."""
    brittleness: NotNegative = 20
    """Questions asked in each of the prompt shells. 0 turns the probe off."""
    constraints: NotNegative = 60
    """Questions asked with an added instruction that code can check. 0 turns the probe off."""
    leakage: NotNegative = 100
    """General and near-miss prompts checked for domain answers. 0 turns the probe off."""
    retention: NotNegative = 300
    """Retention items, scored by the likelihood of each choice. 0 turns the suite off."""
    drift: NotNegative = 48
    """Base answers, half to domain and half to general prompts, on which the KL of the tuned model is measured. 0: none."""
    trained_tests: Literal["refuse", "leave_out", "keep"] = "refuse"
    """What becomes of an `unseen` or `paraphrase` test item whose question also stands in training."""


class Judge(Section):
    """Models behind servers that score both models' answers against the reference, or compare the two."""

    by: list[Teacher] = []
    """The judges, each with `server`, `model` and `key` as under `teacher`. Unset: nobody judges."""
    mode: Literal["score", "pair", "both"] = "both"
    """Whether each answer is scored from 1 to 5, the two are compared in both orders, or both."""
    repeats: Positive = 1
    """How often each verdict is asked for."""
    items: Positive = 100
    """Most test items per slice that are judged."""
    agreement: Share = 0.6
    """Least agreement (quadratic kappa) with the labelled items that ship; a judge below it is left out. 0: none is asked for."""


class Gate(Section):
    """The largest loss that still passes, for each claim; the gain that the domain must show is any above zero."""

    retention: Share = 0.05
    """Retention: largest relative loss of the probability of the right choice."""
    brittleness: Share = 0.05
    """Prompt brittleness: largest growth of the drop under other prompts, in ROUGE-L points of 1."""
    constraints: Share = 0.1
    """Added constraints: largest relative loss of the share that is followed."""
    leakage: Share = 0.05
    """Scene leakage: largest growth of the share of general prompts that get domain answers."""
    gap: Share = 0.2
    """Seen/unseen gap: largest growth, in ROUGE-L points of 1."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Confidence level of every interval."""


class Report(Section):
    """The page that answers the question the run was made for."""

    title: str = ""
    """Title of the report. Unset: the recipe's name."""
    language: Literal["en", "zh"] = "en"
    """Language of the report."""


class Recipe(Section):
    """One experiment: model, data, cleaning, mixture, training, evaluation, gate."""

    model: str = "smollm2-135m"
    """Base model: `smollm2-135m` (embedded), a folder in Hugging Face form, or a hub id."""
    template: str = "auto"
    """Prompt format: `auto` (the tokenizer's own chat template), a family of `tunewell template list`, or a family's file."""
    seed: NotNegative = 0
    """Seed of everything that is drawn at random."""
    data: Data = Data()
    """What is read, and in which proportion."""
    collect: Collect = Collect()
    """Reading."""
    teacher: Teacher = Teacher()
    """Teacher."""
    generate: Generate = Generate()
    """Generation."""
    clean: Clean = Clean()
    """Cleaning."""
    train: Train = Train()
    """Training."""
    guard: Guard = Guard()
    """Guards against forgetting."""
    evaluate: Evaluate = Evaluate()
    """Evaluation."""
    judge: Judge = Judge()
    """Judges."""
    gate: Gate = Gate()
    """Gate."""
    report: Report = Report()
    """Report."""

    @model_validator(mode="after")
    def _kl_needs_a_base(self) -> Self:
        if self.guard.kl and self.train.method == "full":
            raise _contradiction(
                "guard.kl: `train.method: full` changes the base itself, and a second, frozen one beside it is not kept in memory; "
                "take lora or qlora, or 0"
            )
        return self

    def part(self, *keys: str) -> "Recipe":
        """A view of the recipe that holds only these top-level keys; reading any other is an AttributeError.

        A stage is given its part, so that what it reads and what decides whether it is skipped cannot differ.
        """
        return cast("Recipe", SimpleNamespace(**{key: getattr(self, key) for key in keys}))

    def values(self, *keys: str) -> dict[str, Any]:
        """The JSON values under these top-level keys."""
        return self.model_dump(mode="json", include=set(keys))


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors."""
    return Recipe.model_json_schema()
