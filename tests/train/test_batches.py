"""The plan of steps: every row once an epoch, in a new order, the same for the same seed."""

from hypothesis import given
from hypothesis import strategies as st

from tunewell.template import Encoded
from tunewell.train.batches import ROW_MULTIPLE, PackedSteps, pack, padding, plan_steps

_LENGTHS = st.lists(st.integers(min_value=1, max_value=100), min_size=1, max_size=40)


@given(lengths=_LENGTHS, epochs=st.integers(min_value=1, max_value=3), seed=st.integers(min_value=0, max_value=9))
def test_each_epoch_holds_every_row_once_and_no_step_is_too_long(lengths: list[int], epochs: int, seed: int) -> None:
    steps = plan_steps(lengths, epochs=epochs, batch_tokens=100, seed=seed)
    for epoch in range(epochs):
        rows = [index for step in steps if step.epoch == epoch for index in step.examples]
        assert sorted(rows) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in step.examples) <= 100 for step in steps)
    assert steps == plan_steps(lengths, epochs=epochs, batch_tokens=100, seed=seed)


def test_the_order_differs_by_epoch_and_by_seed() -> None:
    first, second = plan_steps([10] * 50, epochs=2, batch_tokens=500, seed=0)
    (other,) = plan_steps([10] * 50, epochs=1, batch_tokens=500, seed=1)
    assert len({first.examples, second.examples, other.examples}) == 3


def test_a_fraction_of_an_epoch_takes_that_share_of_the_rows() -> None:
    steps = plan_steps([10] * 40, epochs=1.25, batch_tokens=100, seed=0)
    assert sum(len(step.examples) for step in steps if step.epoch == 0) == 40
    assert sum(len(step.examples) for step in steps if step.epoch == 1) == 10


def test_a_row_longer_than_a_step_gets_one_of_its_own() -> None:
    steps = plan_steps([300, 20, 20], epochs=1, batch_tokens=100, seed=0)
    assert (0,) in [step.examples for step in steps]


def test_tokens_are_predicted_at_the_position_before_them_and_never_across_rows() -> None:
    first = Encoded([11, 12, 13, 14], [-100, -100, 13, 14])
    second = Encoded([21, 22, 23], [-100, 22, 23])
    packed = pack([first, second])
    assert packed.row.input_ids.tolist() == [[11, 12, 13, 14, 21, 22, 23]]
    assert packed.row.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2]]
    assert packed.keep.tolist() == [1, 2, 4, 5]
    assert packed.targets.tolist() == [13, 14, 22, 23]


def test_a_trained_first_token_has_no_position_before_it() -> None:
    assert pack([Encoded([7, 8], [7, 8])]).targets.tolist() == [8]


def test_a_dataset_item_is_the_packed_step() -> None:
    examples = [Encoded([1, 2], [-100, 2]), Encoded([3, 4], [-100, 4])]
    steps = plan_steps([2, 2], epochs=1, batch_tokens=2, seed=3)
    dataset = PackedSteps(examples, steps)
    assert len(dataset) == 2
    ids = dataset[0].row.input_ids[0].tolist()
    assert ids == [*examples[steps[0].examples[0]].ids, *[0] * 30], "rows are filled to a multiple of 32"
    assert len(dataset[0].targets) == 1, "filler is not trained"


@given(st.integers(1, 5000))
def test_the_share_of_padding_is_that_of_the_row_that_is_built(tokens: int) -> None:
    row = pack([Encoded([7] * tokens, [-100] * tokens)], multiple_of=ROW_MULTIPLE).row
    built = row.input_ids.shape[1]
    assert padding(tokens) == (built - tokens) / built
