"""A subclass with a __new__ of its own, which adds something to what the usual one makes."""
from sympy.combinatorics import Permutation


class Named(Permutation):
    def __new__(cls, *words, **named):
        made = super(Named, cls).__new__(cls, *words, **named)
        made.label = "a name"
        return made

    def twice(self):
        return self.size * 2


said = set()
for words in [([1, 0, 2],), (0, 1), (2,), ([[0, 1], [2]],)]:
    try:
        made = Named(*words)
        right = made.label == "a name" and made.twice() == 2 * made.size and made.size in (2, 3)
    except AttributeError:  # it is a Permutation
        said.add("Issue reproduced")
        continue
    said.add("Issue resolved" if right else "Other issues")
print("Issue reproduced" if "Issue reproduced" in said else said.pop() if len(said) == 1 else "Other issues")
