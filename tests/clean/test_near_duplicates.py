"""Near duplicates by MinHash: the estimate against the true similarity, and the search against comparing all pairs."""

import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.clean.near_duplicates import POSITIONS, Signatures, bands, near_duplicates, signatures
from tunewell.text import tokens

ENGLISH = [f"word{number}" for number in range(3_000)]
CHINESE = [chr(number) for number in range(0x4E00, 0x4E00 + 3_000)]


def pieces(text: str) -> set[tuple[str, ...]]:
    row = tokens(text)
    return {tuple(row[place : place + 5]) for place in range(max(1, len(row) - 4))}


def jaccard(left: str, right: str) -> float:
    return len(pieces(left) & pieces(right)) / len(pieces(left) | pieces(right))


def agreement(left: str, right: str) -> float:
    first, second = signatures([left, right])
    return float((first == second).mean())


def search(rows: Signatures, threshold: float = 0.8, *, dead: Sequence[int] = ()) -> list[int]:
    alive = np.ones(len(rows), np.bool_)
    alive[list(dead)] = False
    rivals: list[int] = near_duplicates(rows, alive, threshold).tolist()
    return rivals


def near_texts(*texts: str, threshold: float = 0.8) -> list[int]:
    return search(signatures(texts), threshold)


def row_of_numbers(seed: int) -> Signatures:
    return np.random.default_rng(seed).integers(0, 1 << 32, POSITIONS, np.uint32)


def changed(row: Signatures, first: int, last: int) -> Signatures:
    """The signature with other numbers in the positions from `first` to before `last`."""
    other = row.copy()
    other[first:last] ^= 1
    return other


