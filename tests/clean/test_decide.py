import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from tunewell.clean.decide import Found, contamination, contradiction, decide, duplicate, near
from tunewell.clean.keys import RowKeys

_Row = tuple[bool, int, int, bool]
_rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40)


def _keys(values: list[int]) -> npt.NDArray[np.uint64]:
    return np.array(values, np.uint64)


@given(_rows)
def test_a_duplicate_is_dropped_for_the_first_living_row_of_its_kind(rows: list[_Row]) -> None:
    alive = np.array([row[0] for row in rows], np.bool_)
    found = duplicate(_keys([row[1] for row in rows]), alive)
    first: dict[int, int] = {}
    for number, (lives, key, _, _) in enumerate(rows):
        is_repeat = lives and key in first
        assert found.rows[number] == is_repeat
        if is_repeat:
            assert found.rivals[number] == first[key]
        elif lives:
            first[key] = number


@given(_rows)
def test_every_living_single_turn_row_of_a_disputed_question_is_dropped(rows: list[_Row]) -> None:
    alive, multi = (np.array([row[place] for row in rows], np.bool_) for place in (0, 3))
    keys = RowKeys(_keys([0] * len(rows)), _keys([row[1] for row in rows]), _keys([row[2] for row in rows]))
    found = contradiction(keys, multi, alive)
    for number, (lives, question, _, is_multi) in enumerate(rows):
        answers = {row[2] for row in rows if row[0] and not row[3] and row[1] == question}
        assert found.rows[number] == (lives and not is_multi and len(answers) > 1)


def test_a_tainted_family_goes_whole_and_rows_that_are_dead_stay_so() -> None:
    found = contamination(_keys([1, 2, 1, 3]), _keys([1, 3]), np.array([True, True, False, True]))
    assert found.rows.tolist() == [True, False, False, True]


def test_each_rule_sees_what_the_earlier_ones_left() -> None:
    seen = []

    def drop(number: int) -> Found:
        return near(np.array([0 if row == number else -1 for row in range(4)]))

    def first(alive: npt.NDArray[np.bool_]) -> Found:
        seen.append(alive.tolist())
        return drop(1)

    def second(alive: npt.NDArray[np.bool_]) -> Found:
        seen.append(alive.tolist())
        return Found(np.ones(4, np.bool_), np.full(4, 3))

    decision = decide(np.array([True, True, False, True]), [first, second])
    assert seen == [[True, True, False, True], [True, False, False, True]]
    assert decision.rule.tolist() == [1, 0, -1, 1]
    assert decision.rival.tolist() == [3, 0, -1, 3]
