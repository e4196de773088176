"""Cycles that share elements are applied from left to right, as calls of a permutation are."""
from sympy.combinatorics import Permutation

# Each with where 0, 1, 2 and so on go when the first cycle is applied, then the next.
CASES = [
    ([[0, 1], [1, 2]], [2, 0, 1]),
    ([[1, 2], [0, 1]], [1, 2, 0]),
    ([[0, 1, 2], [0, 1]], [0, 2, 1]),
    ([[0, 1], [0, 1, 2]], [2, 1, 0]),
    ([[0, 1], [2, 3], [0, 2]], [1, 2, 3, 0]),
]


def by_hand(cycles, size):
    array = []
    for element in range(size):
        for cycle in cycles:
            if element in cycle:
                element = cycle[(cycle.index(element) + 1) % len(cycle)]
        array.append(element)
    return array


said = set()
for cycles, wanted in CASES:
    assert by_hand(cycles, len(wanted)) == wanted
    try:
        made = Permutation(cycles)
    except ValueError:
        said.add("Issue reproduced")
        continue
    said.add("Issue resolved" if made.array_form == wanted else "Other issues")
print(said.pop() if len(said) == 1 else "Other issues")
