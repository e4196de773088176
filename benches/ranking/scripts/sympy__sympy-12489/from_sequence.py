"""The class method that sorts a sequence makes permutations of the class it is called on."""
from sympy.combinatorics import Permutation


class Own(Permutation):
    pass


own, usual = Own.from_sequence("SymPy"), Permutation.from_sequence("SymPy")
if own.array_form != usual.array_form or type(usual) is not Permutation:
    print("Other issues")
else:
    print("Issue resolved" if type(own) is Own else "Issue reproduced")
