from __future__ import annotations

from datetime import date

from alerts.forecast import us_federal_holidays


def test_the_federal_holidays_of_2026_and_their_observed_days() -> None:
    # https://www.opm.gov/policy-data-oversight/pay-leave/federal-holidays/ (2026); Independence Day is a Saturday
    days = [event.start for event in us_federal_holidays(date(2026, 1, 1), date(2026, 12, 31))]
    assert days == [
        date(2026, 1, 1),
        date(2026, 1, 19),
        date(2026, 2, 16),
        date(2026, 5, 25),
        date(2026, 6, 19),
        date(2026, 7, 3),
        date(2026, 7, 4),
        date(2026, 9, 7),
        date(2026, 10, 12),
        date(2026, 11, 11),
        date(2026, 11, 26),
        date(2026, 12, 25),
    ]


def test_new_year_may_be_observed_in_the_year_before() -> None:
    events = us_federal_holidays(date(2021, 12, 30), date(2022, 1, 2))
    assert [event.start for event in events] == [date(2021, 12, 31), date(2022, 1, 1)]
    assert {event.name for event in events} == {"holiday"}
    assert all(event.end == event.start for event in events)
