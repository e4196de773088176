import unittest

from ledger.money import Money


class MoneyTest(unittest.TestCase):
    def test_parses_whole_amounts_and_cents(self):
        self.assertEqual(Money.parse("12"), Money(1200))
        self.assertEqual(Money.parse("12.5"), Money(1250))
        self.assertEqual(Money.parse("-0.05"), Money(-5))

    def test_refuses_what_is_no_amount(self):
        for text in ["", "twelve", "1.234", "1,50"]:
            with self.subTest(text), self.assertRaises(ValueError):
                Money.parse(text)

    def test_prints_two_digits_of_cents(self):
        self.assertEqual(str(Money(1205)), "12.05")
        self.assertEqual(str(Money(-5)), "-0.05")

    def test_is_divided_rounding_down(self):
        self.assertEqual(Money(1001) / 2, Money(500))

    def test_is_ordered(self):
        self.assertLess(Money(1), Money(2))
        self.assertEqual(max(Money(3), Money(1)), Money(3))
