import unittest

from ledger.__main__ import report
from ledger.entries import parse
from ledger.money import Money
from ledger.summary import by_category, by_month, largest, median, total

ENTRIES = parse(
    """
    2024-11-30 rent 900
    2024-12-01 groceries 20.25
    2024-12-24 presents 80
    2024-12-31 groceries 12.50
    """
)


class SummaryTest(unittest.TestCase):
    def test_total_adds_everything_up(self):
        self.assertEqual(total(ENTRIES), Money(101275))
        self.assertEqual(total([]), Money(0))

    def test_categories_come_largest_first(self):
        names = [name for name, _ in by_category(ENTRIES)]
        self.assertEqual(names, ["rent", "presents", "groceries"])

    def test_months_come_in_the_order_of_time(self):
        self.assertEqual(by_month(ENTRIES), [("2024-11", Money(90000)), ("2024-12", Money(11275))])

    def test_largest_entries(self):
        self.assertEqual([entry.category for entry in largest(ENTRIES, 2)], ["rent", "presents"])


class MedianTest(unittest.TestCase):
    def test_of_an_odd_number_of_entries(self):
        self.assertEqual(median(ENTRIES[1:]), Money(2025))

    def test_of_an_even_number_of_entries(self):
        self.assertEqual(median(ENTRIES), Money(5012))

    def test_of_two_entries(self):
        self.assertEqual(median(ENTRIES[:2]), Money(46012))

    def test_of_nothing(self):
        with self.assertRaises(ValueError):
            median([])


class ReportTest(unittest.TestCase):
    def test_begins_with_the_total(self):
        self.assertTrue(report(ENTRIES).startswith("total    1012.75\n"))
