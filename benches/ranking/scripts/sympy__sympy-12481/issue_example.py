"""The call of the issue makes the identity."""
from sympy.combinatorics import Permutation

try:
    made = Permutation([[0, 1], [0, 1]])
except ValueError:
    print("Issue reproduced")
else:
    print("Issue resolved" if made.array_form == [0, 1] and made.is_Identity else "Other issues")