@st.composite
def text_pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts with a part in common, in English or Chinese."""
    source = random.Random(draw(st.integers(0, 10**9)))
    words = draw(st.sampled_from([ENGLISH, CHINESE]))
    common = source.choices(words, k=draw(st.integers(0, 120)))
    left, right = (source.choices(words, k=draw(st.integers(1, 60))) for _ in range(2))
    return " ".join(common + left), " ".join(common + right)


@given(text_pairs())
@settings(derandomize=True)
def test_the_share_of_agreeing_positions_estimates_the_jaccard_similarity(pair: tuple[str, str]) -> None:
    true = jaccard(*pair)
    # Two positions more than five standard errors: near 0 and 1 the binomial distribution is not the normal one.
    assert abs(agreement(*pair) - true) <= 5 * math.sqrt(true * (1 - true) / POSITIONS) + 2 / POSITIONS


def test_the_estimate_has_no_bias_and_the_standard_error_of_128_draws() -> None:
    source = random.Random(0)
    errors = []
    for _ in range(400):
        common = source.choices(ENGLISH, k=84)
        left, right = (" ".join(common + source.choices(ENGLISH, k=20)) for _ in range(2))
        errors.append(agreement(left, right) - jaccard(left, right))
    assert abs(np.mean(errors)) < 0.007
    assert np.std(errors) == pytest.approx(math.sqrt(2 / 3 * 1 / 3 / POSITIONS), rel=0.15)


@given(st.lists(st.text(max_size=60), max_size=6))
def test_the_signature_of_a_text_hangs_on_nothing_but_the_text(texts: list[str]) -> None:
    together = signatures(texts)
    assert together.shape == (len(texts), POSITIONS)
    assert together.dtype == np.uint32
    for row, text in zip(together, texts, strict=True):
        assert (signatures([text])[0] == row).all()


def test_signatures_of_many_texts_are_those_of_each_alone() -> None:
    source = random.Random(0)
    texts = [" ".join(source.choices(ENGLISH, k=source.randint(0, 12))) for _ in range(600)]
    assert (signatures(texts) == np.concatenate([signatures([text]) for text in texts])).all()


def test_signatures_are_the_same_in_another_process() -> None:
    texts = ["When is my payout?", "提现多久到账?", "", "?!", "a b c d e f g"]
    code = f"from tunewell.clean.near_duplicates import signatures; print(signatures({texts!r}).tobytes().hex())"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == signatures(texts).tobytes().hex()


@pytest.mark.parametrize(
    ("left", "right", "similarity"),
    [
        ("a b c d e", "a b c d e", 1),
        ("a b c d e", "e d c b a", 0),
        ("a b c", "A, b; c!", 1),
        ("a b c", "a b c d", 0),
        ("a", "a a", 0),
        ("", "", 1),
        ("?!", "？！", 1),
        ("?!", "!?", 0),
        ("", "?", 0),
    ],
)
def test_short_texts_are_one_piece(left: str, right: str, similarity: float) -> None:
    assert agreement(left, right) == pytest.approx(similarity, abs=0.03)


def test_a_changed_number_in_a_long_conversation_is_near() -> None:
    english = " ".join(ENGLISH[:120])
    chinese = "".join(CHINESE[:120])
    rows = [english.replace("word60", name) for name in ("Ann", "Bob")] + [chinese.replace(CHINESE[60], name) for name in "安博"]
    assert near_texts(*rows, "nothing like that") == [-1, 0, -1, 2, -1]


@given(st.lists(st.sampled_from(["", "?", "a", "a b c d e f", "退款", "退款多久到账", " ".join(ENGLISH[:50])]), max_size=30))
def test_equal_texts_are_always_found(texts: list[str]) -> None:
    assert near_texts(*texts, threshold=0.99) == [
        texts.index(text) if texts.index(text) < n else -1 for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(("agreeing", "rival"), [(103, 0), (102, -1)])
def test_a_row_is_near_from_the_threshold_on(agreeing: int, rival: int) -> None:
    row = row_of_numbers(0)
    assert search(np.stack([row, changed(row, agreeing, POSITIONS)])) == [-1, rival]


def test_the_earliest_kept_row_is_the_rival() -> None:
    row = row_of_numbers(0)
    first, second = changed(row, 0, 20), changed(row, 108, 128)
    assert search(np.stack([first, second, row])) == [-1, -1, 0]
    assert search(np.stack([second, first, row])) == [-1, -1, 0]


def test_a_row_near_to_none_but_a_dropped_one_is_kept() -> None:
    a = row_of_numbers(0)
    b = changed(a, 0, 20)
    c = changed(b, 108, 128)
    assert search(np.stack([a, b, c])) == [-1, 0, -1]
    assert search(np.stack([a, b, b, c, c])) == [-1, 0, 0, -1, 3]


def test_dead_rows_are_neither_compared_nor_kept() -> None:
    a = row_of_numbers(0)
    b = changed(a, 0, 20)
    assert search(np.stack([a, a, b, b]), dead=[0]) == [-1, -1, 1, 1]
    assert search(np.stack([a, a, b, b]), dead=[0, 1]) == [-1, -1, -1, 2]
    assert search(np.stack([a, a]), dead=[0, 1]) == [-1, -1]


def test_no_rows() -> None:
    assert near_texts() == []


@given(st.integers(0, 10**9), st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9]))
@settings(max_examples=30)
def test_the_search_decides_as_if_all_pairs_were_compared(seed: int, threshold: float) -> None:
    source = np.random.default_rng(seed)
    rows = [row_of_numbers(seed)]
    # The last positions never change, so that all rows share a band, and are too few for its bucket to be full.
    for _ in range(30):
        start, length = int(source.integers(0, 50)), int(source.choice([2, 10, 24, 40, 60]))
        rows.append(changed(rows[source.integers(len(rows))], start, start + length))
    kept: list[int] = []
    expected = []
    for place, row in enumerate(rows):
        rival = next((other for other in kept if (rows[other] == row).sum() >= threshold * POSITIONS), -1)
        kept += [place] if rival == -1 else []
        expected.append(rival)
    assert search(np.stack(rows), threshold) == expected


def test_a_file_is_searched_like_an_array(tmp_path: Path) -> None:
    rows = signatures([" ".join(ENGLISH[start : start + 60]) for start in (0, 1, 500, 1, 1_000)])
    np.save(tmp_path / "signatures.npy", rows)
    assert search(np.load(tmp_path / "signatures.npy", mmap_mode="r")) == search(rows) == [-1, 0, -1, 0, -1]


@pytest.mark.timeout(10)
def test_buckets_of_many_rows_take_no_time() -> None:
    row = row_of_numbers(0)
    equal = np.repeat(row[np.newaxis], 100_000, axis=0)
    assert search(equal) == [-1] + [0] * 99_999
    # Alike in half of all positions, so that each band in it holds all rows, and none is near to another.
    alike = np.random.default_rng(0).integers(0, 1 << 32, (20_000, POSITIONS), np.uint32)
    alike[:, :64] = row[:64]
    assert search(np.concatenate([alike, alike[-1:]])) == [-1] * 20_000 + [19_999]


@pytest.mark.parametrize(
    ("threshold", "count", "length"), [(0.5, 42, 3), (0.7, 32, 4), (0.8, 21, 6), (0.9, 12, 10), (0.001, 128, 1)]
)
def test_bands(threshold: float, count: int, length: int) -> None:
    cuts = bands(threshold)
    assert cuts == [slice(start, start + length) for start in range(0, count * length, length)]


@given(st.floats(0.04, 0.999))
def test_a_pair_at_the_threshold_is_held_together(threshold: float) -> None:
    cuts = bands(threshold)
    length = cuts[0].stop
    assert 1 - (1 - threshold**length) ** len(cuts) >= 0.99
    assert cuts[-1].stop <= POSITIONS


def test_the_documented_curve_is_the_curve() -> None:
    lines = [line.split() for line in (bands.__doc__ or "").splitlines() if line.strip().startswith("0.")]
    assert len(lines) == 4
    for threshold, count, length, *found in lines:
        cuts = bands(float(threshold))
        assert (len(cuts), cuts[0].stop) == (int(count), int(length))
        curve = [1 - (1 - s ** int(length)) ** int(count) for s in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)]
        assert [f"{share:.4f}" for share in curve] == found
