"""A distance is the same both ways, and what is right between points of as many dimensions stays so."""
from sympy import Symbol, sqrt
from sympy.geometry import Point

x = Symbol("x", real=True)
SAME = [((1, 1), (4, 5), 5), ((0, 0, 0), (1, 2, 2), 3), ((x, 0), (0, 0), sqrt(x**2))]
MIXED = [((2, 0), (1, 0, 2), sqrt(5)), ((0, 0), (0, 0, 3), 3), ((1, 2), (4, 6, 12), 13), ((0, 0), (0, 0, x), sqrt(x**2))]


def distances(first, second):
    return [Point(*first).distance(Point(*second)), Point(*second).distance(Point(*first))]


if any(distances(first, second) != [wanted] * 2 for first, second, wanted in SAME):
    print("Other issues")
else:
    right = [distances(first, second) == [wanted] * 2 for first, second, wanted in MIXED]
    if all(right):
        print("Issue resolved")
    else:
        print("Other issues" if any(right) else "Issue reproduced")
