import unittest
from datetime import date

from ledger.entries import Entry, parse
from ledger.money import Money


class ParseTest(unittest.TestCase):
    def test_reads_lines_and_skips_comments(self):
        text = "# December\n\n2024-12-31 groceries 12.50\n"
        self.assertEqual(parse(text), [Entry(date(2024, 12, 31), "groceries", Money(1250))])

    def test_names_the_line_that_is_wrong(self):
        with self.assertRaisesRegex(ValueError, "line 2"):
            parse("2024-01-01 rent 900\n2024-01-32 rent 900\n")
        with self.assertRaisesRegex(ValueError, "line 1"):
            parse("2024-01-01 rent\n")
