"""Base and tuned model on the same items: generations, likelihoods, probes."""

from tunewell.evaluate.asks import Ask, domain_asks
from tunewell.evaluate.domain import ask_base
from tunewell.evaluate.metrics import CorpusSums, bleu_signatures, corpus_bleu, corpus_loss
from tunewell.evaluate.stage import run
from tunewell.evaluate.subject import ModelName, Questions, ask_model

__all__ = [
    "Ask",
    "CorpusSums",
    "ModelName",
    "Questions",
    "ask_base",
    "ask_model",
    "bleu_signatures",
    "corpus_bleu",
    "corpus_loss",
    "domain_asks",
    "run",
]
