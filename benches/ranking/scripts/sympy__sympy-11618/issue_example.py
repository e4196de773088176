"""The distance of the issue."""
from sympy import sqrt
from sympy.geometry import Point

distance = Point(2, 0).distance(Point(1, 0, 2))
if distance == sqrt(5):
    print("Issue resolved")
else:
    print("Issue reproduced" if distance == 1 else "Other issues")
