"""Shows that a compiled parser does not mind the case although it was asked to."""

import unittest

import parse


class CaseOfCompiledParsers(unittest.TestCase):
    def test_case_counts_where_it_is_asked_for(self):
        parser = parse.compile("SPAM {}", case_sensitive=True)
        self.assertIsNone(parser.parse("spam eggs"))
        self.assertEqual(parser.parse("SPAM eggs")[0], "eggs")

    def test_case_does_not_count_else(self):
        parser = parse.compile("SPAM {}")
        self.assertEqual(parser.parse("spam eggs")[0], "eggs")


if __name__ == "__main__":
    unittest.main()
