"""Class methods that make permutations make those of the class they are called on."""
from sympy.combinatorics import Permutation


class Own(Permutation):
    pass


WAYS = [
    lambda of: of._af_new([2, 1, 0]),
    lambda of: of.from_inversion_vector([3, 2, 1, 0, 0]),
    lambda of: of.josephus(3, 6, 1),
    lambda of: of.unrank_lex(5, 10),
    lambda of: of.unrank_nonlex(4, 5),
    lambda of: of.unrank_trotterjohnson(5, 10),
]

made = [(way(Own), way(Permutation)) for way in WAYS]
if any(own.array_form != usual.array_form or type(usual) is not Permutation for own, usual in made):
    print("Other issues")
elif all(type(own) is Own for own, _ in made) and type(Own.random(4)) is Own:
    print("Issue resolved")
else:
    print("Issue reproduced")
