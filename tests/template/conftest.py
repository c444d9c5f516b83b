"""Real tokenizers, loaded once."""

from collections.abc import Mapping

import pytest
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tests.template.tokenizers import MISTRAL_FILES, mistral_tokenizer
from tunewell.model.load import load_tokenizer
from tunewell.model.locate import EMBEDDED, locate


@pytest.fixture(scope="session")
def smollm2() -> PreTrainedTokenizerBase:
    """The tokenizer of the embedded model. It is shared: copy it before changing it."""
    return load_tokenizer(locate(EMBEDDED))


@pytest.fixture(scope="session")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, PreTrainedTokenizerFast]:
    """Mistral's tokenizers by version, as transformers converts them. They are shared: copy one before changing it."""
    return {version: mistral_tokenizer(version, tmp_path_factory.mktemp(version)) for version in MISTRAL_FILES}
