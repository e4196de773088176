"""Whether the caller's dictionary and sets are as they were after sorting."""

import unittest

from toposort import toposort, toposort_flatten


class CallerDataTest(unittest.TestCase):
    def test_self_dependency_stays_in_the_callers_set(self):
        data = {'shoes': {'socks', 'shoes'}}
        self.assertEqual(list(toposort(data)), [{'socks'}, {'shoes'}])
        self.assertEqual(data, {'shoes': {'socks', 'shoes'}})

    def test_flattening_leaves_every_set_alone(self):
        data = {'coat': {'coat', 'shirt'}, 'shirt': set(), 'hat': {'coat', 'hat'}}
        self.assertEqual(toposort_flatten(data), ['shirt', 'coat', 'hat'])
        self.assertEqual(data, {'coat': {'coat', 'shirt'}, 'shirt': set(), 'hat': {'coat', 'hat'}})


if __name__ == '__main__':
    unittest.main()
