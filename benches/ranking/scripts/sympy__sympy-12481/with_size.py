"""Such cycles with a size; numbers that stand twice in a list that is no list of cycles are still an error."""
from sympy.combinatorics import Permutation


def refused(argument):
    try:
        Permutation(argument)
    except ValueError:
        return True
    return False


if not refused([0, 1, 1]) or not refused([1, 1, 0, 2]):
    print("Other issues")
elif refused([[0, 1], [0, 1]]):
    print("Issue reproduced")
else:
    made = Permutation([[0, 1], [0, 2]], size=5)
    print("Issue resolved" if made.array_form == [1, 2, 0, 3, 4] and made.size == 5 else "Other issues")
