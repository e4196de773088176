"""What a subclass is made from in any of the documented ways is of the subclass, and equal to the permutation made so."""
from sympy.combinatorics import Cycle, Permutation


class Own(Permutation):
    pass


WAYS = [
    lambda of: of(),
    lambda of: of(3),
    lambda of: of(1, 2),
    lambda of: of([2, 0, 1]),
    lambda of: of([[0, 2], [1, 3]]),
    lambda of: of([[0, 2]], size=5),
    lambda of: of(Cycle(1, 2)),
    lambda of: of(1, 2)(0, 3),
]

made = [(way(Own), way(Permutation)) for way in WAYS]
if any(own.array_form != usual.array_form or type(usual) is not Permutation for own, usual in made):
    print("Other issues")
else:
    own = [isinstance(own, Own) for own, _ in made[:-1]]
    print("Issue resolved" if all(own) else "Issue reproduced")
